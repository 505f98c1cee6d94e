-- The pages' account and what is named like its bridges: whether each can log in, and has its rights by membership.
-- The access rules demand SCRAM: with another kind of password, or none, nobody gets in.
select
  r.rolname as name,
  r.rolcanlogin and coalesce(r.rolpassword like 'SCRAM-SHA-256$%%', false) as login,
  exists (
    select
    from pg_auth_members as m
    join pg_roles as u on u.oid = m.roleid
    where m.member = r.oid and u.rolname = %(user)s
  ) as ours
from pg_authid as r
where r.rolname = %(user)s or r.rolname ~ %(bridges)s
order by r.rolname
