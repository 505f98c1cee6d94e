# SPDX-License-Identifier: GPL-3.0-or-later
"""update.yml where there is no swarm and no load balancer: one machine with Docker."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.commands import playbook_on
from tests.support.engine import see_it_run

ALONE = {
    "docker_hosts": {
        "hosts": {
            "here": {
                "ansible_connection": "local",
                "ansible_become": False,
                "ansible_python_interpreter": "/usr/bin/python3",
                "bookface_db_password": "for-this-test-only",
            }
        }
    }
}


def test_updates_without_a_swarm(tmp_path: Path) -> None:
    """What a killed run has noted is put back, and updates are looked for."""
    see_it_run(tmp_path)
    inventory, note = tmp_path / "inventory.json", tmp_path / "note.json"
    inventory.write_text(json.dumps(ALONE))
    note.write_text(json.dumps({"servers": {}, "node": ""}))
    extra = ["--check", "--tags", "engines", "-e", f"update_note={note}"]
    done = playbook_on(inventory, "update.yml", *extra)
    assert done.code == 0, done.output
    assert done.count("failed", "here") == 0
    assert done.changes <= {"Remove the note"}
