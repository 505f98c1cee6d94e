"""One play with a host for each case, for tests of what roles refuse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.commands import Run, playbook_on


def play_cases(
    place: Path,
    cases: Mapping[str, Mapping[str, Any]],
    site: Mapping[str, Any],
    groups: Mapping[str, Any] | None = None,
) -> Run:
    """Run the C(entry) of each case (ROLE/FILE) with its variables, and those of the site.

    In check mode: the hosts are this machine, and a rule that is broken lets a whole role go on.
    C(place) is the home as well, where sources are fetched to. C(groups) have other hosts.
    """
    # One task for each: of includes that differ by host Ansible may take one for another.
    tasks = [
        {
            "ansible.builtin.include_role": {
                "name": f"bookface.platform.{entry.partition('/')[0]}",
                "tasks_from": entry.partition("/")[2],
            },
            "when": f"entry == '{entry}'",
        }
        for entry in sorted({str(case["entry"]) for case in cases.values()})
    ]
    plays = {"hosts": "cases", "connection": "local", "gather_subset": ["min"], "tasks": tasks}
    playbook, inventory = place / "play.yml", place / "inventory.yml"
    playbook.write_text(json.dumps([plays]))
    children = {"cases": {"hosts": cases}, **(groups or {})}
    inventory.write_text(json.dumps({"all": {"vars": site, "children": children}}))
    return playbook_on(inventory, "--check", str(playbook), HOME=str(place))
