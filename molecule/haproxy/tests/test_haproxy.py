"""A load balancer as the role leaves it."""

from __future__ import annotations

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://loadbalancers"]

CONFIG = "/etc/haproxy/haproxy.cfg"
VERSIONS = {"lb26": "2.6", "lb30": "3.0"}


def ask(host: Host, url: str, *arguments: str) -> tuple[int, str]:
    """Status and body of a page, asked from the load balancer itself."""
    done = host.run(f"curl -s -m 10 -w '\\n%{{http_code}}' {' '.join(arguments)} '{url}'")
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


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


@pytest.mark.parametrize("path", ["/platform/ready", "//platform/ready", "/platform/live"])
def test_probes_are_closed_to_the_public(host: Host, path: str) -> None:
    status, body = ask(host, f"http://127.0.0.1{path}", "--path-as-is -H 'X-Bookface-Probe: me'")
    assert status == 404 or "Users" in body


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
