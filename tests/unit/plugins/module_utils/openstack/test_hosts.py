"""Servers as hosts of the inventory."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.openstack.hosts import (
    age,
    duration,
    holds,
    host_variables,
    in_order,
    kept,
)


def server(name: str, *addresses: tuple[str, str, int], **more: Any) -> dict[str, Any]:
    entries = [
        {"addr": address, "OS-EXT-IPS:type": kind, "version": version}
        for address, kind, version in addresses
    ]
    return {"id": f"id-{name}", "name": name, "addresses": {"net": entries}} | more


def test_hosts_are_in_the_order_of_their_names() -> None:
    newest_first = [server("db2"), server("db10"), server("db1")]
    assert [one["name"] for one in in_order(newest_first)] == ["db1", "db10", "db2"]


def test_a_host_has_both_addresses() -> None:
    found = host_variables(
        server("lb1", ("fd00::5", "fixed", 6), ("192.0.2.5", "fixed", 4),
               ("203.0.113.9", "floating", 4))
    )  # fmt: skip
    assert found["bookface_address"] == "192.0.2.5"
    assert found["openstack_floating_address"] == "203.0.113.9"


def test_a_network_of_version_6_alone_has_an_address() -> None:
    found = host_variables(server("web1", ("fd00::5", "fixed", 6)))
    assert (found["bookface_address"], found["openstack_floating_address"]) == ("fd00::5", "")
    assert host_variables(server("web1") | {"addresses": None})["bookface_address"] == ""


def floating(
    address: str, description: str = "", device: str | None = None
) -> dict[str, str | None]:
    return {"address": address, "description": description, "device": device}


def test_a_host_has_the_addresses_that_are_held_at_it() -> None:
    known = [
        floating("203.0.113.7", "bookface_platform=p machine=lb1"),
        floating("203.0.113.8", "bookface_platform=q machine=lb1 bookface_held=q/web1/noon"),
        floating("203.0.113.9", "bookface_platform=p machine=lb1 bookface_held=p/web1/noon"),
    ]
    web1 = server("web1")
    held = holds([web1], known, "p")
    assert host_variables(web1, known, held)["openstack_holds"] == held == [
        {"address": "203.0.113.9", "of": "lb1", "at": "web1", "since": "noon", "attached": True}
    ]  # fmt: skip
    assert host_variables(server("web2"), known, held)["openstack_holds"] == []


@pytest.mark.parametrize(
    ("device", "at", "attached"), [("", "web1", False), ("id-web9", "web9", True)]
)
def test_a_hold_is_told_also_if_its_machine_is_gone_or_renamed(
    device: str, at: str, attached: bool
) -> None:
    known = [
        floating("203.0.113.9", "bookface_platform=p machine=lb1 bookface_held=p/web1/noon", device)
    ]
    (one,) = holds([server("web9")], known, "p")
    assert (one["at"], one["attached"]) == (at, attached)
    assert holds([], known, "q") == []
    assert len(holds([], known, "")) == 1


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("id-web1", ("", "203.0.113.9")),
        ("id-lb1", ("203.0.113.9", "")),
        ("", ("", "")),
        (None, ("203.0.113.9", "")),
    ],
)
def test_a_moved_address_is_at_its_new_machine_alone(
    device: str | None, expected: tuple[str, str]
) -> None:
    """Nova shows it at the old one for a while. Without a device, only Nova knows."""
    old = server("lb1", ("192.0.2.5", "fixed", 4), ("203.0.113.9", "floating", 4))
    new = server("web1", ("192.0.2.6", "fixed", 4))
    known = [floating("203.0.113.9", device=device)]
    found = [host_variables(one, known)["openstack_floating_address"] for one in (old, new)]
    assert tuple(found) == expected


QUESTION = {"cloud": "lab", "region": "", "filters": {}}


def test_a_kept_answer_has_an_age() -> None:
    entry = kept(QUESTION, {"servers": []}, 1000.9)
    assert age(entry, QUESTION, 1600.2) == 600
    # Never as one that was just given, even where the clock was set back.
    assert age(entry, QUESTION, 900) == age(entry, QUESTION, 1000.9) == 1


@pytest.mark.parametrize(
    "entry",
    [None, [], {}, {"question": QUESTION}, {"question": QUESTION, "time": 1, "answer": []},
     {"question": QUESTION | {"cloud": "other"}, "time": 1, "answer": {}}],
)  # fmt: skip
def test_what_is_no_answer_to_the_question_has_none(entry: object) -> None:
    assert age(entry, QUESTION, 10) is None


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(119, "119 seconds"), (600, "10 minutes"), (86400, "24 hours"), (172800, "2 days")],
)
def test_a_duration_is_told_in_its_unit(seconds: int, told: str) -> None:
    assert duration(seconds) == told
