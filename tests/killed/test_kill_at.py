"""Where runs are killed to see whether the next one repairs them: after changes, all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.killed.journal import Change, Journal
from tests.support.commands import killed_after, killed_after_new, killed_at, watched

PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - name: Ask
      ansible.builtin.command: "true"
      changed_when: false
    - name: Write
      ansible.builtin.copy: {content: "", dest: "{{ playbook_dir }}/{{ item }}"}
      loop: [one, two, three]
      changed_when: false
    - name: Plan
      ansible.builtin.copy: {content: "", dest: "{{ playbook_dir }}/none"}
      check_mode: true
    - name: Try
      ansible.builtin.command: "false"
      register: tried
      until: tried is not failed
      retries: 2
      delay: 0
      failed_when: false
    - name: End
      ansible.builtin.debug:
"""


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOOKFACE_INVENTORY", "localhost,")
    path = tmp_path / "play.yml"
    path.write_text(PLAY)
    return path


def test_a_journal_knows_each_change_whatever_the_play_calls_it(play: Path) -> None:
    journal = play.with_name("journal")
    assert watched(str(play), BOOKFACE_JOURNAL=str(journal)).returncode == 0
    write = Change("Write", 0)
    assert Journal.read(journal) == Journal(2, (write, write, Change("Write", 2), Change("Try", 1)))


def test_a_run_ends_before_a_task(play: Path) -> None:
    killed_at("Write", str(play))
    assert list(play.parent.iterdir()) == [play]


def test_a_run_ends_after_a_change_even_within_a_loop(play: Path) -> None:
    assert killed_after(2, str(play))
    assert {path.name for path in play.parent.iterdir()} == {play.name, "one", "two"}


def test_runs_one_after_the_other_end_after_each_change_once(play: Path) -> None:
    known = play.with_name("known")
    written = []
    while killed_after_new(known, str(play)):
        written.append({path.name for path in play.parent.iterdir()} - {play.name, known.name})
    one, two, three = {"one"}, {"one", "two"}, {"one", "two", "three"}
    # The last one is the command, which never gets further: it is not killed for ever.
    assert written == [one, two, three, three]
