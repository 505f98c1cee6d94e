# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input ends before anything is looked at, with what was given and what to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.commands import playbook_on

# What is asked of the switch. None is as good as what the playbook passes on if nothing is given.
WISHES: dict[str, tuple[dict[str, Any], str]] = {
    "no target": ({}, "No target was given. Choices: legacy, docker, maintenance."),
    "unknown target": ({"haproxy_switch_target": "nosuch"}, "There is no backend nosuch."),
    "no percent": (
        {"haproxy_switch_target": "docker", "haproxy_switch_percent": 0},
        "percent is 0; it must be a whole number from 1 to 100",
    ),
    "too many percent": (
        {"haproxy_switch_target": "docker", "haproxy_switch_percent": 101},
        "percent is 101; it must be a whole number from 1 to 100",
    ),
    "percent that is no number": (
        {"haproxy_switch_target": "docker", "haproxy_switch_percent": "some"},
        "argument 'haproxy_switch_percent' is of type str",
    ),
    "target and rollback": (
        {"haproxy_switch_target": "legacy", "haproxy_switch_rollback": True},
        "it takes no target and no percent (given: target=legacy, percent=100)",
    ),
    "unknown load balancer": (
        {"haproxy_switch_target": "docker", "haproxy_switch_skip": "lb7, lb8"},
        "haproxy_switch_skip names lb7, lb8; the load balancers are none",
    ),
    "share of maintenance": (
        {"haproxy_switch_target": "maintenance", "haproxy_switch_percent": 10},
        "percent is 10, but maintenance is a page for all clients",
    ),
    "maintenance that was not adopted": (
        {"haproxy_switch_target": "maintenance", "haproxy_mode": "adopt"},
        "Choices: legacy, docker. To have it in a configuration of your own, add it to",
    ),
    "share of another backend of that name": (
        {
            "haproxy_switch_target": "maintenance",
            "haproxy_switch_percent": 10,
            "haproxy_mode": "adopt",
            "haproxy_backends": [{"name": "maintenance", "servers": []}],
            # The first thing after the check.
            "haproxy_switch_skip": "lb7",
        },
        "haproxy_switch_skip names lb7",
    ),
    "share and rollback": (
        {"haproxy_switch_percent": 10, "haproxy_switch_rollback": True},
        "it takes no target and no percent (given: target=, percent=10)",
    ),
}
# The site whose input is right.
SITE = {
    "haproxy_stats_password": "secret",
    "haproxy_backends": [
        {"name": name, "servers": [{"name": f"{name}1", "address": "192.0.2.1", "port": 80}]}
        for name in ("legacy", "docker")
    ],
    "haproxy_initial_backend": "legacy",
    "ansible_connection": "local",
    "ansible_python_interpreter": sys.executable,
}
INPUT: dict[str, tuple[dict[str, Any], str]] = {
    "unknown backend": (
        {"haproxy_initial_backend": "nosuch"},
        "haproxy_initial_backend is nosuch; the inventory gives the backends legacy, docker",
    ),
    "no certificate": (
        {"haproxy_tls_bind": "*:443", "haproxy_tls_certificate": "/nosuch.pem"},
        "haproxy_tls_certificate (/nosuch.pem) gives no certificate with its key",
    ),
}


# What is wrong with a page, as the controller has read it.
PAGES: dict[str, tuple[bytes, str]] = {
    "page that is too large": (b"x" * 14337, " has 14337 bytes; expected at most 14336"),
    "page in another encoding": (b"caf\xe9", "expected the path of a file on this controller"),
    "page that is none": (b"", "expected the path of a file on this controller"),
}


def refusals(folder: Path, entry: str, cases: dict[str, dict[str, Any]]) -> dict[str, str]:
    """What an entry point of the role says to each case: one play, a host per case."""
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": cases, "vars": SITE}}))
    task = {
        "block": [
            {
                "ansible.builtin.include_role": {
                    "name": "bookface.platform.haproxy",
                    "tasks_from": entry,
                }
            }
        ],
        "rescue": [
            {
                "ansible.builtin.copy": {
                    "dest": f"{folder}/{{{{ inventory_hostname }}}}.said",
                    "content": "{{ ansible_failed_result.msg }}",
                    "mode": "0600",
                }
            }
        ],
    }
    playbook = folder / "playbook.yml"
    playbook.write_text(yaml.dump([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    playbook_on(inventory, str(playbook)).ok()
    return {file.stem: file.read_text() for file in folder.glob("*.said")}


def test_bad_input_is_refused_by_the_role(tmp_path: Path) -> None:
    """Each problem is the matter of the filter's tests: here, that the role asks it."""
    cases = INPUT | {
        name: ({"haproxy_maintenance_page": str(tmp_path / name)}, words)
        for name, (_content, words) in PAGES.items()
    }
    for name, (content, _words) in PAGES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "page").write_text("<p>ä {{ x }} {% y %}</p>")
    good = {"haproxy_maintenance_page": str(tmp_path / "page")}
    said = refusals(tmp_path, "preflight", {"good": good} | {n: v for n, (v, _w) in cases.items()})
    assert set(said) == set(cases), said
    for case, (_variables, words) in cases.items():
        assert words in said[case]


def test_wrong_wishes_are_refused_by_the_gate(tmp_path: Path) -> None:
    said = refusals(tmp_path, "gate", {name: variables for name, (variables, _w) in WISHES.items()})
    assert set(said) == set(WISHES)
    for case, (_variables, words) in WISHES.items():
        assert words in said[case], said[case]


def test_two_backends_of_the_name_of_the_page_are_refused(tmp_path: Path) -> None:
    variables = {
        "haproxy_mode": "adopt",
        "haproxy_backends": [{"name": "maintenance", "servers": []}],
        "haproxy_adopt_backends": ["maintenance"],
    }
    said = refusals(tmp_path, "adopt", {"here": variables})
    assert "haproxy_backends has a backend of this name, too. Rename that one" in said["here"]


def test_the_backend_that_maintenance_returns_to_is_not_taken_out(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text("frontend bookface\n    default_backend maintenance\n")
    variables = {
        "haproxy_config": str(config),
        "haproxy_frontend": "bookface",
        "__haproxy_certificates": str(tmp_path / "certificates"),
        "__haproxy_running_before": {"frontends": {"bookface": {"origin": "swarm"}}},
    }
    said = refusals(tmp_path, "configure", {"here": variables})
    assert "here returns to swarm after maintenance, which the inventory no longer" in said["here"]
    assert not (tmp_path / "maps").exists()
