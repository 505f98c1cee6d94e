"""The poolers beside the web servers, and the pages through them."""

from __future__ import annotations

import pytest
import testinfra
from testinfra.host import Host

from tests.support.commands import ask

testinfra_hosts = ["ansible://db1"]

# Kind of web server → its address, and the machine whose pooler it uses.
WEB_SERVERS = {
    "legacy": (".11:80", ".11"),
    "docker": (".31:32001", ".31"),
    "swarm": (".31:8080", ".31"),
}
POOLERS = (".11", ".31")
SETTINGS = "/etc/pgbouncer"


def network(host: Host) -> str:
    return str(host.ansible.get_variables()["lab_network"])


def connections(host: Host, machine: str) -> set[str]:
    """Processes that serve the pages' account, connected from one machine."""
    query = "select client_addr || ' ' || pid from pg_stat_activity where usename = 'bfuser'"
    rows = host.check_output("sudo -u postgres psql -qtA -c %s", query).splitlines()
    return {row for row in rows if row.startswith(f"{network(host)}{machine}/")}


@pytest.mark.parametrize("kind", WEB_SERVERS)
def test_pages_share_connections_that_stay(host: Host, kind: str) -> None:
    """Without a pooler each page opens its own, and none is left afterwards."""
    site, machine = WEB_SERVERS[kind]
    url = f"http://{network(host)}{site}/index.php?nomemcache=1"
    assert "Users:" in ask(host, url)[1]
    before = connections(host, machine)
    assert before
    for _ in range(5):
        assert "Users:" in ask(host, url)[1]
    after = connections(host, machine)
    # One more where a readiness probe came at the same time.
    assert before <= after
    assert len(after - before) <= 1


@pytest.mark.parametrize("kind", WEB_SERVERS)
def test_pages_that_pass_no_password_come_through(host: Host, kind: str) -> None:
    site, _ = WEB_SERVERS[kind]
    assert "users: 200" in ask(host, f"http://{network(host)}{site}/showallusers.php")[1].lower()


@pytest.mark.parametrize("kind", WEB_SERVERS)
def test_readiness_asks_through_it(host: Host, kind: str) -> None:
    site, _ = WEB_SERVERS[kind]
    url = f"http://{network(host)}{site}/platform/ready"
    assert ask(host, url, "-H 'X-Bookface-Probe: test'") == (200, "ready\n")


@pytest.mark.parametrize("machine", POOLERS)
def test_no_other_machine_reaches_it(host: Host, machine: str) -> None:
    reached = host.run(f"timeout 3 bash -c '</dev/tcp/{network(host)}{machine}/6432'")
    assert reached.rc == 1, "refused is wanted"


@pytest.mark.parametrize("name", ["web1", "docker1"])
def test_its_files_are_for_its_account_alone(name: str) -> None:
    host = machine_of(name)
    found = host.check_output(f"sudo stat -c '%a %U:%G' {SETTINGS}/userlist.txt")
    assert found == "640 root:postgres"
    assert "lab-only" not in host.check_output(f"sudo cat {SETTINGS}/pgbouncer.ini")
    assert host.check_output("sudo stat -c '%a %U' /run/pgbouncer") == "700 postgres"


@pytest.mark.parametrize("name", ["web1", "docker1"])
def test_database_and_pooler_keep_one_secret_with_few_iterations(host: Host, name: str) -> None:
    query = "select rolpassword from pg_authid where rolname = 'bfuser'"
    secret = host.check_output("sudo -u postgres psql -qtA -c %s", query)
    assert secret.startswith("SCRAM-SHA-256$64:")
    kept = machine_of(name).check_output(f"sudo cat {SETTINGS}/userlist.txt")
    assert kept == f'"bfuser" "{secret}"'


@pytest.mark.parametrize(
    ("password", "said"), [("lab-only-bfuser-0123456789", "1"), ("wrong", "authentication failed")]
)
@pytest.mark.parametrize("kind", ["legacy", "docker"])
def test_it_asks_for_the_password(kind: str, password: str, said: str) -> None:
    """As the pages connect: by PHP, on the virtual machine and in a container."""
    code = (
        'error_reporting(E_ALL); $c = pg_connect("host=HOST port=6432 dbname=bf user=bfuser'
        f' password={password}"); echo $c ? pg_fetch_result(pg_query($c, "select 1"), 0, 0) : "";'
    )
    if kind == "legacy":
        done = machine_of("web1").run("php -r %s", code.replace("HOST", "127.0.0.1"))
    else:
        host = machine_of("docker1")
        gateway = host.check_output(
            "sudo docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' bookface"
        )
        done = host.run("sudo docker exec bookface-web-1 php -r %s", code.replace("HOST", gateway))
    assert said in done.stdout + done.stderr


def test_its_console_tells_of_transaction_mode() -> None:
    code = (
        '$c = pg_connect("host=/run/pgbouncer port=6432 dbname=pgbouncer user=pgbouncer");'
        'foreach (pg_fetch_all(pg_query($c, "show pools")) as $p)'
        ' echo "$p[database] $p[user] $p[pool_mode]\\n";'
    )
    said = machine_of("web1").check_output("sudo -u postgres php -r %s", code)
    assert "bf bfuser transaction" in said


def machine_of(name: str) -> Host:
    """Another machine of the scenario."""
    return testinfra.get_host(f"docker://bookface-performance-{name}")
