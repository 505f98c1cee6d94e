select
  version() as version,
  (
    select coalesce(json_object_agg(relname, columns), '{}')
    from (
      select t.relname, json_agg(a.attname order by a.attnum) as columns
      from pg_class as t
      join pg_namespace as n on n.oid = t.relnamespace
      join pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
      where n.nspname = %(schema)s and t.relkind = 'r'
      group by t.relname
    ) as tables
  ) as columns,
  (
    select coalesce(json_agg(indexes), '[]')
    from (
      select
        i.relname as name,
        t.relname as "table",
        array(
          select coalesce(a.attname::text, '')
          from unnest(x.indkey) with ordinality as k(attnum, n)
          left join pg_attribute as a on a.attrelid = x.indrelid and a.attnum = k.attnum
          where k.n <= x.indnkeyatts
          order by k.n
        ) as columns,
        array(select o.option from unnest(x.indoption) with ordinality as o(option, n) order by o.n) as options,
        -- usable by every query on its columns
        m.amname = 'btree' and x.indpred is null and x.indexprs is null and not exists (
          select
          from generate_series(0, x.indnkeyatts - 1) as k
          join pg_attribute as a on a.attrelid = x.indrelid and a.attnum = x.indkey[k]
          join pg_opclass as c on c.oid = x.indclass[k]
          where not c.opcdefault or x.indcollation[k] <> a.attcollation
        ) as plain,
        x.indisvalid and x.indisready and x.indislive as valid,
        -- the lock of a build; pg_stat_progress_create_index shows those of other accounts to the privileged only
        exists (
          select
          from pg_locks as l
          where l.database = (select d.oid from pg_database as d where d.datname = current_database())
          and l.relation = x.indrelid and l.mode = 'ShareUpdateExclusiveLock' and l.pid <> pg_backend_pid()
        ) as building,
        exists (select from pg_constraint as c where c.conindid = x.indexrelid) as "constraint",
        coalesce(obj_description(x.indexrelid, 'pg_class'), '') as comment,
        pg_get_indexdef(x.indexrelid) as definition
      from pg_index as x
      join pg_class as i on i.oid = x.indexrelid
      join pg_class as t on t.oid = x.indrelid
      join pg_namespace as n on n.oid = i.relnamespace
      join pg_am as m on m.oid = i.relam
      where n.nspname = %(schema)s
      order by t.relname, i.relname
    ) as indexes
  ) as indexes
