"""The firewall outlives what happens to a machine, is repaired, and leaves what is not its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.commands import Run, ansible
from tests.support.engine import docker
from tests.support.platform import Platform
from tests.support.waiting import until

TABLE = "inet bookface_platform"
MINE = "inet of_the_user"
METADATA = "169.254.169.254"


def reaches(platform: Platform, source: str, target: str, port: int) -> bool:
    """Whether a connection from one machine to another's port comes through."""
    connect = f"timeout 2 bash -c '</dev/tcp/{platform.addresses[target]}/{port}'"
    return platform.node(source, f"{connect} && echo open || true") == "open"


def tables(platform: Platform, name: str) -> set[str]:
    return set(re.findall(r"table (\w+ \w+)", platform.node(name, "nft list tables")))


def role(host: str, **variables: object) -> Run:
    """The role alone, on one machine."""
    done = ansible(
        "ansible", host, "--become", "-m", "ansible.builtin.include_role",
        "-a", "name=bookface.platform.firewall", "-e", json.dumps(variables),
    )  # fmt: skip
    return Run.of(done)


@contextmanager
def table_of_the_user(platform: Platform, name: str) -> Iterator[None]:
    """Rules of somebody else."""
    platform.node(name, f"nft add table {MINE}")
    try:
        yield
    finally:
        platform.node(name, f"nft delete table {MINE} || true")


def test_it_holds_while_the_machine_and_its_engine_start(platform: Platform) -> None:
    """Docker handles published ports, and writes its rules again at each start."""
    port = 32001
    docker("restart", f"{platform.name}-docker1")
    until(lambda: reaches(platform, "lb1", "docker1", port), "the container answers after a reboot")
    assert not reaches(platform, "web1", "docker1", port)
    platform.node("docker1", "systemctl restart docker")
    until(lambda: reaches(platform, "lb1", "docker1", port), "the container answers again")
    assert not reaches(platform, "web1", "docker1", port)


def dropped(platform: Platform, name: str, port: int) -> int:
    """How many datagrams to a port a machine has dropped."""
    rules = platform.node(name, f"nft list chain {TABLE} incoming")
    found = re.findall(rf"udp dport \S.*\b{port}\b.* counter packets (\d+) .*drop", rules)
    assert len(found) == 1, rules
    return int(found[0])


@pytest.mark.parametrize("port", [4789, 7946])
def test_swarm_hears_no_datagrams_of_strangers(platform: Platform, port: int) -> None:
    """4789 listens on all addresses, and believes everybody."""
    before = dropped(platform, "swarm1", port)
    send = f"bash -c 'echo > /dev/udp/{platform.addresses['swarm1']}/{port}'"
    platform.node("web1", f"{send}; {send}")
    until(lambda: dropped(platform, "swarm1", port) >= before + 2, "dropped from a stranger", 5)
    platform.node("swarm2", send)
    assert dropped(platform, "swarm1", port) == before + 2


def test_containers_do_not_reach_the_cloud_s_metadata(platform: Platform) -> None:
    """The load balancer plays the cloud: it answers at that address, and docker1 asks it there."""
    url = f"http://{METADATA}/"
    inside = f"docker exec bookface-web-1 busybox wget -q -T 3 -O - {url} || true"
    platform.node("lb1", f"ip address add {METADATA}/32 dev lo")
    platform.node("docker1", f"ip route add {METADATA} via {platform.addresses['lb1']}")
    try:
        assert "Users:" in platform.node("docker1", f"curl -s -m 20 {url}")
        assert "Users:" not in platform.node("docker1", inside)
        role("docker1", firewall_metadata_access=True).ok()
        assert "Users:" in platform.node("docker1", inside)
    finally:
        platform.node("docker1", f"ip route del {METADATA}")
        platform.node("lb1", f"ip address del {METADATA}/32 dev lo")
        role("docker1").ok()
    assert METADATA in platform.node("docker1", f"nft list table {TABLE}")


def test_it_comes_back_after_others_have_flushed_all_rules(platform: Platform) -> None:
    with table_of_the_user(platform, "web1"):
        platform.node("web1", "systemctl restart nftables")
        until(lambda: TABLE in tables(platform, "web1"), "the rules are back after a restart", 20)
        # Debian's own file flushes what is there.
        assert MINE not in tables(platform, "web1")
    for how in ("systemctl reload nftables", "systemctl stop nftables; systemctl start nftables"):
        platform.node("web1", how)
        until(lambda: TABLE in tables(platform, "web1"), f"the rules are back after {how}", 20)
    platform.node("web1", "nft flush ruleset")
    assert reaches(platform, "db1", "web1", 80)
    role("web1").ok()
    assert not reaches(platform, "db1", "web1", 80)


def test_rules_that_shut_ansible_out_change_nothing(platform: Platform) -> None:
    before = platform.node("web1", "nft list ruleset; cat /etc/bookface-firewall.nft")
    run = role("web1", firewall_ssh_sources=["198.51.100.0/24"])
    message = run.message("web1")
    assert re.search(r"Ansible is connected from \S+ to port 22, .* Nothing was changed", message)
    after = platform.node("web1", "nft list ruleset; cat /etc/bookface-firewall.nft")
    packets = re.compile(r"packets \d+ bytes \d+")
    assert packets.sub("", after) == packets.sub("", before)


HALVES = {
    "no unit": "rm /etc/systemd/system/bookface-firewall.service; systemctl daemon-reload",
    "no file of rules": "rm /etc/bookface-firewall.nft",
    "rules alone": "rm /etc/bookface-firewall.nft $(find /etc/systemd -name 'bookface-firewall*')",
    "files alone": f"systemctl disable --now bookface-firewall; nft delete table {TABLE} || true",
}


@pytest.mark.parametrize("half", HALVES)
def test_what_is_left_of_it_is_removed(platform: Platform, half: str) -> None:
    """As a removal by hand, or one that was cut off, leaves it."""
    try:
        platform.node("web1", HALVES[half])
        run = role("web1", firewall_state="absent").ok()
        assert run.output.count("CHANGED") + run.output.count("changed: true") > 0
        assert TABLE not in tables(platform, "web1")
        assert platform.node("web1", "find /etc -name 'bookface-firewall*'") == ""
        assert reaches(platform, "db1", "web1", 80)
    finally:
        role("web1").ok()
    assert not reaches(platform, "db1", "web1", 80)


def test_its_removal_leaves_what_is_not_ours(platform: Platform) -> None:
    with table_of_the_user(platform, "web1"):
        before = tables(platform, "web1")
        try:
            role("web1", firewall_state="absent").ok()
            assert tables(platform, "web1") == before - {TABLE}
            assert reaches(platform, "db1", "web1", 80)
            assert platform.node("web1", "find /etc -name 'bookface-firewall*'") == ""
        finally:
            role("web1").ok()
        assert tables(platform, "web1") == before
    assert not reaches(platform, "db1", "web1", 80)
