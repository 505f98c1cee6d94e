"""That a trial of killed runs finds what the next run does not repair."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.killed.machines import Machines
from tests.killed.subjects import Subject
from tests.killed.table import Row, page
from tests.killed.trial import Trial

# A run that is killed between the two tasks has not loaded the file; the next one may forget to.
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - name: Begin
      ansible.builtin.debug:
    - name: Write the file
      ansible.builtin.copy: {content: "{{ setting }}", dest: "{{ playbook_dir }}/written"}
      register: written
    - name: Load it
      ansible.builtin.copy: {src: "{{ playbook_dir }}/written", dest: "{{ playbook_dir }}/loaded"}
      when: written is changed or not forgets
    - name: End
      ansible.builtin.debug:
"""


@pytest.fixture(params=["forgets", "compares"])
def forgets(request: pytest.FixtureRequest) -> bool:
    return str(request.param) == "forgets"


def test_what_a_later_run_has_forgotten_is_no_repair(
    forgets: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOKFACE_INVENTORY", "localhost,")
    playbook = tmp_path / "play.yml"
    playbook.write_text(PLAY)

    def said(_machine: str, script: str) -> str:
        return subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    one, two = ({"setting": text, "forgets": forgets} for text in ("one", "two"))
    subject = Subject("service", ("localhost",), (one, two))
    machines = Machines(subject.machines, said, look="cat written loaded", patience=0)
    *_, last = Trial(subject, playbook, machines).results()

    write = Row("Write the file", kills=1, tasks=1, repaired=int(not forgets))
    assert list(last.rows) == [write, Row("Load it", kills=1, tasks=1, repaired=1)]
    assert (last.changes, last.before) == (2, 2)
    assert ("**1 not**" in page([last])) == forgets
