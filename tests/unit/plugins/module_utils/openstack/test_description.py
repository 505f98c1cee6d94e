"""A description of machines: what is filled in, and every way in which one can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.openstack_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.openstack.description import (
    DescriptionError,
    Machine,
    Names,
    jump,
    jump_name,
    machines,
    members,
)

ROOT = Path(__file__).resolve().parents[5]
FILTERS = FilterModule().filters()
DEFAULTS = {"image": "debian-12", "flavor": "m1.small", "suite": "bookworm"}
LB: dict[str, Any] = {"name": "lb1", "groups": ["loadbalancers"], "floating_ip": True}
DB: dict[str, Any] = {"name": "db1", "groups": ["databases", "caches"], "volume": 20}


def read(*described: Any, platform: str = "demo") -> list[Machine]:
    return machines(platform, described, DEFAULTS)


def test_what_a_machine_leaves_out_is_filled_in() -> None:
    other = {"name": "web1", "groups": ["legacy_web"], "image": "debian-13", "suite": "trixie"}
    assert read(LB, DB, other) == [
        Machine("lb1", ("loadbalancers",), "debian-12", "m1.small", "bookworm", 0, True),
        Machine("db1", ("databases", "caches"), "debian-12", "m1.small", "bookworm", 20, False),
        Machine("web1", ("legacy_web",), "debian-13", "m1.small", "trixie", 0, False),
    ]


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        ({"groups": ["databases"]}, "machine 1 of openstack_vms has the name None"),
        ({"name": "Web 1", "groups": ["legacy_web"]}, "has the name 'Web 1': expected letters"),
        ({"name": "web1"}, "web1 has no groups: expected a list of loadbalancers, databases"),
        ({"name": "web1", "groups": []}, "web1 has no groups"),
        ({"name": "web1", "groups": "legacy_web"}, "web1 has no groups: expected a list"),
        ({"name": "web1", "groups": ["web"]}, "web1 is in the unknown group web; known: loadb"),
        (
            {**LB, "colour": "red"},
            "lb1 has colour; known keys: availability_zone, boot_from_volume, flavor, floating_ip",
        ),
        ({**LB, "image": ""}, "lb1 has no image; set it, or openstack_image for all machines"),
        ({**LB, "flavor": None}, "lb1 has no flavor"),
        ({**LB, "suite": ""}, "lb1 has no suite; set it, or openstack_suite for all machines"),
        ({**LB, "volume": "20"}, "lb1 has the volume '20': expected gigabytes"),
        ({**LB, "volume": -1}, "lb1 has the volume -1"),
        ({**LB, "volume": True}, "lb1 has the volume True"),
        (
            {**LB, "floating_ip": "yes"},
            "lb1 has floating_ip 'yes': expected true, false, or an address",
        ),
        ({**LB, "floating_ip": "203.0.113"}, "lb1 has floating_ip '203.0.113': expected true"),
        ({**LB, "boot_from_volume": "big"}, "lb1 has boot_from_volume 'big': expected the giga"),
        ({**LB, "availability_zone": 3}, "lb1 has availability_zone 3: expected its name"),
        ("lb1", "openstack_vms has 'lb1': expected a dictionary"),
    ],
)
def test_a_fault_is_named(machine: Any, says: str) -> None:
    with pytest.raises(DescriptionError) as error:
        read(machine)
    assert says in str(error.value)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(AnsibleFilterError) as error:
        FILTERS["openstack_machines"]([LB, LB, {"name": "x"}], "Demo", **DEFAULTS)
    told = str(error.value)
    assert "openstack_platform is 'Demo'" in told
    assert "x has no groups" in told
    assert "has lb1 more than once" in told
    assert told.endswith("Nothing was changed.")


def test_a_description_of_nothing_is_refused() -> None:
    with pytest.raises(DescriptionError, match="openstack_vms is empty"):
        read()


def test_who_gets_docker_and_who_is_in_the_swarm() -> None:
    kinds = {"docker_hosts": (True, False), "swarm_workers": (True, True), "caches": (False, False)}
    for group, expected in kinds.items():
        machine = read({"name": "one", "groups": [group]})[0]
        assert (machine.with_docker, machine.in_swarm) == expected


def test_groups_without_machines_are_left_out() -> None:
    assert members(read(LB, DB)) == {
        "loadbalancers": ["lb1"],
        "databases": ["db1"],
        "caches": ["db1"],
    }


def test_the_way_to_machines_without_an_address() -> None:
    plain = {"name": "web1", "groups": ["legacy_web"]}
    assert jump(read(plain, LB)) == read(LB)[0]
    # Not the first by its name.
    assert jump(read(plain, LB, {**LB, "name": "a"})) == read(LB)[0]
    assert jump(read(LB)) is None  # all can be reached
    assert jump(read(plain)) is None  # nobody can help


def test_the_way_is_asked_of_descriptions_that_nobody_has_checked() -> None:
    assert jump_name(["lb1", {}, {"name": "a", "floating_ip": "yes"}, LB]) == "lb1"
    assert jump_name([{"name": "a"}]) == ""


def test_what_has_no_description_is_marked_by_its_name() -> None:
    names = Names("demo")
    assert names.mark == "bookface_platform=demo"
    assert names.address_mark("lb1") == "bookface_platform=demo machine=lb1"
    assert names.keypair.startswith("bookface_platform-demo")
    assert names.server_group.startswith("bookface_platform-demo")


def test_the_inventory_finds_the_machines_by_our_marks() -> None:
    """It is YAML that users edit, so the names of the marks stand there once more."""
    file = ROOT / "inventories/openstack/openstack.yml"
    told = yaml.safe_load(file.read_text())
    assert told["server_filters"]["metadata"] == Names("bookface").metadata
    assert told["only_clouds"] == ["openstack"]


def test_what_a_machine_may_say_of_itself() -> None:
    told = {"floating_ip": "203.0.113.9", "boot_from_volume": 40, "availability_zone": "nova"}
    (found,) = read({**LB, **told, "name": "Web_1.a"})
    assert (found.floating_ip, found.address) == (True, "203.0.113.9")
    assert (found.boot_volume, found.availability_zone) == (40, "nova")
    (found,) = read({**LB, "boot_from_volume": True, "floating_ip": False})
    assert (found.boot_volume, found.address) == (20, "")
    assert jump_name([{"name": "a"}, {"name": "b", "floating_ip": "203.0.113.9"}]) == "b"


def test_an_address_belongs_to_one_machine() -> None:
    twice = [{**LB, "name": name, "floating_ip": "203.0.113.9"} for name in ("a", "b")]
    with pytest.raises(DescriptionError, match="several machines of openstack_vms have the fl"):
        read(*twice)
