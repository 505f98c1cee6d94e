"""switch_backend.yml on two load balancers side by side: they never disagree afterwards."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from balancer import CONFIG, servers_node

from tests.support.commands import ansible, inventory
from tests.support.load import Load

BALANCERS = ("lb26", "lb30")
COOKIE = "bookface_cohort"


def switch(*arguments: str) -> tuple[bool, str]:
    """The playbook; whether it succeeded, and its output on one line."""
    done = ansible("ansible-playbook", "switch_backend.yml", *arguments)
    return done.returncode == 0, " ".join((done.stdout + done.stderr).split())


def as_root(balancer: str, command: str) -> str:
    shell = ("--become", "-m", "ansible.builtin.shell", "-a", command)
    done = ansible("ansible", balancer, *shell)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def urls() -> dict[str, str]:
    facts: dict[str, Any] = inventory(os.environ["BOOKFACE_INVENTORY"])["_meta"]["hostvars"]
    return {
        name: f"http://{facts[name]['lab_network']}.{facts[name]['lab_node_number']}/"
        for name in BALANCERS
    }


def backend(url: str, cohort: int | None = None) -> str:
    """Name of the backend that answers, to a client of this cohort."""
    request = urllib.request.Request(url)  # noqa: S310  (http, our lab)
    if cohort is not None:
        request.add_header("Cookie", f"{COOKIE}={cohort}")
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return str(answer.headers["X-Bookface-Backend"])


def backends(urls: dict[str, str]) -> set[str]:
    return {backend(url) for url in urls.values()}


def moved(url: str) -> set[int]:
    """The cohorts whose clients get the containers."""
    return {cohort for cohort in range(100) if backend(url, cohort) == "docker"}


def on_disk() -> list[str]:
    """The default_backend of both files."""
    lines = as_root("loadbalancers", f"grep default_backend {CONFIG}")
    return re.findall(r"^ *default_backend (\S+)$", lines, re.MULTILINE)


def begin_at(urls: dict[str, str], backend: str, share: int = 0) -> None:
    """All clients at a backend, or a share of them at the containers, live and on disk.

    Whatever the test before has left. Where it is so already, nothing is switched.
    """
    containers = range(100) if backend == "docker" else range(share)
    if on_disk() == [backend] * len(BALANCERS) and all(
        moved(url) == set(containers) for url in urls.values()
    ):
        return
    succeeded, output = switch("-e", f"target={backend}")
    assert succeeded, output
    if share:
        succeeded, output = switch("-e", "target=docker", "-e", f"percent={share}")
        assert succeeded, output


@pytest.fixture(scope="module", autouse=True)
def _end_at_legacy(urls: dict[str, str]) -> Iterator[None]:
    yield
    begin_at(urls, "legacy")
    assert backends(urls) == {"legacy"}


@pytest.mark.load
def test_all_are_switched_and_rolled_back(urls: dict[str, str], tmp_path: Path) -> None:
    begin_at(urls, "legacy")
    report = tmp_path / "report.json"
    with Load(list(urls.values()), clients=16, rate=150, expect="Users:") as load:
        assert load.wait_for(500, seconds=30)
        succeeded, output = switch("-e", "target=docker", "-e", f"switch_report={report}")
        assert load.wait_for(load.requests + 500, seconds=30)
    assert succeeded, output
    assert backends(urls) == {"docker"}
    assert load.summary.failed == 0, load.summary.as_text()
    told = json.loads(report.read_text())
    assert {
        name: (lb["before"], lb["after"], lb["engine"]) for name, lb in told.items()
    } == dict.fromkeys(BALANCERS, ("legacy", "docker", "runtime"))
    assert on_disk() == ["docker"] * len(BALANCERS)
    # A rollback returns all, and a second one changes nothing.
    succeeded, output = switch("-e", "rollback=true")
    assert succeeded, output
    assert backends(urls) == {"legacy"}
    succeeded, output = switch("-e", "rollback=true")
    assert succeeded, output
    assert re.findall(r"(lb\d+) +: ok=\d+ +changed=0 ", output) == [*BALANCERS]
    assert backends(urls) == {"legacy"}


def test_one_that_cannot_keeps_all_from_being_switched_unless_left_out(
    urls: dict[str, str],
) -> None:
    """It follows the others at the next run of the role, which starts it."""
    begin_at(urls, "legacy")
    as_root("lb30", "systemctl stop haproxy")
    try:
        succeeded, output = switch("-e", "target=docker")
        assert not succeeded
        assert "the state of the running HAProxy could not be read within" in output, output
        assert "check that HAProxy is running" in output, output
        assert backend(urls["lb26"]) == "legacy"
        succeeded, output = switch("-e", "target=docker", "-e", "haproxy_switch_skip=lb30")
        assert succeeded, output
        assert backend(urls["lb26"]) == "docker"
        assert sorted(on_disk()) == ["docker", "legacy"]
        done = ansible("ansible-playbook", "molecule/haproxy/converge.yml")
        assert done.returncode == 0, done.stdout
        assert backends(urls) == {"docker"}
        assert on_disk() == ["docker"] * len(BALANCERS)
        assert as_root("lb26", "ls /etc/haproxy").count("left-out") == 0
    finally:
        as_root("lb30", "systemctl start haproxy")


@pytest.mark.load
def test_one_that_fails_after_the_gate_takes_the_others_back(urls: dict[str, str]) -> None:
    begin_at(urls, "legacy")
    content = "{{ 'Users:' if inventory_hostname == 'lb26' else 'no such words' }}"
    proof = {"url": "http://127.0.0.1:80/", "content": content, "requests": 2}
    with Load(list(urls.values()), clients=8, rate=100, expect="Users:") as load:
        assert load.wait_for(50, seconds=30)
        succeeded, output = switch(
            "-e", "target=docker", "-e", json.dumps({"haproxy_switch_proof": proof})
        )
    assert not succeeded
    for balancer in BALANCERS:
        assert f"On {balancer} the traffic goes to legacy again." in output, output
    assert backends(urls) == {"legacy"}
    assert load.summary.failed == 0, load.summary.as_text()


@pytest.mark.load
def test_a_target_that_fails_others_on_another_page_is_taken_back(urls: dict[str, str]) -> None:
    """The proof's own page is well; what clients get is seen in HAProxy's counters."""
    begin_at(urls, "legacy")
    pages = [f"{url}not-in-containers" for url in urls.values()]
    with Load(pages, clients=8, rate=100) as load:
        assert load.wait_for(50, seconds=30)
        succeeded, output = switch("-e", "target=docker")
    assert not succeeded
    assert re.search(
        r"\d+ of \d+ answers from the servers of docker to all clients were errors, "
        r"expected at most 1\.0 %",
        output,
    ), output
    assert backends(urls) == {"legacy"}


@pytest.mark.load
def test_a_target_of_which_one_server_serves_no_page_gets_no_client(urls: dict[str, str]) -> None:
    """It passes its checks; few requests of a proof after the switch would meet it."""
    begin_at(urls, "legacy")
    servers_node("touch /run/test-server-8004-pages")
    try:
        with Load(list(urls.values()), clients=8, rate=100, expect="Users:") as load:
            succeeded, output = switch("-e", "target=docker")
    finally:
        servers_node("rm /run/test-server-8004-pages")
    assert not succeeded
    assert re.search(r"docker1-32002: http://\S+:8004/ answers 500, expected 200", output), output
    assert backends(urls) == {"legacy"}
    assert load.summary.failed == 0, load.summary.as_text()


def allowed(balancer: str) -> str:
    """Name of the backend that answers the address of haproxy_maintenance_allow."""
    headers = as_root(balancer, "curl -s -o /dev/null -D - --interface 127.0.0.2 http://127.0.0.1/")
    found = re.search(r"x-bookface-backend: (\S+)", headers, re.IGNORECASE)
    assert found, headers
    return found[1]


@pytest.mark.load
def test_maintenance_and_back(urls: dict[str, str]) -> None:
    """Each request gets the site or the page."""
    begin_at(urls, "docker")
    succeeded, output = switch("-e", "target=maintenance", "-e", "percent=10")
    assert not succeeded
    assert "maintenance is a page for all clients" in output, output
    with Load(list(urls.values()), clients=16, rate=100, expect="Users:") as load:
        assert load.wait_for(100, seconds=30)
        succeeded, output = switch("-e", "target=maintenance")
        assert succeeded, output
        assert output.count("5 of 5 requests served by maintenance") == len(BALANCERS), output
        succeeded, output = switch("-e", "rollback=true")
        assert succeeded, output
        assert load.wait_for(load.requests + 100, seconds=30)
    assert load.summary.failures.keys() == {"status_5xx"}, load.summary.as_text()
    assert load.summary.by_status.keys() == {"200", "503"}, load.summary.as_text()
    assert backends(urls) == {"docker"}


@pytest.mark.long
def test_one_that_was_left_out_follows_to_maintenance(urls: dict[str, str]) -> None:
    """Also where it came from: allowed addresses reach the same site on both."""
    begin_at(urls, "docker")
    as_root("lb30", "systemctl stop haproxy")
    try:
        skip = ("-e", "haproxy_switch_skip=lb30")
        succeeded, output = switch("-e", "target=maintenance", *skip)
        assert succeeded, output
        as_root("lb26", "systemctl restart haproxy")
        done = ansible("ansible-playbook", "molecule/haproxy/converge.yml")
        assert done.returncode == 0, done.stdout
        assert on_disk() == ["maintenance"] * len(BALANCERS)
        assert [allowed(balancer) for balancer in BALANCERS] == ["docker", "docker"]
        for url in urls.values():
            with pytest.raises(HTTPError) as answer:
                backend(url)
            assert answer.value.code == 503
            assert answer.value.headers["X-Bookface-Backend"] == "maintenance"
    finally:
        as_root("lb30", "systemctl start haproxy")
        succeeded, output = switch("-e", "rollback=true")
    assert succeeded, output
    assert backends(urls) == {"docker"}


def test_a_share_moves_these_clients_and_keeps_them(urls: dict[str, str]) -> None:
    """Ten percent, then more, then less: nobody who stays within the share changes sides."""
    begin_at(urls, "legacy")
    for percent in (10, 30, 20):
        succeeded, output = switch("-e", "target=docker", "-e", f"percent={percent}")
        assert succeeded, output
        assert f"{percent} % of the clients" in output
        for balancer, url in urls.items():
            assert moved(url) == set(range(percent)), balancer
    assert on_disk() == ["legacy"] * len(BALANCERS)


def test_a_client_without_cookie_gets_one_that_keeps_it(urls: dict[str, str]) -> None:
    begin_at(urls, "legacy", share=20)
    url = urls["lb26"]
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        cookie = str(answer.headers["Set-Cookie"])
        served = str(answer.headers["X-Bookface-Backend"])
    found = re.match(rf"{COOKIE}=(\d+); Path=/; HttpOnly; SameSite=Lax", cookie)
    assert found, cookie
    assert Counter(backend(url, int(found[1])) for _ in range(10)) == {served: 10}
    with urllib.request.urlopen(  # noqa: S310
        urllib.request.Request(url, headers={"Cookie": f"{COOKIE}=7"}),  # noqa: S310
        timeout=10,
    ) as answer:
        assert answer.headers["Set-Cookie"] is None


def test_the_role_keeps_a_share_through_its_own_reload(urls: dict[str, str]) -> None:
    begin_at(urls, "legacy", share=20)
    changed = ("-e", "haproxy_server_timeout=61")
    done = ansible("ansible-playbook", "molecule/haproxy/converge.yml", *changed)
    assert done.returncode == 0, done.stdout
    assert {frozenset(moved(url)) for url in urls.values()} == {frozenset(range(20))}
    done = ansible("ansible-playbook", "molecule/haproxy/converge.yml")
    assert done.returncode == 0, done.stdout
    assert {frozenset(moved(url)) for url in urls.values()} == {frozenset(range(20))}


def test_all_of_a_share_is_a_switch(urls: dict[str, str]) -> None:
    begin_at(urls, "legacy", share=20)
    succeeded, output = switch("-e", "target=docker", "-e", "percent=100")
    assert succeeded, output
    for url in urls.values():
        assert moved(url) == set(range(100))
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            assert answer.headers["Set-Cookie"] is None
    as_root("lb26", "systemctl reload haproxy")
    assert backends(urls) == {"docker"}


def test_rollback_ends_a_share(urls: dict[str, str]) -> None:
    begin_at(urls, "docker")
    assert switch("-e", "target=legacy", "-e", "percent=40")[0]
    assert moved(urls["lb30"]) == set(range(40, 100))
    succeeded, output = switch("-e", "rollback=true")
    assert succeeded, output
    for url in urls.values():
        assert moved(url) == set(range(100))
