# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a switch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.filter.switch_report import switch_report

from tests.support.paths import ROOT

SWITCHED: dict[str, Any] = {
    "changed": True,
    "backend": "docker",
    "previous_backend": "legacy",
    "percent": 100,
    "engine": "runtime",
    "elapsed_ms": {"total": 9},
    "servers": [],
    "diff": [],
}
TOLD = {
    "before": "legacy",
    "after": "docker",
    "changed": True,
    "percent": 100,
    "engine": "runtime",
    "elapsed_ms": {"total": 9},
    "servers": [],
}


@pytest.mark.parametrize("other", [{}, {"failed": True, "msg": "refused"}])
def test_those_that_were_switched(other: dict[str, Any]) -> None:
    assert switch_report([other, SWITCHED], ["lb1", "lb2"]) == {"lb2": TOLD}


def test_from_the_variables_of_hosts(tmp_path: Path) -> None:
    hosts = {"lb1": {"__haproxy_switched": SWITCHED}, "lb2": {}}
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    expression = (
        "{{ ansible_play_hosts_all | map('extract', hostvars)"
        " | map(attribute='__haproxy_switched', default={})"
        " | bookface.platform.switch_report(ansible_play_hosts_all) }}"
    )
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "ansible"), "all", "-i", str(inventory)),
            *("-c", "local", "-m", "ansible.builtin.debug", "-a", f"msg={expression}"),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.search(r"lb2 \| SUCCESS => (\{.*?^\})", done.stdout, re.DOTALL | re.MULTILINE)
    assert told, done.stdout
    assert json.loads(told[1])["msg"] == {"lb1": TOLD}
