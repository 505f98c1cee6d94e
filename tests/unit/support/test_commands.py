"""How the tests read what Ansible prints."""

from __future__ import annotations

from commands import failures, recap

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
