# SPDX-License-Identifier: GPL-3.0-or-later
"""The passwords on the hosts of web servers: who may change them, and what is kept meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Run, playbook_on

PLAY = """
- hosts: web
  connection: local
  gather_facts: false
  tasks:
    - when: entry == 'pages'
      ansible.builtin.include_role:
        name: bookface.platform.toolbox
        tasks_from: configuration
    - when: entry == 'pooler'
      ansible.builtin.include_role:
        name: bookface.platform.pgbouncer
        tasks_from: "{{ item }}"
      loop: [login.yml, users.yml]
"""
BRIDGE = "bfuser_rotation"
OLD, NEW = "db:5432:bf:*:old\n", "db:5432:bf:*:new\n"
BOTH = f"db:5432:bf:{BRIDGE}:new\n{OLD}"
MEANTIME = {"login": BRIDGE, "keep": ["pgpass", "userlist"]}
BACK = {"login": "bfuser", "keep": ["userlist"]}
LAST = {"login": "bfuser", "keep": []}
# Its configuration cannot be written.
UNWRITABLE = "fault_in_the_middle"
# Host: the file that is there, the rotation, the file afterwards; None: it is refused.
PAGES: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "first": ("", {}, NEW),
    "as_before": (NEW, {}, NEW),
    "as_an_earlier_version": ("db:5432:bf:bfuser:new\n", {}, NEW),
    "changed": (OLD, {}, None),
    "unfinished_changed": (BOTH, {}, None),
    # The old password again, and the pages may be on the second account still.
    "unfinished": (f"db:5432:bf:{BRIDGE}:newer\n{NEW}", {}, None),
    "meantime": (OLD, MEANTIME, BOTH),
    "meantime_again": (BOTH, MEANTIME, BOTH),
    "back": (BOTH, BACK, NEW),
    "narrowed": (f"db:5432:bf:bfuser:new\n{OLD}", {}, NEW),
    # The pages go on with the login from before.
    UNWRITABLE: (BOTH, BACK, f"db:5432:bf:bfuser:new\n{BOTH}"),
    # Of a database of one's own: the account is another one for good.
    "other_account": (
        OLD,
        {"login": "bfuser2", "keep": ["pgpass"]},
        "db:5432:bf:bfuser2:new\n" + OLD,
    ),
}
USERS_BOTH = f'"{BRIDGE}" "new"\n"bfuser" "old"\n'
POOLER: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "pooler_first": ("", {}, '"bfuser" "new"\n'),
    "pooler_changed": ('"bfuser" "old"\n', {}, None),
    "pooler_unfinished": (f'"{BRIDGE}" "newer"\n"bfuser" "new"\n', {}, None),
    "pooler_meantime": ('"bfuser" "old"\n', MEANTIME, USERS_BOTH),
    "pooler_back": (USERS_BOTH, BACK, f'"bfuser" "new"\n"{BRIDGE}" "new"\n'),
    "pooler_last": (f'"bfuser" "new"\n"{BRIDGE}" "new"\n', LAST, '"bfuser" "new"\n'),
}
CASES = PAGES | POOLER


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def ran(place: Path) -> Run:
    """Once, for all hosts."""
    hosts = {}
    for host, (before, rotation, _after) in CASES.items():
        directory = place / host
        directory.mkdir()
        if host == UNWRITABLE:
            (directory / "config.json/file").mkdir(parents=True)
        name, entry = ("pgpass", "pages") if host in PAGES else ("userlist.txt", "pooler")
        if before:
            (directory / name).write_text(before)
        hosts[host] = {"entry": entry, "toolbox_directory": str(directory)}
        if rotation:
            hosts[host]["bookface_rotation"] = rotation
    given = {
        "ansible_python_interpreter": "/usr/bin/python3",
        "bookface_db_host": "db",
        "bookface_db_password": "new",
        "toolbox_account": "root",
    }
    children = {"web": {"hosts": hosts}, "databases": {"hosts": {"db": {}}}}
    playbook, inventory = place / "play.yml", place / "inventory.yml"
    playbook.write_text(PLAY)
    inventory.write_text(json.dumps({"all": {"vars": given, "children": children}}))
    # The pooler's own files would be this machine's.
    moved = {"__pgbouncer_directory": "{{ toolbox_directory }}"}
    return playbook_on(inventory, str(playbook), "-e", json.dumps(moved))


@pytest.mark.parametrize("host", CASES)
def test_the_passwords_of_a_host(ran: Run, place: Path, host: str) -> None:
    before, rotation, after = CASES[host]
    file = place / host / ("pgpass" if host in PAGES else "userlist.txt")
    assert file.read_text() == (before if after is None else after), ran.output
    if after is None:
        unfinished = "unfinished" in host
        said = "A rotation is unfinished" if unfinished else "another bookface_db_password."
        assert said in ran.message(host)
        assert "run rotate.yml" in ran.message(host)
        assert list(file.parent.iterdir()) == [file]
    elif host == UNWRITABLE:
        assert ran.count("failed", host) == 1, ran.output
    elif host in PAGES:
        user = json.loads((place / host / "config.json").read_text())["dbuser"]
        assert user == rotation.get("login", "bfuser")
