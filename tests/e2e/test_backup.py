"""A backup, rows that go wrong, and the way back, seen through the front door."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.platform import Platform
from tests.support.waiting import until

DIRECTORY = "/var/backups/bookface"
MACHINE = "db1"
OWNERS = (
    "select pg_get_userbyid(datdba), array(select unnest(datacl)::text order by 1)::text"
    " from pg_database where datname = 'bf'"
    " union all select tableowner, null from pg_tables where tablename = 'posts'"
)


def sql(platform: Platform, statement: str) -> str:
    return platform.node(MACHINE, f'su postgres -c "psql -XqAt -d bf -c \\"{statement}\\""')


def files(platform: Platform) -> set[str]:
    return set(platform.node(MACHINE, f"ls -A {DIRECTORY} 2> /dev/null || true").split())


def databases(platform: Platform) -> set[str]:
    return set(sql(platform, "select datname from pg_database where datname ~ '^bf'").split())


def page(platform: Platform, path: str, **parameters: str) -> str:
    url = f"{platform.url}{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  (http, our lab)
        return str(answer.read().decode())


def wait_for_page(platform: Platform, user: str, text: str) -> None:
    """Wait until the user's page shows it; a cache may need a moment."""
    until(
        lambda: text in page(platform, "showuser.php", user=user), f"{user}'s page shows {text}", 30
    )


@pytest.fixture
def _tidy(platform: Platform) -> Iterator[None]:
    before = files(platform)
    yield
    for name in files(platform) - before:
        platform.node(MACHINE, f"rm {DIRECTORY}/{name}")
    for name in databases(platform) - {"bf"}:
        platform.node(MACHINE, f"su postgres -c 'dropdb {name}'")


@pytest.mark.usefixtures("_tidy")
def test_backup_brings_back_what_was_broken(platform: Platform) -> None:
    before = files(platform)
    busiest = "select userid, name from users order by posts desc limit 1"
    user, name = sql(platform, busiest).split("|")
    owners = sql(platform, OWNERS)
    wait_for_page(platform, user, f"<h1>{name}</h1>")

    backup = platform.playbook("playbooks/backup.yml")
    assert backup.code == 0, backup.output
    made = files(platform) - before
    assert [bool(re.fullmatch(r"bf-\d{8}T\d{6}Z\.dump", name)) for name in made] == [True]
    (dump,) = made
    assert databases(platform) == {"bf"}

    sql(platform, "update users set name = 'Broken'")
    wait_for_page(platform, user, "<h1>Broken</h1>")
    platform.node(MACHINE, f"cd {DIRECTORY}; head -c 50000 {dump} > cut.dump; chmod 644 cut.dump")
    restore = ("playbooks/restore.yml", "-e", "confirm_restore=bf", "-e")
    cut = platform.playbook(*restore, "database_restore_file=cut.dump")
    assert cut.code != 0
    assert "cut.dump was not restored" in cut.output
    assert "bf serves as before" in cut.output
    assert databases(platform) == {"bf"}
    wait_for_page(platform, user, "<h1>Broken</h1>")

    restored = platform.playbook(*restore, f"database_restore_file={dump}")
    assert restored.code == 0, restored.output
    wait_for_page(platform, user, f"<h1>{name}</h1>")
    assert sql(platform, "select count(*) from users where name = 'Broken'") == "0"
    assert len(databases(platform)) == 2  # the broken one is still there, beside

    # Accounts and rights are those from before: pages can still write, all has its owner.
    page(platform, "addpost.php", user=user, post="written after the restore")
    wait_for_page(platform, user, "written after the restore")
    assert sql(platform, OWNERS) == owners


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "No file was given"),
        (("-e", "database_restore_file=x.dump"), "give its name: -e confirm_restore=bf"),
        (
            ("-e", "database_restore_file=x.dump", "-e", "confirm_restore=bf"),
            "No such file or directory",
        ),
    ],
    ids=["no file", "not confirmed", "no such file"],
)
def test_refusal_changes_nothing(
    platform: Platform, arguments: tuple[str, ...], message: str
) -> None:
    run = platform.playbook("playbooks/restore.yml", *arguments)
    assert run.code != 0
    assert message in " ".join(run.output.split())
    assert run.changed[MACHINE] == 0
