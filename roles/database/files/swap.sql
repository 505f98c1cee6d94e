-- Statements, in order, that replace the database "old" with "new" and rename it to "replaced". What belongs to a
-- database but to no dump is copied: rights on it, its settings, its connection limit, its comment.
with old as (select * from pg_database where datname = %(old)s)
select statement
from (
  select 1 as step, format(
    'grant %%s on database %%I to %%s', a.privilege_type, %(new)s,
    case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end
    || case when a.is_grantable then ' with grant option' else '' end
  ) as statement
  from old, aclexplode(old.datacl) as a
  union all
  select 2, format(
    'alter %%s set %%I = %%s',
    case s.setrole when 0 then format('database %%I', %(new)s)
      else format('role %%I in database %%I', pg_get_userbyid(s.setrole), %(new)s) end,
    split_part(line, '=', 1),
    -- lists are kept with their quotes
    case when split_part(line, '=', 1) in ('search_path', 'temp_tablespaces', 'session_preload_libraries')
      then coalesce(nullif(value, ''), '''''') else quote_literal(value) end
  )
  from old
  join pg_db_role_setting as s on s.setdatabase = old.oid
  cross join unnest(s.setconfig) as line
  cross join substr(line, strpos(line, '=') + 1) as value
  union all
  select 3, format('alter database %%I connection limit %%s', %(new)s, old.datconnlimit) from old
  union all
  select 3, format('comment on database %%I is %%L', %(new)s, shobj_description(old.oid, 'pg_database')) from old
  union all
  select 4, format('select pg_terminate_backend(pid) from pg_stat_activity where datname = %%L', %(old)s)
  union all
  select 5, format('alter database %%I rename to %%I', %(old)s, %(replaced)s)
  union all
  select 6, format('alter database %%I rename to %%I', %(new)s, %(old)s)
) as statements
order by step
