# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role pgbouncer concludes from Docker's answers."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import ended

PLAY = """
- hosts: all
  connection: local
  gather_facts: false
  environment:
    PATH: "{{ programs }}"
  tasks:
    - name: Run the role's first tasks
      ansible.builtin.include_role:
        name: bookface.platform.pgbouncer
        tasks_from: preflight.yml
    - name: Show the gateways
      ansible.builtin.debug:
        msg: "{{ inventory_hostname }} found {{ pgbouncer_gateways | dictsort }}"
"""
ANSWERS = """
case $2 in
ls) echo bridge; echo docker_gwbridge; echo bookface ;;
inspect) echo "docker_gwbridge "; echo bookface 172.30.0.1 ;;
esac
"""
# An engine that does not answer, in words that also occur when a network is missing.
SILENT = 'echo "error during connect: lookup engine: not found" >&2; exit 1'


def test_no_answer_is_not_a_missing_network(tmp_path: Path) -> None:
    hosts = {}
    for host, script in {
        "answers": ANSWERS,
        "others": "[ $2 = ls ] && echo bridge",
        "silent": SILENT,
        "nothing": "",
    }.items():
        programs = tmp_path / host
        programs.mkdir()
        if script:
            (programs / "docker").write_text(f"#!/bin/sh\n{script}\n")
            (programs / "docker").chmod(0o755)
        hosts[host] = {"programs": str(programs)}
    given = {
        "ansible_python_interpreter": "/usr/bin/python3",
        "bookface_db_host": "127.0.0.1",
        "bookface_db_password": "look-at-it",
    }
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts, "vars": given}}))
    done = ended(
        ["ansible-playbook", "-i", str(tmp_path / "hosts.yml"), str(tmp_path / "play.yml")]
    )
    assert "answers found [['bookface', '172.30.0.1']]" in done.text, done.output
    assert "others found []" in done.text, done.output
    assert "nothing found []" in done.text, done.output
    assert {host for host in hosts if done.count("failed", host)} == {"silent"}
