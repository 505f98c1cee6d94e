"""How the tests read what Ansible prints, and that they kill what they mean to."""

from __future__ import annotations

import select
import signal
import subprocess

import pytest

from tests.support.commands import Run, failures, kill_tree, recap

PLAYBOOK = """\
TASK [Check] ***
fatal: [ce12]: FAILED! => {"changed": false, "msg": "a } in it"}
fatal: [swarm2 -> swarm1(1.2.3.4)]: FAILED! => {"censored": "hidden"}

TASK [Check each] ***
ok: [ce13] => (item=one)
failed: [ce13] (item={'a': 'b'}) => {"changed": false, "msg": "of the item"}
failed: [ce13 -> localhost] (item=three) => {"msg": "of another"}

PLAY RECAP *****
ce12                       : ok=3    changed=0    unreachable=0    failed=1    skipped=2
localhost                  : ok=10   changed=2    unreachable=0    failed=0    skipped=0
"""
MODULE = """\
ce12 | FAILED! => {
    "changed": false,
    "msg": "one"
}
ce13 | SUCCESS => {
    "changed": false
}
ce14 | FAILED! => {
    "msg": "two"
}
"""


def test_counts_of_each_host() -> None:
    counts = recap(PLAYBOOK)
    assert list(counts) == ["ce12", "localhost"]
    assert counts["localhost"]["changed"] == 2
    assert counts["ce12"]["failed"] == 1
    assert recap("ERROR! no such playbook") == {}


def test_what_failed_in_a_playbook() -> None:
    assert failures(PLAYBOOK) == [
        ("ce12", "a } in it"),
        ("swarm2", ""),
        ("ce13", "of the item"),
        ("ce13", "of another"),
    ]


def test_what_failed_of_a_module() -> None:
    assert failures(MODULE) == [("ce12", "one"), ("ce14", "two")]


def test_what_a_run_says() -> None:
    """Of a host that failed more than once it is the last that ended its run."""
    run = Run(2, PLAYBOOK + "changed: [ce13]\n", "a warning\n")
    assert run.changed == {"ce12": 0, "localhost": 2}
    # It only checks the inventory, as playbooks begin with.
    assert Run(0, PLAYBOOK.replace("changed=2", "changed=0")).changed == {"ce12": 0}
    assert run.count("ok", "localhost") == 10
    assert run.message("ce12") == "a } in it"
    assert run.message("ce13") == "of another"
    assert run.message("lb1") == ""
    assert run.messages == ["a } in it", "", "of the item", "of another"]
    assert "skipped=0 changed: [ce13] a warning" in run.text
    with pytest.raises(AssertionError, match="a warning"):
        run.ok()
    assert Run(0, "").ok() == Run(0, "")


def test_which_tasks_changed_something() -> None:
    output = """\
TASK [bookface.platform.docker_ce : Install packages] ***
changed: [ce12]
changed: [ce13]

TASK [Gather facts] ***
ok: [ce12]
"""
    assert Run(0, output).changes == {"Install packages"}


@pytest.mark.parametrize(
    "script",
    [
        # As a worker of Ansible's: a session of its own, and programs in it.
        "setsid sh -c 'sleep 60 & echo begun; wait' & wait",
        # Still starting others.
        "for i in $(seq 300); do (sleep 60 & wait) & [ $i != 20 ] || echo begun; done; wait",
    ],
    ids=["session", "busy"],
)
def test_a_kill_leaves_nobody(script: str) -> None:
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        kill_tree(process)
        assert process.returncode == -signal.SIGKILL
        # The pipe ends when the last one that was given it is gone.
        assert select.select([process.stdout], [], [], 0)[0]
        assert process.stdout.read() == ""
    kill_tree(process)
