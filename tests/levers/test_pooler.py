"""The poolers beside the web servers, and the pages through them."""

from __future__ import annotations

import pytest
from conftest import Platform
from testinfra.host import Host

from tests.support.commands import ask
from tests.support.waiting import until

SETTINGS = "/etc/pgbouncer"
# One machine of each kind that has a pooler.
MACHINES = ("web1", "docker1", "swarm1")
CONSOLE = (
    '$c = pg_connect("host=/run/pgbouncer port=6432 dbname=pgbouncer user=pgbouncer");'
    'foreach (pg_fetch_all(pg_query($c, "show pools")) as $p)'
    ' echo "$p[database] $p[user] $p[pool_mode]\\n";'
)


@pytest.fixture
def host(platform: Platform) -> Host:
    """The machine of the database."""
    return platform.machine("db1")


@pytest.fixture
def lb1(platform: Platform) -> Host:
    """The machine that may ask the web servers."""
    return platform.machine("lb1")


def connections(host: Host, address: str) -> set[str]:
    """Processes that serve the pages' account, connected from one machine."""
    query = "select client_addr || ' ' || pid from pg_stat_activity where usename = 'bfuser'"
    rows = host.check_output("sudo -u postgres psql -qtA -c %s", query).splitlines()
    return {row for row in rows if row.startswith(f"{address}/")}


def test_pages_share_connections_that_stay(
    platform: Platform, host: Host, lb1: Host, kind: str
) -> None:
    """Without a pooler each page opens its own, and none is left afterwards."""
    machine, site = platform.web_server(kind)
    address, url = platform.address(machine), f"http://{site}/index.php?nomemcache=1"
    assert "Users:" in ask(lb1, url)[1]
    before = connections(host, address)
    assert before
    for _ in range(5):
        assert "Users:" in ask(lb1, url)[1]
    after = connections(host, address)
    # One more where a readiness probe came at the same time.
    assert before <= after
    assert len(after - before) <= 1


def test_pages_that_pass_no_password_come_through(platform: Platform, lb1: Host, kind: str) -> None:
    _, site = platform.web_server(kind)
    assert "users: 200" in ask(lb1, f"http://{site}/showallusers.php")[1].lower()


def test_readiness_asks_through_it(platform: Platform, lb1: Host, kind: str) -> None:
    _, site = platform.web_server(kind)
    url = f"http://{site}/platform/ready"
    assert ask(lb1, url, "-H 'X-Bookface-Probe: test'") == (200, "ready\n")


@pytest.mark.parametrize("name", MACHINES)
def test_no_other_machine_reaches_it(platform: Platform, host: Host, name: str) -> None:
    reached = host.run(f"timeout 3 bash -c '</dev/tcp/{platform.address(name)}/6432'")
    assert reached.rc == 1, "expected: refused"


@pytest.mark.parametrize("name", MACHINES)
def test_its_files_are_for_its_account_alone(platform: Platform, name: str) -> None:
    host = platform.machine(name)
    found = host.check_output(f"stat -c '%a %U:%G' {SETTINGS}/userlist.txt")
    assert found == "640 root:postgres"
    assert "lab-only" not in host.check_output(f"cat {SETTINGS}/pgbouncer.ini")
    assert host.check_output("stat -c '%a %U' /run/pgbouncer") == "700 postgres"


@pytest.mark.parametrize("name", MACHINES)
def test_database_and_pooler_keep_one_secret_with_few_iterations(
    platform: Platform, host: Host, name: str
) -> None:
    query = "select rolpassword from pg_authid where rolname = 'bfuser'"
    secret = host.check_output("sudo -u postgres psql -qtA -c %s", query)
    assert secret.startswith("SCRAM-SHA-256$64:")
    kept = platform.machine(name).check_output(f"cat {SETTINGS}/userlist.txt")
    assert kept == f'"bfuser" "{secret}"'


@pytest.mark.parametrize(
    ("right", "said"), [(True, "1"), (False, "authentication failed")], ids=["right", "wrong"]
)
def test_it_asks_for_the_password(platform: Platform, right: bool, said: str) -> None:
    """As the pages connect: by PHP."""
    code = (
        'error_reporting(E_ALL); $c = pg_connect("host=127.0.0.1 port=6432 dbname=bf user=bfuser'
        f' password={platform.password if right else "wrong"}");'
        ' echo $c ? pg_fetch_result(pg_query($c, "select 1"), 0, 0) : "";'
    )
    done = platform.machine("web1").run("php -r %s", code)
    assert said in done.stdout + done.stderr


def test_containers_are_asked_for_the_password_too(platform: Platform) -> None:
    """From inside a container's network, at the address by which its pages reach the pooler.

    Its answer to the first message: a list of ways to log in with SCRAM alone in it.
    """
    host = platform.machine("docker1")
    gateway, process = (
        host.check_output(command)
        for command in (
            "docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' bookface",
            "docker inspect -f '{{.State.Pid}}' bookface-web-1",
        )
    )
    client = (
        "import socket, struct, sys;"
        r" words = b'user\0bfuser\0database\0bf\0\0';"
        " server = socket.create_connection((sys.argv[1], 6432), 5);"
        " server.sendall(struct.pack('!ii', len(words) + 8, 196608) + words);"
        " print(server.recv(4096))"
    )
    said = host.check_output(f"nsenter --target {process} --net python3 -c %s {gateway}", client)
    # AuthenticationSASL: its length, its number 10, the mechanisms.
    assert said == r"b'R\x00\x00\x00\x17\x00\x00\x00\nSCRAM-SHA-256\x00\x00'"


def test_its_console_says_transaction_mode(platform: Platform) -> None:
    said = platform.machine("web1").check_output("sudo -u postgres php -r %s", CONSOLE)
    assert "bf bfuser transaction" in said


def test_it_finds_a_database_that_is_back(platform: Platform, host: Host, lb1: Host) -> None:
    """Readiness sees a lost database through the pooler, and the pooler a new one."""
    _, site = platform.web_server("legacy")
    ready = f"http://{site}/platform/ready"
    # The server itself: its umbrella, postgresql, has stopped before the server has.
    host.check_output("systemctl stop postgresql@17-main")
    try:
        assert ask(lb1, ready, "-H 'X-Bookface-Probe: test'")[0] == 503
    finally:
        host.check_output("systemctl start postgresql@17-main")
    until(
        lambda: ask(lb1, ready, "-H 'X-Bookface-Probe: test'")[0] == 200,
        "the pages are ready again",
        30,
    )
