-- How tables and rights of the current database differ from what the pages and the owner need, as one row:
-- the tables that do not exist or do not belong to the owner, the statements that correct the rights, and whether there
-- are any rows.
with
pages as (
  select oid, rolname from pg_roles where rolname = %(pages)s
),
acls (kind, object, acl) as (
  select 'database', quote_ident(datname), coalesce(datacl, acldefault('d', datdba))
  from pg_database where datname = current_database()
  union all
  select 'schema', quote_ident(nspname), coalesce(nspacl, acldefault('n', nspowner))
  from pg_namespace where nspname = 'public'
  union all
  select 'table', format('public.%%I', relname), coalesce(relacl, acldefault('r', relowner))
  from pg_class
  where relnamespace = 'public'::regnamespace and relname in (select json_array_elements_text(%(tables)s))
  union all
  -- on the owner's later tables
  select 'default', '', defaclacl
  from pg_default_acl
  where defaclrole = (select oid from pg_roles where rolname = %(owner)s)
  and defaclnamespace = 'public'::regnamespace and defaclobjtype = 'r'
),
granted as (
  select kind, object, a.grantee, coalesce(r.rolname, 'public') as role, a.privilege_type as privilege
  from acls
  cross join aclexplode(acl) as a
  left join pg_roles as r on r.oid = a.grantee
),
needed (kind, object, role, privilege) as (
  select 'database', quote_ident(current_database()), role, 'CONNECT' from unnest(array[%(pages)s, %(owner)s]) as role
  union all
  values ('schema', 'public', %(pages)s, 'USAGE'), ('schema', 'public', %(owner)s, 'USAGE'),
    ('schema', 'public', %(owner)s, 'CREATE')
  union all
  select kind, object, %(pages)s, privilege
  from unnest(array['SELECT', 'INSERT', 'UPDATE']) as privilege
  cross join (
    select 'table' as kind, format('public.%%I', name) as object from json_array_elements_text(%(tables)s) as name
    union all
    select 'default', ''
  ) as tables
),
lacking as (
  select kind, object, role, string_agg(privilege, ', ' order by privilege) as privileges
  from (
    select kind, object, role, privilege from needed
    except
    select kind, object, role, privilege from granted
  ) as lacking
  group by kind, object, role
),
-- Nobody else gets into the database or creates tables, and the pages only read, add and change rows.
excess as (
  select kind, object, case grantee when 0 then 'public' else quote_ident(role) end as role,
    string_agg(privilege, ', ' order by privilege) as privileges
  from granted
  where grantee = 0 and (kind = 'database' or kind = 'schema' and privilege = 'CREATE')
  or kind = 'table' and grantee = (select oid from pages) and privilege not in ('SELECT', 'INSERT', 'UPDATE')
  group by kind, object, grantee, role
)
select
  (
    select coalesce(json_agg(name), '[]')
    from json_array_elements_text(%(tables)s) as name
    where not exists (
      select from pg_tables where schemaname = 'public' and tablename = name and tableowner = %(owner)s
    )
  ) as tables,
  (
    select coalesce(json_agg(statement), '[]')
    from (
      select format('revoke %%s on %%s %%s from %%s', privileges, kind, object, role) as statement from excess
      union all
      select case kind
        when 'default' then format(
          'alter default privileges for role %%I in schema public grant %%s on tables to %%I', %(owner)s, privileges, role
        )
        else format('grant %%s on %%s %%s to %%I', privileges, kind, object, role)
      end
      from lacking
    ) as statements
  ) as statements,
  exists (
    select
    from pg_tables
    cross join xpath(
      '/row/filled/text()',
      query_to_xml(format('select exists (select from public.%%I) as filled', tablename), false, true, '')
    ) as found
    where schemaname = 'public' and tablename in ('users', 'posts', 'comments') and found[1]::text = 'true'
  ) as filled
