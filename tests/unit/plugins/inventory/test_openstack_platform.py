"""The inventory of a cloud, without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

# Anybody in the cloud's project may write it to a server.
SAID = "{{ lookup('ansible.builtin.pipe', 'id') }}"
# In a process of its own, as Ansible loads plugins by a loader of its own. Each part of the answer
# is what the cloud gives or raises, as an expression.
INVENTORY = f"""
import json, sys
from types import SimpleNamespace
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from keystoneauth1 import exceptions as refused

init_plugin_loader()
from ansible_collections.bookface.platform.plugins.inventory import openstack_platform

address = {{"addr": {SAID!r}, "OS-EXT-IPS:type": "fixed", "version": 4}}
web1 = {{"id": "1", "name": "web1", "addresses": {{"net": [address]}},
         "metadata": {{"bookface_platform": "p"}}}}
held = SimpleNamespace(floating_ip_address="203.0.113.9", port_id="2", port_details=None,
                       description="bookface_platform=p machine=lb1 bookface_held=p/web1/now")

def answer(what):
    if isinstance(what, Exception):
        raise what
    return what

def connect(*_):
    login, servers, ips = map(eval, sys.argv[2:5])
    answer(login)
    found = lambda details, **_: [SimpleNamespace(to_dict=lambda computed: one)
                                  for one in answer(servers)]
    return SimpleNamespace(compute=SimpleNamespace(servers=found), current_project_id="1",
                           network=SimpleNamespace(ips=lambda project_id: answer(ips)))

openstack_platform.connect = connect
openstack_platform.account = lambda name, region: {{"project_id": sys.argv[6]}}
loader = DataLoader()
inventory = InventoryManager(loader, sources=sys.argv[1:2], cache=json.loads(sys.argv[5]))
host = inventory.get_host("web1")
if host:
    # As in the next run of a playbook.
    told = Templar(loader).template(host.vars["bookface_address"])
    print(json.dumps({{"address": told, "holds": host.vars["openstack_holds"],
                       "all": inventory.groups["all"].vars}}))
"""
UP = ("None", "[web1]", "[held]")
DOWN = ("refused.ConnectFailure('Unable to establish connection')", "[]", "[]")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "openstack.yml"
    file.write_text(
        "plugin: bookface.platform.openstack_platform\nonly_clouds: [lab]\ncache: true\n"
        f"cache_plugin: ansible.builtin.jsonfile\ncache_connection: {tmp_path}/cache\n"
        "cache_fallback_age: 600\n"
    )
    return file


def read(
    file: Path, *answers: str, cache: bool = True, project: str = "1"
) -> tuple[dict[str, Any], str]:
    """What a cloud's host has, if any, and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", INVENTORY, str(file), *answers, json.dumps(cache), project],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "false"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "{}"), " ".join(done.stderr.split())


def kept(file: Path) -> Path:
    """The answer in the cache."""
    (entry,) = (file.parent / "cache").iterdir()
    return entry


def grow_old(file: Path, seconds: int) -> None:
    """The payload is Ansible's."""
    told = json.loads(json.loads(kept(file).read_text())["__payload__"])
    told["time"] -= seconds
    kept(file).write_text(json.dumps({"__payload__": json.dumps(told)}))


def test_what_a_cloud_says_is_no_template_neither_at_once_nor_kept(file: Path) -> None:
    assert read(file, *UP)[0]["address"] == SAID
    assert read(file, *DOWN)[0]["address"] == SAID


def test_an_address_that_is_held_is_seen_at_its_host_and_by_the_controller(file: Path) -> None:
    found, _said = read(file, *UP)
    hold = {"address": "203.0.113.9", "of": "lb1", "at": "web1", "since": "now", "attached": True}
    assert found["holds"] == [hold]
    assert found["all"] == {
        "openstack_inventory_age": 0,
        "openstack_all_holds": [hold],
        "openstack_reach": "floating",
    }


def test_half_an_answer_does_not_replace_a_whole_one(file: Path) -> None:
    read(file, *UP)
    found, said = read(file, UP[0], UP[1], "refused.ConnectFailure('Neutron is away')")
    assert found["holds"] == []
    assert "Which floating addresses are held is unknown: lab: the cloud's endpoint cannot" in said
    assert read(file, *DOWN)[0]["holds"]


def test_a_server_without_an_address_is_left_out_and_told(file: Path) -> None:
    broken = "{**web1, 'id': '2', 'name': 'web2', 'addresses': {}, 'status': 'ERROR'}"
    _found, said = read(file, UP[0], f"[web1, {broken}]", UP[2])
    assert "web2 is not in the inventory: it is ERROR and has no address" in said


def test_an_answer_to_somebody_else_is_not_used(file: Path) -> None:
    read(file, *UP)
    assert read(file, *DOWN, project="2")[0] == {}


def test_a_cache_that_cannot_be_written_does_not_hide_the_cloud(file: Path) -> None:
    file.write_text(file.read_text().replace(f"{file.parent}/cache", f"{file}/cache"))
    found, said = read(file, *UP)
    assert found["address"] == SAID
    assert "No answer of the cloud is kept: " in said


def test_a_cloud_that_is_down_leaves_its_last_answer_and_its_age(file: Path) -> None:
    read(file, *UP)
    grow_old(file, 300)
    for answers in (DOWN, ("None", "refused.ServiceUnavailable('later')", "[]")):
        found, said = read(file, *answers)
        assert 300 <= found["all"]["openstack_inventory_age"] < 400
        assert found["holds"]
        assert "The inventory is what it said 5 minutes ago." in said


def test_a_cloud_that_refuses_the_credentials_is_not_down(file: Path) -> None:
    read(file, *UP)
    found, said = read(file, "refused.Unauthorized('no')", "[]", "[]")
    assert found == {}
    assert "lab: the " in said
    assert "ago" not in said


def test_an_answer_that_is_too_old_or_to_another_question_is_not_used(file: Path) -> None:
    found, said = read(file, *DOWN)
    assert found == {}
    assert "that is at most 10 minutes old (cache_fallback_age) would be used, but does not" in said
    read(file, *UP)
    grow_old(file, 700)
    long_ago = time.time() - 700
    os.utime(kept(file), (long_ago, long_ago))
    found, said = read(file, *DOWN)
    assert found == {}
    assert "would be used, but is 11 minutes old" in said
    read(file, *UP)
    # A run that refreshes its inventory wants to know what is there now.
    assert read(file, *DOWN, cache=False)[0] == {}
    file.write_text(file.read_text() + "region: other\n")
    assert read(file, *DOWN)[0] == {}


def test_a_damaged_cache_does_not_hide_the_cloud(file: Path) -> None:
    read(file, *UP)
    kept(file).write_text("{")
    found, said = read(file, *UP)
    assert found["address"] == SAID
    assert "was corrupt" in said


def test_without_a_cache_nothing_is_kept(file: Path) -> None:
    file.write_text(file.read_text().replace("cache: true", "cache: false"))
    read(file, *UP)
    assert not (file.parent / "cache").exists()
    assert read(file, *DOWN)[0] == {}


def test_how_machines_are_reached_is_one_of_two(file: Path) -> None:
    before = file.read_text()
    file.write_text(before + "openstack_reach: fixed\n")
    assert read(file, *UP)[0]["all"]["openstack_reach"] == "fixed"
    file.write_text(before + "openstack_reach: inside\n")
    found, said = read(file, *UP)
    assert found == {}
    assert "openstack_reach" in said
    assert "inside" in said
    assert "floating" in said
