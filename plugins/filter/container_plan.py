# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that plan the changes to the web containers of a Docker host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.web import containers as thinking

Entries = Iterable[Mapping[str, Any]]


def container_places(
    wanted: Entries,
    listed: Entries = (),
    address: str = "",
    adopt: Sequence[str] = (),
    network: str = "",
    networks: Entries = (),
) -> list[dict[str, Any]]:
    """See container_places.yml beside this file."""
    try:
        thinking.check_network(network, networks, listed, adopt)
        found = thinking.places(wanted, listed, address, adopt)
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"{_words(error)} Nothing was changed.") from None
    return [
        {
            "name": place.name,
            "port": place.port,
            "current": place.current.name if place.current else "",
            "url": next((thinking.url(address, port) for port in _ports(place)), ""),
            "free": not place.held,
        }
        for place in found.places
    ]


def container_plan(
    wanted: Entries,
    listed: Entries,
    address: str,
    answers: Sequence[Mapping[str, Any]],
    probes: Sequence[Mapping[str, Any]],
    host: str,
    adopt: Sequence[str] = (),
) -> dict[str, Any]:
    """See container_plan.yml beside this file."""
    try:
        found = thinking.places(wanted, listed, address, adopt)
        return dict(thinking.plan(found, answers, probes, host, address))
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"{_words(error)} Nothing was changed.") from None


def _ports(place: thinking.Place) -> list[int]:
    """Ports of the containers that are up."""
    return [one.port for one in place.held if one.running and one.port]


def _words(error: Exception) -> str:
    """A thing that is missing or of another kind is an error in what was given."""
    if isinstance(error, thinking.ContainerError):
        return str(error)
    return f"web_containers_list: expected entries with name and port, got {error!r}."


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"container_places": container_places, "container_plan": container_plan}
