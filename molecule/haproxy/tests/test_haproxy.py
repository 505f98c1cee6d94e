"""A load balancer as the role leaves it."""

from __future__ import annotations

import csv
import re
import time

import pytest
import testinfra
from testinfra.host import Host

from tests.support.commands import ask

testinfra_hosts = ["ansible://loadbalancers"]

CONFIG = "/etc/haproxy/haproxy.cfg"
VERSIONS = {"lb26": "2.6", "lb30": "3.0"}


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Host:
    """The machine with the database, which has its client."""
    inventory = request.config.getoption("ansible_inventory")
    return testinfra.get_host("ansible://servers1", ansible_inventory=inventory)


def headers_of(host: Host, url: str, *arguments: str) -> dict[str, str]:
    """Headers of an answer, names in lower case."""
    lines = host.check_output(
        f"curl -sk -o /dev/null -D - {' '.join(arguments)} '{url}'"
    ).splitlines()
    pairs = (line.partition(":") for line in lines[1:])
    return {name.lower(): value.strip() for name, _colon, value in pairs if name.strip()}


def rows(host: Host) -> dict[tuple[str, str], dict[str, str]]:
    """HAProxy's statistics by section and server."""
    secret = host.ansible.get_variables()["haproxy_stats_password"]
    text = ask(host, "http://127.0.0.1:1936/;csv", f"-u stats:{secret}")[1].lstrip("# ")
    return {(row["pxname"], row["svname"]): row for row in csv.DictReader(text.splitlines())}


def asked(host: Host, path: str) -> int:
    """How often the servers themselves were asked for a picture."""
    node = f"{host.ansible.get_variables()['lab_network']}.11"
    return sum(int(ask(host, f"http://{node}:{port}/asked{path}")[1]) for port in (8001, 8002))


def test_version_is_the_one_meant(host: Host) -> None:
    name = host.ansible.get_variables()["inventory_hostname"]
    assert f"version {VERSIONS[name]}." in host.check_output("/usr/sbin/haproxy -v")


def test_service_runs_and_starts_at_boot(host: Host) -> None:
    assert host.service("haproxy").is_running
    assert host.service("haproxy").is_enabled


def test_configuration_is_valid_without_a_warning(host: Host) -> None:
    done = host.run(f"sudo haproxy -c -f {CONFIG}")
    assert done.rc == 0
    assert "WARNING" not in done.stdout + done.stderr


def test_configuration_is_not_readable_by_everyone(host: Host) -> None:
    file = host.file(CONFIG)
    assert (file.user, file.group, file.mode) == ("root", "haproxy", 0o640)


def test_traffic_goes_to_the_initial_backend(host: Host) -> None:
    seen = set()
    for _ in range(4):
        status, body = ask(host, "http://127.0.0.1/")
        assert status == 200
        seen.add(body.rsplit(" ", 1)[1])
    assert seen == {"8001", "8002"}


def test_responses_name_backend_and_server(host: Host) -> None:
    headers = host.check_output("curl -s -o /dev/null -D - http://127.0.0.1/").lower()
    assert "x-bookface-backend: legacy" in headers
    assert "x-bookface-server: web" in headers


def test_servers_see_the_client_s_address(host: Host) -> None:
    headers = ask(host, "http://127.0.0.1/headers")[1]
    assert "x-forwarded-for: 127.0.0.1" in headers.lower()


# Servers decode a path and resolve // and /../: all of these are one of two pages to them.
PROBES = [
    "/platform/live",
    "/platform/metrics?x",
    "/%70latform/metrics",
    "/platform%2Flive",
    "//platform/live",
    "/x/../platform/metrics",
    "/x%2f%2E%2e//./platform/live",
    "/a%0a/../platform/live",
]


@pytest.mark.parametrize("path", PROBES)
def test_probes_are_closed_to_the_public(host: Host, path: str) -> None:
    """The servers here would answer 200."""
    status, said = ask(host, f"http://127.0.0.1{path}", "-i --path-as-is -H 'X-Bookface-Probe: me'")
    assert status == 404
    assert "x-bookface-server: <NOSRV>" in said


@pytest.mark.parametrize("path", ["/platform", "/images/platform/1.jpg", "/?a=/platform/live"])
def test_what_only_looks_like_a_probe_passes(host: Host, path: str) -> None:
    assert ask(host, f"http://127.0.0.1{path}", "--path-as-is")[0] == 200


def test_probe_header_does_not_pass(host: Host) -> None:
    headers = ask(host, "http://127.0.0.1/headers", "-H 'X-Bookface-Probe: me'")[1]
    assert "x-bookface-probe" not in headers.lower()


def test_statistics_and_metrics_want_the_password(host: Host) -> None:
    secret = host.ansible.get_variables()["haproxy_stats_password"]
    for path in ("/", "/metrics"):
        assert ask(host, f"http://127.0.0.1:1936{path}")[0] == 401
        assert ask(host, f"http://127.0.0.1:1936{path}", f"-u stats:{secret}")[0] == 200
    assert secret not in host.check_output(f"sudo cat {CONFIG}")


def test_map_is_empty_on_disk(host: Host) -> None:
    lines = host.file("/etc/haproxy/maps/default_backend.map").content_string.splitlines()
    assert all(line.startswith("#") for line in lines)


def test_a_reload_can_be_watched_at_the_master_socket(host: Host) -> None:
    assert host.file("/run/haproxy-master.sock").is_socket


def test_https_serves_the_site(host: Host) -> None:
    """By the certificate that was made here: the chain and the name are right."""
    done = host.check_output(
        "sudo curl -s --cacert /etc/haproxy/certificates/self-signed.pem "
        "-w ' HTTP/%{http_version}' https://127.0.0.1/"
    )
    assert "Users:" in done
    assert done.endswith(" HTTP/2")


def test_the_key_is_for_root_alone(host: Host) -> None:
    with host.sudo():
        for name in ("self-signed.pem", "self-signed.pem.key"):
            file = host.file(f"/etc/haproxy/certificates/{name}")
            assert (file.user, file.mode) == ("root", 0o600)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_servers_see_the_scheme_whatever_the_client_says(host: Host, scheme: str) -> None:
    spoofed = "-H 'X-Forwarded-Proto: spoofed'"
    headers = ask(host, f"{scheme}://127.0.0.1/headers", "-k", spoofed)[1].lower()
    assert re.findall(r"x-forwarded-proto: (.*)", headers) == [scheme]


def test_browsers_are_told_to_stay_with_https_by_https_alone(host: Host) -> None:
    name = "strict-transport-security"
    assert headers_of(host, "https://127.0.0.1/")[name] == "max-age=3600"
    assert name not in headers_of(host, "http://127.0.0.1/")


def test_a_picture_is_asked_for_once(host: Host) -> None:
    path = f"/showimage.php?user={time.time()}"
    url = f"http://127.0.0.1{path}"
    first, second = headers_of(host, url), headers_of(host, url)
    assert first["x-bookface-server"] in ("web1", "web2")
    assert second["x-bookface-server"] == "cache"
    assert second["content-type"] == "image/jpeg"
    assert host.check_output(f"curl -s '{url}' | wc -c").strip() == "20002"
    assert asked(host, path) == 1
    # Browsers are told nothing: they ask each time.
    assert "cache-control" not in first | second
    assert int(rows(host)["legacy", "BACKEND"]["cache_hits"]) >= 2


@pytest.mark.parametrize("kind", ["lost", "big", "private"])
def test_what_is_no_small_public_picture_is_never_kept(host: Host, kind: str) -> None:
    path = f"/showimage.php?user={kind}{time.time()}"
    answers = [headers_of(host, f"http://127.0.0.1{path}") for _ in range(3)]
    assert asked(host, path) == 3
    assert [answer.get("cache-control") for answer in answers] == (
        ["private"] * 3 if kind == "private" else [None] * 3
    )


def test_pages_are_never_kept(host: Host) -> None:
    assert {headers_of(host, "http://127.0.0.1/")["x-bookface-server"] for _ in range(4)} == {
        "web1",
        "web2",
    }


def test_a_database_is_reached_through_its_port(host: Host, database: Host) -> None:
    facts = host.ansible.get_variables()
    address = f"{facts['lab_network']}.{facts['lab_node_number']}"
    query = f"psql -h {address} -p 5433 -U postgres -Atc 'select inet_client_addr()'"
    assert database.check_output(query) == address
    seen = rows(host)
    assert seen["database", "db1"]["status"] == "UP"
    assert seen["database", "gone"]["status"] == "DOWN"
    # The check spoke the database's language.
    assert seen["database", "db1"]["check_status"] == "L7OK"
    assert (seen["database", "spare"]["bck"], seen["database", "spare"]["act"]) == ("1", "0")


def test_the_fallback_waits_and_shows_as_backup(host: Host) -> None:
    seen = rows(host)
    for name in ("web1", "web2"):
        server = seen["docker", name]
        assert (server["status"], server["bck"], server["act"]) == ("UP", "1", "0")
        assert server["tracked"] == f"legacy/{name}"
    assert seen["docker", "docker1-32001"]["act"] == "1"
    assert ("legacy", "docker1-32001") not in seen


def test_additions_of_one_s_own_are_in_force(host: Host) -> None:
    assert ask(host, "http://127.0.0.1/ping") == (200, "pong")
    assert ask(host, "http://127.0.0.1/aside/x") == (200, "aside")
    text = host.check_output(f"sudo cat {CONFIG}")
    assert "timeout tarpit 7s" in text
    secret = host.ansible.get_variables()["haproxy_stats_password"]
    metrics = ask(host, "http://127.0.0.1:1936/metrics", f"-u stats:{secret}")[1]
    assert "haproxy_process_max_connections 5000" in metrics


def test_the_log_names_everything(host: Host) -> None:
    """Client, frontend, backend, server, five timers, status, bytes, and the client before that."""
    page = f"/page-{time.time()}"
    ask(host, f"http://127.0.0.1{page}", "-H 'X-Forwarded-For: 198.51.100.7'")
    line = (
        r"127\.0\.0\.1:\d+ \[[^]]+\] bookface legacy/web[12] (\d+/){4}\d+ 200 \d+ "
        r".*\{198\.51\.100\.7\} \"GET " + re.escape(page)
    )
    deadline = time.monotonic() + 30
    while not re.search(line, text := host.check_output("sudo journalctl -u haproxy -n 200")):
        assert time.monotonic() < deadline, text
        time.sleep(0.2)
