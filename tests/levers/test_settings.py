"""Levers moved and moved back, on the virtual machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Platform
from testinfra.host import Host

from tests.support.commands import Run, ansible, ask, failures, recap
from tests.support.load import Load

SITE = "http://127.0.0.1"


class Site:
    """site.yml on the virtual machines, each with variables of its own."""

    def __init__(self, directory: Path) -> None:
        self.inventory = directory / "wishes.yml"

    def run(self, **wishes: dict[str, Any]) -> tuple[dict[str, str], str]:
        """Host → message of the task that failed there, and all that was printed."""
        hosts = {name: variables for name, variables in wishes.items() if variables}
        self.inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        chosen = ("-i", str(self.inventory), "--limit", ",".join(wishes))
        done = ansible("ansible-playbook", "site.yml", *chosen)
        output = done.stdout + done.stderr
        failed = {host: " ".join(message.split()) for host, message in failures(output)}
        assert done.returncode == (2 if failed else 0), output
        return failed, output


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def config(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.check_output("cat /etc/bookface/config.json"))
    return found


def console(host: Host, command: str) -> dict[str, str]:
    """Settings by PgBouncer's console."""
    code = (
        '$c = pg_connect("host=/run/pgbouncer port=6432 dbname=pgbouncer user=pgbouncer");'
        f'echo json_encode(pg_fetch_all(pg_query($c, "{command}")));'
    )
    rows = json.loads(host.check_output("su -s /bin/sh postgres -c %s", f"php -r '{code}'"))
    return {row["key"]: row["value"] for row in rows}


def process(host: Host) -> str:
    return host.check_output("systemctl show --property=MainPID --value pgbouncer")


def test_again_changes_nothing(platform: Platform) -> None:
    done = ansible("ansible-playbook", "site.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert Run.of(done).changed == dict.fromkeys(platform.hostvars, 0)


def test_bad_input_is_refused_before_anything_changes(platform: Platform, site: Site) -> None:
    failed, output = site.run(
        web1={"bookface_frontpage_limit": "ten"},
        web2={"bookface_config": {"frontpage_limit": 5}},
    )
    assert failed["web1"].startswith("bookface_frontpage_limit is ten")
    assert failed["web2"].startswith("bookface_config has frontpage_limit")
    assert {host: counts["changed"] for host, counts in recap(output).items()} == {
        "web1": 0,
        "web2": 0,
    }
    failed, output = site.run(
        web1={"pgbouncer_pool_size": 50}, web2={"pgbouncer_wanted_network": "nosuch"}
    )
    assert "6 hosts with pgbouncer_pool_size 50" in failed["web1"]
    assert "has no Docker network nosuch" in failed["web2"]
    assert {host: counts["changed"] for host, counts in recap(output).items()} == {
        "web1": 0,
        "web2": 0,
    }


@pytest.mark.load
def test_levers_moved_and_moved_back(platform: Platform, site: Site) -> None:
    first, second = platform.machine("web1"), platform.machine("web2")

    # Settings that PgBouncer would refuse are never put in place; and without levers the pages are
    # the application's own: straight to the database, nothing kept, the front page as it likes.
    before = second.check_output("sha256sum /etc/pgbouncer/pgbouncer.ini")
    failed, output = site.run(
        web1={
            "bookface_pooler": False,
            "bookface_cache_host": "",
            "bookface_frontpage_limit": "",
            "bookface_config": {"frontpage_limit": 3},
        },
        web2={"pgbouncer_settings": {"nosuch": 1}},
    )
    assert set(failed) == {"web2"}, output
    assert "failed to validate" in failed["web2"]
    assert second.check_output("sha256sum /etc/pgbouncer/pgbouncer.ini") == before
    found = config(first)
    assert (found["dbhost"], found["dbport"]) == (platform.address("db1"), "5432")
    assert not [key for key in found if "memcache" in key]
    assert ask(first, f"{SITE}/")[1].count("<article>") == 3

    # New settings come by a reload and cost no page, the pages' own settings among them.
    worker = process(second)
    url = f"http://{platform.address('web2')}/index.php?nomemcache=1"
    with Load([url], clients=4, rate=20, expect="Users:") as load:
        assert load.wait_for(20, seconds=30)
        failed, output = site.run(
            web1={},
            web2={
                "pgbouncer_wait_seconds": 17,
                "bookface_cache_pages": False,
                "bookface_activity_cutoff_days": 30,
            },
        )
        assert load.wait_for(load.requests + 20, seconds=30)
    assert not failed, output
    assert load.summary.failed == 0, load.summary.as_text()
    assert process(second) == worker
    assert console(second, "show config")["query_wait_timeout"] == "17"
    found = config(second)
    assert found["use_activity_cutoff_days"] == "30"
    assert "memcache_enabled" not in found
    assert found["memcache_enabled_pictures"] == 1

    # The first one has its levers again.
    assert config(first)["dbport"] == "6432"
    assert ask(first, f"{SITE}/")[1].count("<article>") == 10

    failed, output = site.run(web2={})
    assert not failed, output
    assert console(second, "show config")["query_wait_timeout"] == "30"
