# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL that reads tables, indexes, and builds under way. Parameters as psycopg2 names them."""

# ruff: noqa: S608  (all that is put into SQL here stands here)

from __future__ import annotations

from ansible_collections.bookface.platform.plugins.module_utils.database.engine import (
    COCKROACHDB,
    YUGABYTEDB,
)

# What sessions of ours call themselves.
APPLICATION = "bookface.platform.db_optimize"

# Of pg_index as x. Only such an index serves queries.
VALID = "x.indisvalid and x.indisready and x.indislive"

# The tables that are asked for, and all partitions of theirs.
_TREE = """
with recursive tree (root, relid, parent) as (
  select t.oid, t.oid, null::oid
  from pg_class as t
  join pg_namespace as n on n.oid = t.relnamespace
  where n.nspname = %(schema)s and t.relname in (select json_array_elements_text(%(tables)s))
  union all
  select tree.root, i.inhrelid, i.inhparent
  from tree
  join pg_class as t on t.oid = tree.relid and t.relkind = 'p'
  join pg_inherits as i on i.inhparent = t.oid
)
"""

# Sessions that hold the lock which a build takes on its table, as does VACUUM or ANALYZE.
_LOCKS = """
  from pg_locks as l
  where l.database = (select d.oid from pg_database as d where d.datname = current_database())
  and l.mode = 'ShareUpdateExclusiveLock' and l.granted and l.pid <> pg_backend_pid()
"""


def _building(engine: str, version: int, table: str) -> str:
    """Whether another session is building an index of C(table)."""
    if engine == YUGABYTEDB:  # its pg_locks does not show the lock
        return (
            "select from pg_stat_progress_create_index as p"
            f" where p.relid = {table} and p.pid <> pg_backend_pid()"
        )
    locked = f"select {_LOCKS} and l.relation = {table}"
    if version >= 120000:
        # The view shows nothing but the pid of the builds of other accounts.
        return f"{locked} and l.pid in (select p.pid from pg_stat_progress_create_index as p)"
    # Autovacuum has no user. Anybody else but VACUUM may be building.
    return (
        f"{locked} and l.pid in"
        " (select a.pid from pg_stat_activity as a where a.usename is not null)"
        " and l.pid not in (select p.pid from pg_stat_progress_vacuum as p)"
    )


# YugabyteDB has the same catalogue.
_POSTGRESQL = f"""
{_TREE}
select
  current_user::text as account,
  pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as read_only,
  case
    when has_schema_privilege(to_regnamespace(quote_ident(%(schema)s)), 'USAGE')
      and has_schema_privilege(to_regnamespace(quote_ident(%(schema)s)), 'CREATE') then ''
    else format('GRANT USAGE, CREATE ON SCHEMA %%I TO %%I', %(schema)s, current_user)
  end as lacks,
  (
    select coalesce(json_object_agg(t.relname, json_build_object(
      'columns', (
        select json_object_agg(
          a.attname,
          json_build_object('type', format_type(a.atttypid, null), 'width', s.avg_width)
          order by a.attnum
        )
        from pg_attribute as a
        left join pg_stats as s
        on s.schemaname = n.nspname and s.tablename = t.relname and s.attname = a.attname
        and s.inherited = (t.relkind = 'p')
        where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
      ),
      'rows', (
        select case when bool_or(c.reltuples >= 0) then sum(greatest(c.reltuples, 0)) else -1 end
        from tree join pg_class as c on c.oid = tree.relid
        where tree.root = t.oid and c.relkind <> 'p'
      ),
      'size', (
        select sum(pg_relation_size(tree.relid)) from tree where tree.root = t.oid
      ),
      'partitioned', t.relkind = 'p',
      'partitions', (
        select coalesce(json_agg(json_build_object(
          'name', c.relname,
          'schema', s.nspname,
          'parent', p.relname,
          'kind', case c.relkind when 'f' then 'foreign table' else 'table' end,
          'partitioned', c.relkind = 'p',
          'owner', case when pg_has_role(c.relowner, 'USAGE') then '' else
            pg_get_userbyid(c.relowner) end
        ) order by c.relname), '[]')
        from tree
        join pg_class as c on c.oid = tree.relid
        join pg_namespace as s on s.oid = c.relnamespace
        join pg_class as p on p.oid = tree.parent
        where tree.root = t.oid
      ),
      'owned', pg_has_role(t.relowner, 'USAGE'),
      'owner', o.rolname,
      -- gives this account the rights of an owner that is a role without login
      'join', case
        when o.rolcanlogin then ''
        when not pg_has_role(t.relowner, 'MEMBER') then
          format('GRANT %%I TO %%I', o.rolname, current_user)
        when current_setting('server_version_num')::int < 160000 then
          format('ALTER ROLE %%I INHERIT', current_user)
        else format('GRANT %%I TO %%I WITH INHERIT TRUE', o.rolname, current_user)
      end,
      'analyzed_seconds',
      extract(epoch from clock_timestamp() - greatest(u.last_analyze, u.last_autoanalyze))
    )), '{{}}')
    from pg_class as t
    join pg_namespace as n on n.oid = t.relnamespace
    join pg_roles as o on o.oid = t.relowner
    left join pg_stat_all_tables as u on u.relid = t.oid
    where n.nspname = %(schema)s and (
      t.relkind = 'r' or t.relkind = 'p' and current_setting('server_version_num')::int >= 110000
    )
    and t.relname in (select json_array_elements_text(%(tables)s))
  ) as tables,
  (
    -- an index shares its names with these
    select coalesce(json_object_agg(t.relname, case t.relkind
      when 'r' then 'table' when 'p' then 'partitioned table' when 'f' then 'foreign table'
      when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence'
      when 'I' then 'partitioned index' else 'type'
    end), '{{}}')
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
        array(
          select o.option from unnest(x.indoption) with ordinality as o(option, n) order by o.n
        ) as options,
        -- usable by every query on its columns; lsm is what YugabyteDB calls its trees
        m.amname in ('btree', 'lsm') and x.indpred is null and x.indexprs is null and not exists (
          select
          from generate_series(0, x.indnkeyatts - 1) as k
          join pg_attribute as a on a.attrelid = x.indrelid and a.attnum = x.indkey[k]
          join pg_opclass as c on c.oid = x.indclass[k]
          where not c.opcdefault or x.indcollation[k] <> a.attcollation
        ) as plain,
        {VALID} as valid,
        exists (BUILDING) as building,
        i.relkind = 'I' as partitioned,
        coalesce((
          select r.relname from pg_inherits as h join pg_class as r on r.oid = h.inhparent
          where h.inhrelid = x.indexrelid
        ), '') as parent,
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
"""

# Indexes appear here once they are complete: a build is a job of the cluster, which rolls back one
# that fails.
_COCKROACHDB = """
select
  current_user as account,
  current_setting('transaction_read_only') = 'on' as read_only,
  '' as lacks,
  (
    select coalesce(json_object_agg(t.table_name, json_build_object(
      'columns', (
        select json_object_agg(c.column_name, json_build_object('type', c.data_type, 'width', 0))
        from information_schema.columns as c
        where c.table_schema = t.table_schema and c.table_name = t.table_name
      ),
      'rows', -1,
      'size', 0,
      'partitioned', false,
      'partitions', '[]'::jsonb,
      'owned', true,
      'owner', '',
      'join', '',
      'analyzed_seconds', null
    )), '{}')
    from information_schema.tables as t
    where t.table_schema = %(schema)s and t.table_type = 'BASE TABLE'
    and t.table_name in (select json_array_elements_text(%(tables)s))
  ) as tables,
  '{}'::jsonb as relations,
  (
    select coalesce(json_agg(json_build_object(
      'name', s.index_name,
      'table', s.table_name,
      'columns', s.columns,
      'options', s.options,
      -- neither partial nor inverted nor on an expression
      'plain', d.indexdef not like '%% WHERE %%' and d.indexdef like '%% USING btree %%'
        and s.named,
      'valid', true,
      'building', false,
      'partitioned', false,
      'parent', '',
      'constraint', exists (
        select 1 from information_schema.table_constraints as k
        where k.table_schema = s.table_schema and k.table_name = s.table_name
        and k.constraint_name = s.index_name
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
"""

_HOLDER = """
  a.pid, a.usename, a.application_name, a.state,
  extract(epoch from clock_timestamp() - a.xact_start), a.query_start::timestamptz(0)::text, a.query
"""
_HELD = f"""
  select coalesce(json_agg(json_build_array({_HOLDER})), '[]')
  from pg_stat_activity as a
  where a.pid in (
    select l.pid {_LOCKS} and l.relation in (select tree.relid from tree)
    union
    select b.pid
    from pg_stat_activity as w cross join unnest(pg_blocking_pids(w.pid)) as b (pid)
    where w.application_name = '{APPLICATION}' and w.datname = current_database()
  )
"""
_BUT_BUILDS = " and a.pid not in (select p.pid from pg_stat_progress_create_index as p)"


def catalogue(engine: str, version: int) -> str:
    """One row: the account's rights, tables, relations, indexes. C(version) as libpq numbers it."""
    if engine == COCKROACHDB:
        return _COCKROACHDB
    text = _POSTGRESQL.replace("BUILDING", _building(engine, version, "x.indrelid"))
    # Before INCLUDE, all columns were keys.
    return text if version >= 110000 else text.replace("x.indnkeyatts", "x.indnatts")


_BUILDS = """
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
"""


def progress(engine: str, version: int) -> str:
    """One row: builds in this database, whether one is of our tables, and who else holds those.

    Those are the sessions, as C(HOLDERS) gives them, that lock one of the tables as a build does or
    that block a session of ours. The view of builds came with PostgreSQL 12.
    """
    view = engine == YUGABYTEDB or version >= 120000
    none = "select '[]'::json"
    return f"""
    {_TREE}
    select
      ({_BUILDS if view else none}) as builds,
      exists (
        select from tree where exists ({_building(engine, version, "tree.relid")})
      ) as building,
      ({none if engine == YUGABYTEDB else _HELD + (_BUT_BUILDS if view else "")}) as holders
    """


# Sessions that block the session %s. A prepared transaction has the pid 0 and no session.
HOLDERS = f"""
select case b.pid when 0 then 0 else a.pid end, {_HOLDER.partition(",")[2]}
from unnest(pg_blocking_pids(%s)) as b (pid) left join pg_stat_activity as a on a.pid = b.pid
where b.pid = 0 or a.pid is not null
"""


def leftover(engine: str, version: int) -> str:
    """Whether an index (schema, name, table) is invalid and no session is building it."""
    return f"""
    select count(*)
    from pg_index as x
    join pg_class as i on i.oid = x.indexrelid
    join pg_namespace as n on n.oid = i.relnamespace
    join pg_class as t on t.oid = x.indrelid
    where n.nspname = %s and i.relname = %s and t.relname = %s
    and not ({VALID})
    and not exists ({_building(engine, version, "x.indrelid")})
    """


# Whether a session (pid) is still there.
ALIVE = "select count(*) from pg_stat_activity where pid = %s"

# Bytes of an index (schema, name).
SIZE = """
select pg_relation_size(i.oid)
from pg_class as i join pg_namespace as n on n.oid = i.relnamespace
where n.nspname = %s and i.relname = %s
"""
