"""The database on its own machine: service, addresses, rules, rights, indexes, seed."""

from __future__ import annotations

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://databases"]

TABLES = ("users", "posts", "comments", "pictures")
CLIENT_GROUPS = ("legacy_web", "docker_hosts", "swarm_managers", "swarm_workers")
# What the pages ask, and the index that has to answer without sorting.
QUERIES = {
    "select postid, text from posts where userid = 'x' order by postdate desc limit 1": (
        "bookface_posts_of_user"
    ),
    "select text from comments where postid = 'x' order by postdate asc limit 10": (
        "bookface_comments_of_post"
    ),
    "select userid, name from users order by lastpostdate desc limit 10": (
        "bookface_users_by_last_post"
    ),
    "select picture from pictures where pictureid = 'x'": "bookface_pictures_by_id",
}


def ask(host: Host, sql: str, database: str = "bf") -> list[list[str]]:
    """Rows that the server's own account gets."""
    with host.sudo("postgres"):
        answer = host.check_output("psql -XAtqF '|' -v ON_ERROR_STOP=1 %s -c %s", database, sql)
    return [line.split("|") for line in answer.splitlines()]


def address(host: Host, name: str) -> str:
    """Address of another machine, as this one knows it."""
    return str(host.check_output("getent ahostsv4 %s", name).split()[0])


def test_service_runs_now_and_after_a_reboot(host: Host) -> None:
    version = int(ask(host, "show server_version_num")[0][0]) // 10000
    assert host.service("postgresql").is_enabled
    assert host.service(f"postgresql@{version}-main").is_running


def test_listens_on_its_own_address_only(host: Host) -> None:
    own = host.ansible.get_variables()["ansible_host"]
    assert host.socket(f"tcp://{own}:5432").is_listening
    assert not host.socket("tcp://0.0.0.0:5432").is_listening
    assert not host.socket("tcp://:::5432").is_listening


def test_rules_let_in_web_servers_and_nobody_else(host: Host) -> None:
    groups = host.ansible.get_variables()["groups"]
    found = ask(
        host,
        "select user_name[1], address, auth_method from pg_hba_file_rules"
        " where type = 'host' and 'bf' = any(database)",
    )
    web = {name for group in CLIENT_GROUPS for name in groups.get(group, [])}
    assert web
    wanted = [["+bfuser", address(host, name), "scram-sha-256"] for name in web]
    wanted += [["bfowner", address(host, name), "scram-sha-256"] for name in groups["databases"]]
    assert sorted(found) == sorted(wanted)


def test_rules_are_without_error(host: Host) -> None:
    assert ask(host, "select line_number, error from pg_hba_file_rules where error <> ''") == []


def test_rules_that_came_with_the_server_are_kept(host: Host) -> None:
    assert ask(
        host,
        "select 1 from pg_hba_file_rules"
        " where type = 'local' and user_name = '{postgres}' and auth_method = 'peer'",
    )


def test_accounts_are_ordinary_and_their_passwords_hashed(host: Host) -> None:
    rows = ask(
        host,
        "select rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole,"
        " rolpassword like 'SCRAM-SHA-256$%' from pg_authid where rolname like 'bf%' order by 1",
    )
    assert rows == [["bfowner", "t", "f", "f", "f", "t"], ["bfuser", "t", "f", "f", "f", "t"]]


def test_tables_belong_to_the_owner(host: Host) -> None:
    rows = ask(host, "select tablename, tableowner from pg_tables where schemaname = 'public'")
    assert {table: owner for table, owner in rows if table in TABLES} == dict.fromkeys(
        TABLES, "bfowner"
    )


def test_pages_have_three_rights_on_the_tables(host: Host) -> None:
    rows = ask(
        host,
        "select table_name, privilege_type from information_schema.table_privileges"
        " where grantee = 'bfuser'",
    )
    wanted = [[table, right] for table in TABLES for right in ("SELECT", "INSERT", "UPDATE")]
    assert sorted(rows) == sorted(wanted)


def test_later_tables_of_the_owner_are_granted_alike(host: Host) -> None:
    rows = ask(
        host,
        "begin; set local role bfowner; create table later (a int);"
        " select has_table_privilege('bfuser', 'later', 'select,insert,update'),"
        " has_table_privilege('bfuser', 'later', 'delete'); rollback",
    )
    assert rows == [["t", "f"]]


def test_everybody_else_is_kept_out(host: Host) -> None:
    # acldefault: what NULL stands for
    rows = ask(
        host,
        "select count(*) from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) a"
        " where datname = 'bf' and a.grantee = 0",
    )
    assert rows == [["0"]]


def test_every_index_is_valid(host: Host) -> None:
    assert ask(host, "select indexrelid::regclass from pg_index where not indisvalid") == []


def test_indexes_are_known_as_ours(host: Host) -> None:
    rows = ask(
        host,
        "select relname from pg_class where relkind = 'i'"
        " and obj_description(oid) = 'Made by bookface.platform.db_optimize.'",
    )
    assert {row[0] for row in rows} == set(QUERIES.values())


@pytest.mark.parametrize(("sql", "index"), QUERIES.items(), ids=QUERIES.values())
def test_queries_of_the_pages_use_their_index(host: Host, sql: str, index: str) -> None:
    # The lab's tables are so small that reading them whole is as cheap.
    plan = ask(host, f"set enable_seqscan = off; set enable_bitmapscan = off; explain {sql}")
    text = "\n".join(line[0] for line in plan)
    assert f"using {index}" in text
    assert "Sort" not in text


def test_seed_has_its_size_and_its_counters_are_true(host: Host) -> None:
    facts = host.ansible.get_variables()
    users, posts, comments = (
        facts[f"database_seed_{table}"] for table in ("users", "posts", "comments")
    )
    # Pages and other tests may have added to it since.
    counts = (
        "select (select count(*) from users), (select count(*) from posts),"
        " (select count(*) from comments), sum(posts), sum(comments) from users"
    )
    found = [int(number) for number in ask(host, counts)[0]]
    wanted = [users, posts, comments, posts, comments]
    assert all(number >= want for number, want in zip(found, wanted)), found


def test_last_post_of_a_user_has_the_date_that_the_user_says(host: Host) -> None:
    # The pages round theirs to the second.
    rows = ask(
        host,
        "select count(*) from users"
        " join (select userid, max(postdate) as latest from posts group by userid) as p"
        " using (userid) where abs(extract(epoch from lastpostdate - latest)) > 2",
    )
    assert rows == [["0"]]


def test_few_users_write_most_of_the_posts(host: Host) -> None:
    rows = ask(
        host,
        "select sum(posts) filter (where place <= total / 10) > sum(posts) / 4 from"
        " (select posts, row_number() over (order by posts desc) as place,"
        " count(*) over () as total from users) as ranked",
    )
    assert rows == [["t"]]


def test_seeded_pictures_are_jpegs_in_hexadecimal(host: Host) -> None:
    rows = ask(
        host,
        "select decode(convert_from(picture, 'UTF8'), 'hex') from pictures"
        " where pictureid = (select picture from users where picture like 'seed-%' limit 1)",
    )
    assert len(rows) == 1
    picture = bytes.fromhex(rows[0][0].removeprefix("\\x"))
    assert picture.startswith(b"\xff\xd8\xff")
    assert picture.endswith(b"\xff\xd9")
