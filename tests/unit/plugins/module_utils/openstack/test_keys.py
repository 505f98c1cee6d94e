"""Whose keys the machines have, where several people work on them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.bookface.platform.plugins.module_utils.openstack.keys import (
    fingerprint,
    in_words,
    marks,
    more,
    unique,
    with_keys,
)

from .cloud import EMPTY, KEY, Data, faults, made, plan, told

MATE = "ssh-ed25519 BBBB mate@there"


def of_mate() -> Data:
    """The cloud as a team mate sees it: the keypair is not theirs, the servers are another's."""
    return made() | {"keypairs": [], "user_id": "u2"}


def test_a_fingerprint_is_that_of_ssh_keygen(tmp_path: Path) -> None:
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-C", "a b", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text()
    said = subprocess.run(
        ["ssh-keygen", "-lf", key], check=True, capture_output=True, text=True
    ).stdout.split()
    assert fingerprint(public) == said[1]
    assert in_words(public) == f"{said[1]} a b"


def test_a_key_counts_once() -> None:
    assert unique([KEY, MATE, "ssh-ed25519 AAAA other comment"]) == [KEY, MATE]
    assert [*marks([KEY, MATE])] == ["bookface_key_1", "bookface_key_2"]
    assert max(map(len, marks(["ssh-ed25519 AAAA " + "x" * 900]).values())) < 255
    assert more(marks([KEY]), [KEY, MATE]) == {"bookface_key_2": in_words(MATE)}
    assert more({}, [KEY]) == {"bookface_key_1": in_words(KEY)}


def test_user_data_gives_the_keys_of_the_team() -> None:
    assert with_keys("", []) == ""
    assert yaml.safe_load(with_keys("", [MATE])) == {"ssh_authorized_keys": [MATE]}
    text = with_keys("#cloud-config\nruncmd: [[a]]", [MATE])
    assert text.startswith("#cloud-config\n")
    assert yaml.safe_load(text) == {"runcmd": [["a"]], "ssh_authorized_keys": [MATE]}


def test_a_new_server_has_the_keys_of_all() -> None:
    lb1 = plan(EMPTY, public_keys=[MATE])["servers"]["lb1"]
    assert yaml.safe_load(lb1["user_data"]) == {"ssh_authorized_keys": [MATE]}
    assert lb1["metadata"]["bookface_key_1"] == in_words(KEY)
    assert lb1["metadata"]["bookface_key_2"] == in_words(MATE)
    # The keys do not count as another first boot: a run gives them to machines that exist.
    assert lb1["metadata"]["bookface_user_data"] == "none"


def test_a_team_mate_is_told_whose_key_the_machines_have() -> None:
    refused = faults(of_mate(), public_key=MATE)
    assert f"lb1, swarm1 have the key {in_words(KEY)}, given by the account u1, and not" in refused
    assert f"and not yours, {in_words(MATE)}: you could not log in" in refused
    assert "add yours to openstack_public_keys" in refused


def test_machines_whose_key_is_lost_can_be_replaced() -> None:
    """After openstack keypair delete, as the plan says while the keypair is there."""
    assert "openstack keypair delete bookface_platform-p" in faults(made(), public_key=MATE)
    cloud = made() | {"keypairs": []}
    assert "replaced: -e confirm_replace=lb1,swarm1" in faults(cloud, public_key=MATE)
    assert "swarm1 have" in faults(cloud, public_key=MATE, confirm_replace=["lb1"])
    assert told(cloud, public_key=MATE, confirm_replace=["lb1", "swarm1"])[-2:] == [
        "replace server lb1: it does not have your key",
        "replace server swarm1: it does not have your key",
    ]
    # They have been.
    assert told(made(), confirm_replace=["lb1", "swarm1"]) == []


def test_who_can_log_in_gives_the_keys_of_others() -> None:
    (lb1, swarm1) = told(made(), public_keys=[MATE])
    assert lb1 == f"change  server lb1: keys + {in_words(MATE)}"
    assert swarm1.startswith("change  server swarm1: keys + ")
    marks_of = plan(made(), public_keys=[MATE])["servers"]["lb1"]
    assert marks_of["new_keys"] == {"bookface_key_2": in_words(MATE)}
    # They are noted when the machine has them, not with its groups.
    assert [*marks_of["group_mark"]] == ["bookface_groups"]
    cloud = of_mate()
    for server in cloud["servers"]:
        server["metadata"] |= marks([KEY, MATE])
    # Then the mate can work on them, too, with a keypair of their own.
    assert told(cloud, public_key=MATE, public_keys=[KEY, MATE]) == [
        "create  keypair bookface_platform-p"
    ]


def test_a_run_that_does_not_log_in_gives_no_keys() -> None:
    whole = plan(made(), public_keys=[MATE], gives_keys=False)
    assert whole["steps"] == []
    assert whole["left"][0] == (
        f"server lb1: keys + {in_words(MATE)} in a run with openstack_wait_for_guest"
    )


def test_a_server_is_not_said_to_have_the_keypair_of_another_account() -> None:
    """The mate's own keypair is an old one, which is on no machine."""
    cloud = of_mate() | {"keypairs": [{"name": "bookface_platform-p", "public_key": "x CCCC old"}]}
    for server in cloud["servers"]:
        server["metadata"] |= marks([KEY, MATE])
    assert told(cloud, public_key=MATE, public_keys=[KEY, MATE]) == []


def test_two_people_may_share_an_account() -> None:
    cloud = made()
    for server in cloud["servers"]:
        server["metadata"] |= marks([KEY, MATE])
    both: dict[str, Any] = {"public_key": MATE, "public_keys": [KEY, MATE]}
    assert plan(cloud, **both)["lines"] == []
    refused = faults(made(), public_key=MATE)
    assert f"holds another key than openstack_public_key_file: {in_words(KEY)}" in refused


def test_servers_of_before_are_marked_by_their_own_account() -> None:
    cloud = made()
    del cloud["servers"][0]["metadata"]["bookface_key_1"]
    assert told(cloud) == [f"change  server lb1: keys + {in_words(KEY)}"]
    other = plan(cloud | {"user_id": "u2", "keypairs": []})
    assert other["faults"] == []
    assert other["left"] == [
        "server lb1: the account u1 has created it, with a key of its own; whether it has yours,"
        " the cloud does not say"
    ]


def test_a_machine_that_was_made_by_hand_keeps_its_keys() -> None:
    cloud = made()
    cloud["servers"][0]["metadata"] = {
        "bookface_platform": "p", "bookface_groups": "loadbalancers", "bookface_adopted": "true",
    }  # fmt: skip
    assert plan(cloud)["lines"] == []
