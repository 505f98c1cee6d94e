"""Constraints and labels of the nodes of a swarm."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.web import placement
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import NODE_LABELS

INSPECTED = {
    "ID": "m1",
    "Spec": {"Role": "manager", "Labels": {"zone": "a", "up.time": "long"}},
    "Description": {
        "Hostname": "swarm1",
        "Platform": {"OS": "linux", "Architecture": "x86_64"},
        "Engine": {"Labels": {"disk": "ssd"}},
    },
}
NODE = placement.attributes(INSPECTED)


@pytest.mark.parametrize(
    ("wanted", "met"),
    [
        ("node.labels.zone==a", True),
        ("node.labels.zone == A", True),
        ("node.labels.zone!=a", False),
        ("node.labels.up.time==long", True),
        ("node.labels.Zone==a", False),
        # A missing label is an empty one.
        ("node.labels.rack==1", False),
        ("node.labels.rack!=1", True),
        ("engine.labels.disk==ssd", True),
        ("engine.labels.disk==hdd", False),
        ("node.role==manager", True),
        ("node.role!=manager", False),
        ("node.hostname==swarm2", False),
        ("node.id==m1", True),
        ("node.platform.arch==x86_64", True),
    ],
)
def test_constraints_as_docker_reads_them(wanted: str, met: bool) -> None:
    assert placement.meets(NODE, [wanted]) is met
    assert placement.constraint_faults("x", [wanted]) == []


def test_all_constraints_must_be_met() -> None:
    assert not placement.meets(NODE, ["node.labels.zone==a", "node.role==worker"])
    assert placement.meets(NODE, [])


def test_what_is_not_known_of_a_node_that_joins_is_no_reason_to_refuse() -> None:
    joining = placement.with_labels({"node.role": "worker"}, {"zone": "b"})
    assert placement.meets(joining, ["node.platform.os==linux", "node.labels.zone==b"])
    assert not placement.meets(joining, ["node.role==manager"])


@pytest.mark.parametrize(
    "wrong", ["node.labels.zone", "zone==a", "node.labels.==a", "node.labels.zone=a", "a b==c", 1]
)
def test_a_constraint_that_docker_would_refuse_or_never_meet(wrong: object) -> None:
    [said] = placement.constraint_faults("swarm_constraints", [wrong])
    assert said.startswith(f"swarm_constraints has {wrong}; expected ")


def test_constraints_have_one_spelling() -> None:
    assert placement.constraints([" node.role  == manager "]) == ["node.role==manager"]


@pytest.mark.parametrize("wrong", [{"zone": "a"}, "node.labels.zone"])
def test_constraints_and_preferences_are_lists(wrong: object) -> None:
    assert "expected a list" in placement.constraint_faults("swarm_constraints", wrong)[0]
    assert "expected a list" in placement.spread_faults("swarm_preferences", wrong)[0]


def test_preferences() -> None:
    assert placement.spread_faults("p", ["node.labels.zone"]) == []
    assert len(placement.spread_faults("p", ["zone", "node.hostname"])) == 2


@pytest.mark.parametrize("wrong", [{"a b": "1"}, {"zone": ["a"]}, {NODE_LABELS: "zone"}, {"": 1}])
def test_labels_that_cannot_be(wrong: object) -> None:
    [said] = placement.label_faults("swarm1", wrong)
    assert said.startswith("swarm_node_labels of swarm1 has ")


def test_labels_must_be_a_dictionary() -> None:
    assert "expected a dictionary" in placement.label_faults("swarm1", ["zone=a"])[0]
    assert placement.label_faults("swarm1", {"example.org/zone": "a", "n": 1, "ssd": True}) == []


def test_labels_are_set_and_only_ours_are_removed() -> None:
    """The label of somebody else stays, also if the inventory has named it with his value."""
    theirs = {"rack": "9", "disk": "ssd"}
    first = {"zone": "a", "ssd": True, "disk": "ssd"}
    change = placement.label_change(theirs, first)
    assert change
    assert change.set == {"zone": "a", "ssd": "true", NODE_LABELS: "ssd,zone"}
    assert change.remove == []
    now = placement.labels_after(theirs, first)
    assert placement.label_change(now, first) is None
    later = placement.label_change(now, {"zone": "b"})
    assert later
    # A run that is killed before the removal still knows that the label is ours.
    assert (later.set, later.remove) == ({"zone": "b"}, ["ssd"])
    assert later.rest == {NODE_LABELS: "zone"}
    between = {**now, **later.set}
    again = placement.label_change(between, {"zone": "b"})
    assert again
    assert (again.set, again.remove, again.rest) == ({}, ["ssd"], {NODE_LABELS: "zone"})
    swapped = placement.label_change(now, {"new": "1", "zone": "a"})
    assert swapped
    assert swapped.set == {"new": "1", NODE_LABELS: "new,ssd,zone"}
    assert swapped.rest == {NODE_LABELS: "new,zone"}
    assert placement.labels_after(placement.labels_after(now, {"zone": "b"}), {}) == theirs
    assert placement.label_change(theirs, {}) is None


def test_ours_that_somebody_has_removed_is_forgotten() -> None:
    change = placement.label_change({NODE_LABELS: "zone"}, {})
    assert change
    assert (change.set, change.remove) == ({}, [NODE_LABELS])


def test_nodes_are_shown_with_what_constraints_name() -> None:
    said = placement.shown({"swarm1": NODE, "swarm2": {}}, ["node.role==worker"])
    assert said == "swarm1 (labels.up.time=long, labels.zone=a, role=manager), swarm2 (no labels)"
