-- What the plan wants to know of CockroachDB, as one row. Indexes appear here once they are whole: a build is a job
-- of the cluster, and one that fails is taken back by the cluster itself.
select
  current_user as account,
  current_setting('transaction_read_only') = 'on' as read_only,
  true as may_create,
  (
    select coalesce(json_object_agg(t.table_name, json_build_object(
      'columns', (
        select json_object_agg(c.column_name, json_build_object('type', c.data_type, 'width', 0))
        from information_schema.columns as c
        where c.table_schema = t.table_schema and c.table_name = t.table_name
      ),
      'rows', -1,
      'size', 0,
      'owned', true,
      'owner', '',
      'analyzed_seconds', null
    )), '{}')
    from information_schema.tables as t
    where t.table_schema = %(schema)s and t.table_type = 'BASE TABLE' and t.table_name in (select json_array_elements_text(%(tables)s))
  ) as tables,
  '{}'::jsonb as relations,
  (
    select coalesce(json_agg(json_build_object(
      'name', s.index_name,
      'table', s.table_name,
      'columns', s.columns,
      'options', s.options,
      -- neither partial nor inverted nor on an expression
      'plain', d.indexdef not like '%% WHERE %%' and d.indexdef like '%% USING btree %%' and s.named,
      'valid', true,
      'building', false,
      'constraint', exists (
        select 1 from information_schema.table_constraints as k
        where k.table_schema = s.table_schema and k.table_name = s.table_name and k.constraint_name = s.index_name
      ),
      'unique', s.is_unique,
      'size', 0,
      'comment', coalesce(obj_description(o.oid, 'pg_class'), ''),
      'definition', d.indexdef
    ) order by s.table_name, s.index_name), '[]')
    from (
      select
        table_schema, table_name, index_name,
        array_agg(column_name order by seq_in_index) as columns,
        array_agg(case direction when 'DESC' then 3 else 0 end order by seq_in_index) as options,
        bool_and(non_unique = 'NO') as is_unique,
        bool_and(column_name not like 'crdb_internal_%%') as named
      from information_schema.statistics
      where table_schema = %(schema)s and storing = 'NO' and implicit = 'NO'
      group by table_schema, table_name, index_name
    ) as s
    join pg_indexes as d
    on d.schemaname = s.table_schema and d.tablename = s.table_name and d.indexname = s.index_name
    left join pg_class as o on o.oid = d.crdb_oid
  ) as indexes
