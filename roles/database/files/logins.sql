-- The pages' account and what is named like its bridges: whether each may log in, and has its rights by membership.
select
  r.rolname as name,
  r.rolcanlogin as login,
  exists (
    select
    from pg_auth_members as m
    join pg_roles as u on u.oid = m.roleid
    where m.member = r.oid and u.rolname = %(user)s
  ) as ours
from pg_roles as r
where r.rolname = %(user)s or r.rolname ~ %(bridges)s
order by r.rolname
