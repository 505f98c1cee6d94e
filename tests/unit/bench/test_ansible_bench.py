"""How the bench of the playbooks reads Ansible's output, and what it makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench import ansible, lab
from bench.ansible import Cost
from bench.lab import Run, Size

EXEC = "<1.2.3.4> SSH: EXEC ssh -C 1.2.3.4 '/bin/sh -c '\"'\"'%s && sleep 0'\"'\"''"
OUTPUT = f"""
TASK [web : Install packages] *****
{EXEC % "/usr/bin/python3"}
ok: [web1]
{EXEC % "sudo /usr/bin/python3"}
RUNNING HANDLER [web : Reload] ****
{EXEC % "echo ~"}
PLAY RECAP *****
db1                        : ok=18   changed=0    unreachable=0    failed=0    skipped=8
web1                       : ok=9    changed=%d    unreachable=0    failed=0    skipped=8
"""


def cost(first: float, again: list[float], counted: int = 10) -> Cost:
    runs = [Run(seconds, seconds / 2, OUTPUT % 0) for seconds in again]
    return Cost(Run(first, first / 2, OUTPUT % 3), runs, counted, [7.0, 9.0, 6.0])


def test_what_a_run_did_is_read_from_its_output() -> None:
    run = Run(1, 1, OUTPUT % 3)
    assert (run.changed, run.tasks, run.round_trips) == (3, 2, 2)
    with pytest.raises(ansible.BenchError, match="expected a recap, got:\nERROR"):
        _ = Run(1, 1, "ERROR! no such playbook").changed


def test_the_rows_and_their_targets() -> None:
    rows = ansible.rows(cost(400, [80, 60, 50]), cost(900, [150]), 25)
    judged = [(row.what, row.ratio or row.ours, row.target, row.met) for row in rows if row.target]
    assert judged == [
        ("re-run / first run, 8 hosts", 0.15, "<= 0.25", True),
        ("re-run, 8 hosts: s", 60, "<= 60", True),
        ("re-run: round trips / bac083f's", 0.4, "<= 0.5", True),
        ("re-run, 24 hosts / 8 hosts", 2.5, "<= 2.2", False),
        ("switch_backend.yml: s", 7, "<= 8", True),
    ]
    assert len({row.what for row in rows}) == len(rows) == 17


def test_the_lab_has_the_hosts_that_its_size_says(tmp_path: Path) -> None:
    for size, number in ((ansible.FULL.small, 8), (ansible.FULL.large, 24)):
        assert size.hosts == number
        groups = lab.hosts(size)["lab"]["children"]
        found = {name: host for group in groups.values() for name, host in group["hosts"].items()}
        assert len(found) == number
        numbers = [host["lab_node_number"] for host in found.values()]
        assert len(set(numbers)) == number
    # The small one is the lab that users have.
    users = yaml.safe_load((ansible.ROOT / "inventories/lab/hosts.yml").read_text())
    children = users["lab"]["children"]
    ours = lab.hosts(ansible.FULL.small)["lab"]["children"]
    assert {name: set(group["hosts"]) for name, group in ours.items()} == {
        name: set(group["hosts"]) for name, group in children.items() if (group or {}).get("hosts")
    }
    lab.write_inventory(tmp_path, Size(1, 0), ansible.LAB)
    written = yaml.safe_load((tmp_path / "group_vars/lab/10-bench.yml").read_text())
    assert written["lab_name"] == "bookface-bench-ansible"


def test_a_baseline_is_a_checkout_with_its_collection_in_place(tmp_path: Path) -> None:
    with pytest.raises(ansible.BenchError, match="expected a checkout of the project"):
        ansible.baseline_checkout(str(tmp_path))
    (tmp_path / "site.yml").touch()
    for _ in range(2):
        checkout = ansible.baseline_checkout(str(tmp_path))
        assert (checkout / ansible.LINK / "site.yml").exists()
