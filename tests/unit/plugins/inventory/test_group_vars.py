"""How the machines of inventories/openstack are reached."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("floating", "jump"),
    [
        ({"lb1": "203.0.113.9", "db1": "203.0.113.7"}, "203.0.113.9"),
        # While the address of lb1 is held at web1, the rules let web1 in.
        ({"web1": "203.0.113.9", "db1": "203.0.113.7"}, "203.0.113.9"),
        ({"db1": "203.0.113.7"}, "203.0.113.7"),
    ],
)
def test_machines_are_reached_through_the_one_that_the_rules_allow(
    tmp_path: Path, floating: dict[str, str], jump: str
) -> None:
    shutil.copytree(ROOT / "inventories/openstack", tmp_path, dirs_exist_ok=True)
    (tmp_path / "group_vars/all/openstack_vms.yml").write_text(
        "openstack_vms: [{name: lb1, floating_ip: true}, {name: web1}, {name: db1}]\n"
    )
    hosts = {
        name: {
            "openstack_floating_address": floating.get(name, ""),
            "openstack_holds": [{"of": "lb1"}] if name == "web1" and name in floating else [],
        }
        for name in ("lb1", "web1", "db1")
    }
    (tmp_path / "hosts.yml").write_text(json.dumps({"openstack_platform": {"hosts": hosts}}))
    done = subprocess.run(
        ["ansible", "-i", str(tmp_path), "db1", "-m", "ansible.builtin.debug",
         "-a", "var=__openstack_jump"],
        cwd=ROOT,
        # The cloud that the file names does not exist here.
        env=os.environ | {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "false"},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert f"__openstack_jump: {jump}" in done.stdout, done.stdout + done.stderr
