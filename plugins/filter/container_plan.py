# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that tell what is to be done to the web containers of a Docker host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.web import containers as thinking

Entries = Iterable[Mapping[str, Any]]


def container_places(
    wanted: Entries, listed: Entries = (), address: str = ""
) -> list[dict[str, Any]]:
    """See container_places.yml beside this file."""
    try:
        found = thinking.places(wanted, listed, address)
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"{_words(error)}. Nothing was changed.") from None
    return [
        {
            "name": place.name,
            "port": place.port,
            "current": place.current.name if place.current else "",
            "serves_on": next((one.port or 0 for one in place.held if one.running), 0),
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
) -> dict[str, Any]:
    """See container_plan.yml beside this file."""
    try:
        found = thinking.places(wanted, listed, address)
        return dict(thinking.plan(found, answers, probes, host))
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"{_words(error)}. Nothing was changed.") from None


def _words(error: Exception) -> str:
    """A thing that is missing or of another kind is an error in what was given."""
    if isinstance(error, thinking.ContainerError):
        return str(error)
    return f"web_containers_list wants entries with name and port: {error!r}"


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"container_places": container_places, "container_plan": container_plan}
