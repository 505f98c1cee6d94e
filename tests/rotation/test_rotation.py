"""The password of the database changes while clients ask every kind of web server."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator

import pytest

from tests.support.commands import inventory, killed_at
from tests.support.load import Load
from tests.support.platform import Platform

NEW = "lab-only-rotated-0123456789"
# What costs time and is tested elsewhere.
QUICKLY = ("-e", "swarm_watch=0")
ROTATE = ("rotate.yml", *QUICKLY)
CHANGED = (*ROTATE, "-e", f"bookface_db_password={NEW}")
BRIDGE, SECOND = "bfuser_rotation", "bfuser_rotation2"


def accounts(platform: Platform) -> list[str]:
    """Those that pages can log in as."""
    query = "select rolname from pg_roles where rolname ~ '^bfuser' and rolcanlogin order by 1"
    return platform.node("db1", f'su postgres -c "psql -qtA -c \\"{query}\\""').split()


def logins(platform: Platform) -> dict[str, tuple[str, str]]:
    """Account and password of one web server of each kind."""
    tasks = "docker ps --quiet --filter label=platform.bookface.made=swarm"
    nodes = [*platform.groups["swarm_managers"], *platform.groups["swarm_workers"]]
    node, task = next(
        (node, ids.split()[0]) for node in nodes if (ids := platform.node(node, tasks))
    )
    read = {
        "legacy": ("web1", "cat /etc/bookface/config.json"),
        "docker": ("docker1", "cat /etc/bookface/web/config.json"),
        "swarm": (node, f"docker exec {task} busybox cat /etc/bookface/config.json"),
    }
    found = {}
    for kind, (host, command) in read.items():
        settings = json.loads(platform.node(host, command))
        found[kind] = (settings["dbuser"], settings["dbpassw"])
    return found


def taken_out(platform: Platform) -> dict[str, int]:
    """Web servers on virtual machines: how often their checks have taken them out."""
    ask = "s.connect('/run/haproxy/admin.sock'); s.send(b'show stat\\n')"
    program = f"import socket; s = socket.socket(socket.AF_UNIX); {ask}; print(s.makefile().read())"
    shown = platform.node("lb1", f'python3 -c "{program}"').removeprefix("# ").strip()
    rows = csv.DictReader(shown.splitlines())
    return {
        row["svname"]: int(row["chkdown"])
        for row in rows
        if row["pxname"] == "legacy" and row["chkdown"]
    }


@pytest.fixture(autouse=True)
def _on_containers(platform: Platform) -> Iterator[None]:
    if platform.backend() != "docker":
        platform.switch("docker").ok()
    yield
    platform.switch("docker").ok()


def asking(platform: Platform) -> Load:
    """Clients of the backend that has the traffic."""
    urls = [platform.url, f"{platform.url}showallusers.php"]
    return Load(urls, clients=6, rate=25, at_least=800, expect="(?i)users:")


# A run of site.yml for each of three rounds.
@pytest.mark.timeout(2400)
@pytest.mark.load
def test_rotation_under_load(platform: Platform) -> None:
    """There, killed when the account has its password, and back: without any run in between."""
    first = inventory(platform.inventory)["_meta"]["hostvars"]["db1"]["bookface_db_password"]
    own = dict.fromkeys(("legacy", "docker", "swarm"), ("bfuser", first))
    assert logins(platform) == own

    some = ("--limit", "databases,docker_hosts")
    refused = platform.playbook("site.yml", *some, "-e", f"bookface_db_password={NEW}")
    assert "To change it while the site serves, run rotate.yml" in refused.text
    assert logins(platform) == own

    checks = taken_out(platform)
    with asking(platform) as containers:
        killed_at("Show that they are changed", *CHANGED)
        assert logins(platform) == dict.fromkeys(own, (BRIDGE, NEW))
        assert accounts(platform) == ["bfuser", BRIDGE]
    platform.switch("swarm").ok()
    with asking(platform) as tasks:
        rotated = platform.playbook(*ROTATE).ok()
    for name, load in (("docker", containers), ("swarm", tasks)):
        assert load.summary.failed == 0, load.summary.as_text()
        assert set(load.summary.by_backend) == {name}
    assert taken_out(platform) == checks
    # Others may have been on the first bridge.
    assert f"Meanwhile the pages log in as {SECOND}" in rotated.text
    assert logins(platform) == own
    assert accounts(platform) == ["bfuser"]
