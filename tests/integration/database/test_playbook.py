# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/indexes.yml, alone and in site.yml, for a database whose machine is in no group."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from workalike.support import LOOPBACK

from tests.support.commands import Run

from .conftest import INDEXES, MARK, OWNER, OWNER_PASSWORD, Database, ended

Groups = Mapping[str, Sequence[str]]


def site_of(database: Database) -> dict[str, Any]:
    """What an inventory says for all hosts, each of which is this machine."""
    return {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": "/usr/bin/python3",
        "bookface_db_host": LOOPBACK,
        "bookface_db_port": database.cluster.port,
        "bookface_db_name": database.name,
        "bookface_db_owner": OWNER,
    }


def play(
    playbooks: Sequence[str],
    place: Path,
    groups: Groups,
    variables: Mapping[str, Any],
    *options: str,
) -> Run:
    """Playbooks of the project, to their end."""
    children = {group: {"hosts": {host: {} for host in hosts}} for group, hosts in groups.items()}
    inventory = place / "inventory.yml"
    inventory.write_text(json.dumps({"all": {"vars": variables, "children": children}}))
    return ended(["ansible-playbook", "-i", str(inventory), *options, *playbooks])


@pytest.mark.parametrize(
    ("groups", "asked"),
    [
        ({"databases": ["db1", "db2"], "docker_hosts": ["docker1"]}, "db1"),
        ({"databases": [], "legacy_web": ["web1"], "docker_hosts": ["docker1"]}, "docker1"),
        ({"legacy_web": ["web1", "web2"], "loadbalancers": ["lb1"]}, "web1"),
        ({"loadbalancers": ["lb1"]}, None),
    ],
)
def test_one_host_asks(tmp_path: Path, groups: Groups, asked: str | None) -> None:
    """In site.yml, and in the playbook alone."""
    playbooks = ["site.yml", "playbooks/indexes.yml"]
    listed = play(playbooks, tmp_path, groups, {}, "--list-hosts")
    assert listed.code == 0, listed.output
    pattern = r": Indexes\s.*\n.*\n +hosts \(\d\):\n((?: {6}\S+\n)*)"
    found = re.findall(pattern, listed.output)
    assert [hosts.split() for hosts in found] == [[asked] if asked else []] * 2


def test_a_web_server_builds_the_indexes(database: Database, tmp_path: Path) -> None:
    """All of them, by one host. A preview and a second run are test_role.py's."""
    database.seed()
    groups = {"databases": [], "docker_hosts": ["docker1", "docker2"], "legacy_web": ["web1"]}
    variables = site_of(database) | {"bookface_db_owner_password": OWNER_PASSWORD}
    done = play(["playbooks/indexes.yml"], tmp_path, groups, variables)
    assert done.code == 0, done.output
    assert done.changed.keys() == {"docker1"}
    assert database.indexes() == dict.fromkeys(INDEXES, (True, MARK))


def test_site_goes_on_without_the_owner_s_password(database: Database, tmp_path: Path) -> None:
    """It says what it leaves out. On its own, the playbook of the indexes requires the password."""
    database.seed(20, 20)
    # In none of the groups: nothing but the indexes is done on this machine.
    there, variables = {"others": ["elsewhere"]}, site_of(database)
    # With a limit, as site.yml otherwise requires a load balancer.
    asked = ("-e", "indexes_from=elsewhere", "--limit", "elsewhere")
    without = play(["site.yml"], tmp_path, there, variables, *asked)
    assert without.code == 0, without.output
    assert without.count("changed", "elsewhere") == 0
    said = "No indexes are made: bookface_db_owner_password is empty. With it, elsewhere makes them"
    assert said in without.text
    alone = play(["playbooks/indexes.yml"], tmp_path, there, variables, *asked)
    assert alone.code != 0, alone.output
    assert "db_optimize_password is empty" in alone.message("elsewhere")
    assert database.indexes() == {}
    variables["bookface_db_owner_password"] = OWNER_PASSWORD
    given = play(["site.yml"], tmp_path, there, variables, *asked)
    assert given.code == 0, given.output
    assert database.indexes() == dict.fromkeys(INDEXES, (True, MARK))
