"""What happens when a lever is moved, or what it leans on breaks. In the order of the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

from tests.support.commands import ansible, ask
from tests.support.load import Load

testinfra_hosts = ["docker://bookface-performance-web1"]

SITE = "http://127.0.0.1"


def site(*options: str, **variables: Any) -> tuple[bool, str]:
    """The platform again, on the virtual machine alone; whether it succeeded, and its output."""
    chosen = ("--limit", "web1", "-e", json.dumps(variables), *options)
    done = ansible("ansible-playbook", "site.yml", *chosen)
    return done.returncode == 0, " ".join((done.stdout + done.stderr).split())


def node(name: str) -> Host:
    return testinfra.get_host(f"docker://bookface-performance-{name}")


def config(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.check_output("cat /etc/bookface/config.json"))
    return found


def console(host: Host, command: str) -> str:
    """What PgBouncer's console says, as JSON."""
    code = (
        '$c = pg_connect("host=/run/pgbouncer port=6432 dbname=pgbouncer user=pgbouncer");'
        f'echo json_encode(pg_fetch_all(pg_query($c, "{command}")));'
    )
    return host.check_output("su -s /bin/sh postgres -c %s", f"php -r '{code}'")


def process(host: Host) -> str:
    return host.check_output("systemctl show --property=MainPID --value pgbouncer")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"bookface_frontpage_limit": "ten"}, "bookface_frontpage_limit is ten"),
        ({"bookface_config": {"frontpage_limit": 5}}, "bookface_config has frontpage_limit"),
        ({"pgbouncer_pool_size": 50}, "2 hosts with pgbouncer_pool_size 50"),
        ({"pgbouncer_wanted_network": "nosuch"}, "has no Docker network nosuch"),
    ],
)
def test_bad_input_is_refused_before_anything_changes(
    host: Host, variables: dict[str, Any], said: str
) -> None:
    succeeded, output = site(**variables)
    assert not succeeded
    assert said in output
    assert "changed=0" in output


def test_settings_that_pgbouncer_would_refuse_are_never_put_in_place(host: Host) -> None:
    before = host.check_output("sha256sum /etc/pgbouncer/pgbouncer.ini")
    succeeded, output = site(pgbouncer_settings={"nosuch": 1})
    assert not succeeded
    assert "failed to validate" in output
    assert host.check_output("sha256sum /etc/pgbouncer/pgbouncer.ini") == before


@pytest.mark.load
def test_new_settings_come_by_a_reload_and_cost_no_page(host: Host) -> None:
    """The pages' own settings among them."""
    before = process(host)
    url = f"http://{host.check_output('hostname -I').split()[0]}/index.php?nomemcache=1"
    with Load([url], clients=4, rate=20, expect="Users:") as load:
        assert load.wait_for(20, seconds=30)
        succeeded, output = site(
            pgbouncer_wait_seconds=17,
            bookface_cache_pages=False,
            bookface_activity_cutoff_days=30,
        )
        assert load.wait_for(load.requests + 20, seconds=30)
    assert succeeded, output
    assert load.summary.failed == 0, load.summary.as_text()
    assert process(host) == before
    shown = {row["key"]: row["value"] for row in json.loads(console(host, "show config"))}
    assert shown["query_wait_timeout"] == "17"
    found = config(host)
    assert found["use_activity_cutoff_days"] == "30"
    assert "memcache_enabled" not in found
    assert found["memcache_enabled_pictures"] == 1


def test_without_levers_the_pages_are_the_application_s_own(host: Host) -> None:
    """Straight to the database, nothing kept, the front page as long as the application likes."""
    succeeded, output = site(
        bookface_pooler=False,
        bookface_cache_host="",
        bookface_frontpage_limit="",
        bookface_config={"frontpage_limit": 3},
    )
    assert succeeded, output
    found = config(host)
    network = node("db1").check_output("hostname -I").split()[0]
    assert (found["dbhost"], found["dbport"]) == (network, "5432")
    assert not [key for key in found if "memcache" in key]
    assert ask(host, f"{SITE}/")[1].count("<article>") == 3


def test_and_back(host: Host) -> None:
    succeeded, output = site()
    assert succeeded, output
    assert config(host)["dbport"] == "6432"
    assert ask(host, f"{SITE}/")[1].count("<article>") == 10


@pytest.fixture
def stopped(request: pytest.FixtureRequest) -> Iterator[None]:
    """A service of the database's machine is out of order during the test."""
    node("db1").check_output(f"systemctl stop {request.param}")
    yield
    node("db1").check_output(f"systemctl start {request.param}")


@pytest.mark.parametrize("stopped", ["memcached"], indirect=True)
@pytest.mark.usefixtures("stopped")
def test_without_memcached_pages_come_all_the_same(host: Host) -> None:
    assert "Users:" in ask(host, f"{SITE}/")[1]


# The server itself: its umbrella, postgresql, has stopped before the server has.
@pytest.mark.parametrize("stopped", ["postgresql@17-main"], indirect=True)
@pytest.mark.usefixtures("stopped")
def test_readiness_sees_the_database_through_the_pooler(host: Host) -> None:
    assert ask(host, f"{SITE}/platform/ready", "-H 'X-Bookface-Probe: test'")[0] == 503


def test_the_pooler_finds_a_database_that_is_back(host: Host) -> None:
    host.check_output(
        f"for i in $(seq 60); do curl -sf -H 'X-Bookface-Probe: x' {SITE}/platform/ready"
        " && exit 0; sleep 0.5; done; exit 1"
    )
