-- The statement that creates the database "new" with the properties of "old" that only a new database can get: encoding,
-- the provider of its collation with locale and rules, tablespace. Columns that a version lacks are null.
select concat(
  format(
    'create database %%I owner %%I template template0 encoding %%L lc_collate %%L lc_ctype %%L tablespace %%I',
    %(new)s, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, t.spcname
  ),
  case more ->> 'datlocprovider'
    when 'c' then ' locale_provider libc'
    when 'i' then format(' locale_provider icu icu_locale %%L', coalesce(more ->> 'datlocale', more ->> 'daticulocale'))
    when 'b' then format(' locale_provider builtin builtin_locale %%L', more ->> 'datlocale')
  end,
  case when more ->> 'daticurules' <> '' then format(' icu_rules %%L', more ->> 'daticurules') end
) as statement
from pg_database as d
join pg_tablespace as t on t.oid = d.dattablespace
cross join to_jsonb(d) as more
where d.datname = %(old)s
