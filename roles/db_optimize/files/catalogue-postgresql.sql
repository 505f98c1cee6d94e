-- What the plan wants to know of PostgreSQL, as one row. YugabyteDB has the same catalogue.
select
  current_user::text as account,
  pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as read_only,
  coalesce(has_schema_privilege(%(schema)s::text, 'CREATE'), false) as may_create,
  (
    select coalesce(json_object_agg(t.relname, json_build_object(
      'columns', (
        select json_object_agg(
          a.attname, json_build_object('type', format_type(a.atttypid, null), 'width', s.avg_width)
          order by a.attnum
        )
        from pg_attribute as a
        left join pg_stats as s
        on s.schemaname = n.nspname and s.tablename = t.relname and s.attname = a.attname and not s.inherited
        where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
      ),
      'rows', t.reltuples,
      'size', pg_relation_size(t.oid),
      'owned', pg_has_role(t.relowner, 'USAGE'),
      'owner', pg_get_userbyid(t.relowner),
      'analyzed_seconds', extract(epoch from clock_timestamp() - greatest(u.last_analyze, u.last_autoanalyze))
    )), '{}')
    from pg_class as t
    join pg_namespace as n on n.oid = t.relnamespace
    left join pg_stat_all_tables as u on u.relid = t.oid
    where n.nspname = %(schema)s and t.relkind = 'r' and t.relname in (select json_array_elements_text(%(tables)s))
  ) as tables,
  (
    -- an index shares its names with these
    select coalesce(json_object_agg(t.relname, case t.relkind
      when 'r' then 'table' when 'p' then 'table' when 'f' then 'foreign table' when 'v' then 'view'
      when 'm' then 'materialized view' when 'S' then 'sequence' when 'I' then 'partitioned index' else 'type'
    end), '{}')
    from pg_class as t
    join pg_namespace as n on n.oid = t.relnamespace
    where n.nspname = %(schema)s and t.relkind not in ('i', 't')
  ) as relations,
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
        -- usable by every query on its columns; lsm is what YugabyteDB calls its trees
        m.amname in ('btree', 'lsm') and x.indpred is null and x.indexprs is null and not exists (
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
        x.indisunique as "unique",
        pg_relation_size(x.indexrelid) as size,
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
