-- Statements that create the account "bridge" with the rights, the settings and the connection limit of "user". What it
-- creates belongs to "user".
with pages as (select * from pg_roles where rolname = %(user)s),
settings (place, line) as (
  select coalesce(' in database ' || quote_ident(d.datname), ''), unnest(s.setconfig)
  from pages
  join pg_db_role_setting as s on s.setrole = pages.oid
  left join pg_database as d on d.oid = s.setdatabase
)
select statement
from (
  -- Whole or not at all: one that is not a member is not ours.
  select 1 as step, format('create role %%I nologin in role %%I', %(bridge)s, %(user)s) as statement
  where not exists (select from pg_roles where rolname = %(bridge)s)
  union all
  select 2, format('alter role %%I connection limit %%s', %(bridge)s, rolconnlimit) from pages
  union all
  select 3, format(
    'alter role %%I%%s set %%I = %%s', %(bridge)s, place, split_part(line, '=', 1),
    -- lists are kept with their quotes
    case when split_part(line, '=', 1) in (
      'search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries'
    ) then coalesce(nullif(value, ''), '''''') else quote_literal(value) end
  )
  from settings
  cross join substr(line, strpos(line, '=') + 1) as value
  union all
  select 4, format('alter role %%I set role = %%L', %(bridge)s, %(user)s)
) as statements
order by step
