"""The inventory of a cloud, without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

# Anybody in the cloud's project may write it to a server.
SAID = "{{ lookup('ansible.builtin.pipe', 'id') }}"
# In a process of its own, as Ansible loads plugins by a loader of its own.
TEMPLATED = f"""
import json, sys
from types import SimpleNamespace
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar

init_plugin_loader()
from ansible_collections.bookface.platform.plugins.inventory import openstack_platform

address = {{"addr": {SAID!r}, "OS-EXT-IPS:type": "fixed", "version": 4}}
server = {{"id": "1", "name": "web1", "addresses": {{"net": [address]}}, "metadata": {{}}}}
found = [SimpleNamespace(to_dict=lambda computed: server)]
cloud = SimpleNamespace(compute=SimpleNamespace(servers=lambda details: found))
openstack_platform.connect = lambda *_: cloud
loader = DataLoader()
host = InventoryManager(loader, sources=sys.argv[1:]).get_host("web1")
print(json.dumps(Templar(loader).template(host.vars["bookface_address"])))
"""


def test_what_a_cloud_says_is_no_template(tmp_path: Path) -> None:
    file = tmp_path / "openstack.yml"
    file.write_text("plugin: bookface.platform.openstack_platform\nonly_clouds: [lab]\n")
    done = subprocess.run(
        [sys.executable, "-c", TEMPLATED, str(file)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == SAID
