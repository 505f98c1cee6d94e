# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's tasks for a configuration of somebody else's, with a real HAProxy on the loopback."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest
import yaml
from conftest import Lab
from test_adopt import seen, tabs

from tests.support.commands import playbook_on

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the role's files are root's")
VISITOR, ALLOWED = "127.0.0.1", "127.0.0.2"


class Adopted:
    """A load balancer of somebody else's, beside another one that has only files."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.origins = lab.map.with_name("origin.map")
        self.marker = lab.directory / "haproxy.cfg.not-loaded"
        self.other = lab.directory / "other"
        self.other.mkdir()
        self.said = ""

    def run(self, **more: Any) -> int | None:
        """Run the tasks; how many of them have changed something, None if one has failed."""
        assert self.lab.process is not None
        server = {"name": "s", "address": "127.0.0.1"}
        ports = {"web": self.lab.web["legacy"].port, "docker": self.lab.web["docker"].port}
        variables = {
            "haproxy_mode": "adopt",
            "haproxy_config": str(self.lab.config),
            "haproxy_socket": str(self.lab.admin),
            "haproxy_master_socket": str(self.lab.master),
            "haproxy_frontend": "www",
            "haproxy_load_balancers": ["here", "there"],
            "haproxy_backends": [
                {"name": name, "servers": [server | {"port": port}]} for name, port in ports.items()
            ],
            "haproxy_adopt_backends": ["docker", "maintenance"],
            "haproxy_check": {"path": "/ready", "content": "docker"},
            "haproxy_server_options": "inter 200ms fall 1 rise 1",
            "haproxy_reload_command": f"kill -USR2 {self.lab.process.pid}",
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            **more,
        }
        hosts = {"here": {}, "there": {"haproxy_config": str(self.other / "haproxy.cfg")}}
        inventory = self.lab.directory / "hosts.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))
        role = {"name": "bookface.platform.haproxy", "tasks_from": "adopt"}
        task = {"ansible.builtin.include_role": role}
        playbook = self.lab.directory / "playbook.yml"
        playbook.write_text(yaml.dump([{"hosts": "here", "gather_facts": False, "tasks": [task]}]))
        done = playbook_on(inventory, str(playbook))
        self.said = done.output
        return None if done.code else done.count("changed", "here")

    def seen(self) -> tuple[str, str]:
        return seen(self.lab.port, VISITOR), seen(self.lab.port, ALLOWED)

    def origin(self) -> tuple[str, str]:
        """What the map says on disk, and in the running HAProxy."""
        lines = [line for line in self.origins.read_text().splitlines() if line[:1] != "#"]
        live = self.lab.stats.map_entries(str(self.origins), 5) or ()
        return " ".join(lines), " ".join(f"{key} {value}" for key, value in live)


@pytest.fixture
def adopted(stopped: Lab) -> Adopted:
    stopped.config.write_bytes(tabs(stopped))
    stopped.start(settle=False)
    return Adopted(stopped)


def test_what_interrupted_runs_have_left_and_whom_to_follow(adopted: Adopted) -> None:
    lab = adopted.lab
    assert adopted.run(), adopted.said
    worker = lab.pid()
    # Between file and reload: the rule alone differs, so nothing but the marker can say so.
    assert adopted.run(haproxy_reload_command="false", haproxy_maintenance_allow=[ALLOWED]) is None
    assert adopted.seen() == ("200 legacy", "200 legacy")
    assert lab.pid() == worker
    # Between the two halves of a switch away from maintenance: allowed clients go elsewhere.
    adopted.origins.write_text("www docker\n")
    lab.stats.write_entry(str(adopted.origins), "www", "docker", False, 5)
    assert adopted.run(haproxy_maintenance_allow=[ALLOWED]), adopted.said
    assert lab.pid() != worker
    assert adopted.seen() == ("200 legacy", "200 legacy")
    assert adopted.origin() == ("", "")
    assert not adopted.marker.exists()

    # The other one was switched without this one. Allowed clients are to reach the same backend.
    for name, text in {
        "haproxy.cfg": "frontend www\n  default_backend maintenance\n",
        "haproxy.cfg.previous.json": '{"www": {"from": "docker", "to": "maintenance"}}',
        "haproxy.cfg.left-out.here": "",
    }.items():
        (adopted.other / name).write_text(text)
    assert adopted.run(haproxy_maintenance_allow=[ALLOWED]), adopted.said
    assert adopted.origin() == ("www docker", "www docker")
    visitor, allowed = adopted.seen()
    assert (visitor[:3], allowed) == ("503", "200 docker")
    assert adopted.run(haproxy_maintenance_allow=[ALLOWED]) == 0, adopted.said
