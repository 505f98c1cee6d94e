"""Servers as hosts of the inventory."""

from __future__ import annotations

from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.openstack.hosts import (
    host_variables,
    in_order,
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
