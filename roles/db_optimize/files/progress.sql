-- How far the builds of this database are, and whether any session holds one of the tables as a build does.
select
  (
    select coalesce(json_agg(json_build_object(
      'index', coalesce(p.index_relid::regclass::text, ''),
      'phase', p.phase,
      'percent', case
        when p.blocks_total > 0 then round(100.0 * p.blocks_done / p.blocks_total)
        when p.tuples_total > 0 then round(100.0 * p.tuples_done / p.tuples_total)
      end,
      'waits_for', nullif(p.current_locker_pid, 0)
    )), '[]')
    from pg_stat_progress_create_index as p
    where p.datname = current_database()
  ) as builds,
  exists (
    select
    from pg_locks as l
    join pg_class as t on t.oid = l.relation
    join pg_namespace as n on n.oid = t.relnamespace
    where l.database = (select d.oid from pg_database as d where d.datname = current_database())
    and l.mode = 'ShareUpdateExclusiveLock' and n.nspname = %(schema)s and t.relname in (select json_array_elements_text(%(tables)s))
  ) as building
