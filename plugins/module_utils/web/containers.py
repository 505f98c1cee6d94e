# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the changes to the web containers of a Docker host from what Docker reports.

A place is a container that should run: a name and a port. The load balancer knows the port, so a
container that somebody renamed is found by it. While a container is replaced, the old one is called
NAME-before, from before the first step until after the last: if there is one, an earlier run was
cut short, and its work is finished.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.web.backends import container_server
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import (
    MADE,
    PORT,
    PREFIX,
    ROLE,
    WEB,
    is_web,
)

BEFORE = "-before"
# Value of the label MADE on what the role creates.
MAKER = "web_containers"
FIRST_PORT, LAST_PORT = 1024, 65535

# What docker_container does to a container that stays the same, and what differs in it then. A
# limit is not among them: Docker refuses some that are changed while it runs.
_IN_PLACE = frozenset({"started", "set_paused"})
_STATE = frozenset({"running", "paused"})
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+\Z")
# Labels with which others say whose a container is.
_OWNERS = (
    ("com.docker.compose.project", "Compose project"),
    ("com.docker.swarm.service.name", "swarm service"),
)
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  (compared with, not listened on)

Entry = Mapping[str, Any]


class ContainerError(ValueError):
    """The list of containers is wrong, or must not be carried out on this host."""


@dataclass(frozen=True)
class Container:
    """A container as Docker lists it. C(sound): it is up, and its health check does not object."""

    id: str
    name: str
    ours: bool
    port: int | None
    published: tuple[tuple[str, int], ...]
    running: bool
    sound: bool
    # Its image, and the project or service that it belongs to.
    whose: tuple[str, ...] = ()

    @property
    def aside(self) -> bool:
        """Ours, and moved aside to be replaced or removed."""
        return self.ours and self.name.endswith(BEFORE)


@dataclass(frozen=True)
class Place:
    """A container that should run; the one in its place, and the one that was moved aside."""

    name: str
    port: int
    current: Container | None = None
    before: Container | None = None

    @property
    def held(self) -> tuple[Container, ...]:
        """Those of our containers that belong here."""
        return tuple(one for one in (self.current, self.before) if one is not None)


@dataclass(frozen=True)
class Rename:
    """A container, by its id, and the name that it gets."""

    id: str
    old: str
    new: str


@dataclass(frozen=True)
class Places:
    """Who holds which place, who is left over, and the renames that come first."""

    places: tuple[Place, ...]
    leftovers: tuple[Container, ...]
    renames: tuple[Rename, ...]


def checked(wanted: Iterable[Entry]) -> tuple[Place, ...]:
    """The containers that should run; raises ContainerError if the list is wrong."""
    places = tuple(Place(str(one["name"]), int(one["port"])) for one in wanted)
    for place in places:
        if not _NAME.match(place.name) or place.name.endswith(BEFORE):
            raise ContainerError(
                f"web_containers_list has the name {place.name!r}; expected two or more letters,"
                f" digits, '_', '.' or '-', a letter or digit first, and not '{BEFORE}' at the end:"
                " that is how one is called while it is replaced."
            )
        if not FIRST_PORT <= place.port <= LAST_PORT:
            raise ContainerError(
                f"web_containers_list has port {place.port} for {place.name}; expected one of"
                f" {FIRST_PORT}-{LAST_PORT}, such as 32001: those below belong to services of the"
                " machine itself."
            )
    for what, values in (
        ("name", [place.name for place in places]),
        ("port", [str(place.port) for place in places]),
    ):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ContainerError(
                f"web_containers_list has the {what} {', '.join(twice)} more than once; each"
                f" container needs a {what} of its own."
            )
    return places


def read(entry: Entry) -> Container:
    """A container from Docker's list."""
    labels = entry.get("Labels") or {}
    ports = [port for port in entry.get("Ports") or [] if port.get("PublicPort")]
    published = sorted({(port.get("IP") or "", int(port["PublicPort"])) for port in ports})
    told = str(labels.get(PORT, ""))
    port = int(told) if told.isdigit() else next((number for _ip, number in published), None)
    return Container(
        id=entry["Id"],
        name=entry["Names"][0].lstrip("/"),
        ours=is_web(labels),
        port=port,
        published=tuple(published),
        running=entry["State"] in ("running", "paused", "restarting"),
        # A health check cannot ask one that is paused, and takes that for an answer.
        sound=entry["State"] == "paused"
        or (entry["State"] == "running" and "(unhealthy)" not in entry["Status"]),
        whose=(
            *([f"image {entry['Image']}"] if entry.get("Image") else []),
            *(f"{what} {labels[label]}" for label, what in _OWNERS if labels.get(label)),
        ),
    )


def places(
    wanted: Iterable[Entry],
    listed: Iterable[Entry],
    address: str,
    adopt: Sequence[str] = (),
) -> Places:
    """Who holds which place, by port first, then by name.

    Raises ContainerError where a name or a port is held by a container that is not ours, unless it
    is in C(adopt). C(address) is the one that ports are published on.
    """
    asked = checked(wanted)
    found = [read(entry) for entry in listed]
    hindrances = []
    for place in asked:
        for number, other in enumerate(found):
            hindrance = _hindrance(place, other, address)
            if hindrance and {_handle(other.name), _handle(other.name.removesuffix(BEFORE))} & {
                *adopt
            }:
                found[number] = replace(other, ours=True)
            elif hindrance:
                hindrances.append(hindrance)
    if hindrances:
        raise ContainerError(" ".join(hindrances))
    ours = sorted((one for one in found if one.ours), key=lambda one: one.name)
    standing = [one for one in ours if not one.aside]
    aside = [one for one in ours if one.aside]
    asked = tuple(replace(place, current=_take(standing, place.port, "")) for place in asked)
    asked = tuple(
        place if place.current else replace(place, current=_take(standing, None, place.name))
        for place in asked
    )
    asked = tuple(
        replace(
            place,
            before=_take(aside, place.port, "") or _take(aside, None, place.name + BEFORE),
        )
        for place in asked
    )
    return Places(asked, tuple(aside + standing), _renames(asked, ours))


def check_network(
    name: str, networks: Iterable[Entry], listed: Iterable[Entry], adopt: Sequence[str]
) -> None:
    """Raise ContainerError if the network that has this name is not ours, unless it is adopted.

    One on which our containers are was adopted before.
    """
    found = next((one for one in networks if one["Name"] == name), None)
    handle = f"network/{name}"
    used = any(
        name in ((entry.get("NetworkSettings") or {}).get("Networks") or {})
        for entry in listed
        if is_web(entry.get("Labels"))
    )
    if not found or used or handle in adopt or (found.get("Labels") or {}).get(MADE) == MAKER:
        return
    raise ContainerError(
        f"web_containers_network is {name}, but the network that has this name is not ours: it"
        f" lacks the label {MADE}={MAKER}. Choose another name, or adopt it with"
        f" web_containers_adopt: [{handle}]: then the containers join it, and it stays as it is."
    )


def _take(there: list[Container], port: int | None, name: str) -> Container | None:
    """Take one out of those that are there, by its port or its name."""
    for one in there:
        if (port is not None and one.port == port) or one.name == name:
            there.remove(one)
            return one
    return None


def _handle(name: str) -> str:
    """A container as web_containers_adopt names it."""
    return f"container/{name}"


def _hindrance(place: Place, other: Container, address: str) -> str:
    """Why a container of somebody else's is in the way, or nothing. It is not removed for that."""
    if other.ours:
        return ""
    adopted = f"or let the site replace it, with web_containers_adopt: [{_handle(other.name)}]."
    whose = f"the container {other.name} ({', '.join([other.id[:12], *other.whose])})"
    if other.name in (place.name, place.name + BEFORE):
        return (
            f"The name {other.name}, expected for a container of the site, is held by {whose},"
            f" which is not ours: it lacks the label {ROLE}={WEB}. Rename it (docker rename"
            f" {other.name} NAME), choose another name in web_containers_list, {adopted}"
        )
    for ip, port in other.published:
        if port == place.port and (ip in (*_EVERYWHERE, address) or address in _EVERYWHERE):
            return (
                f"Port {port}, expected for {place.name}, is published by {whose}, which is not"
                " ours. Publish another port of it, choose another port in web_containers_list"
                f" or bookface_container_first_port, {adopted}"
            )
    return ""


def _renames(asked: Sequence[Place], ours: Sequence[Container]) -> tuple[Rename, ...]:
    """Names that somebody changed; in an order in which no name is given while it is taken."""
    names = {one.id: one.name for one in ours}
    steps: list[Rename] = []

    def give(id_: str, name: str) -> None:
        steps.append(Rename(id_, names[id_], name))
        names[id_] = name

    for place in asked:
        for holder, name in ((place.current, place.name), (place.before, place.name + BEFORE)):
            if holder is None or names[holder.id] == name:
                continue
            for other in [id_ for id_, taken in names.items() if taken == name]:
                give(other, f"{name}-{other[:12]}")
            give(holder.id, name)
    return tuple(steps)


@dataclass(frozen=True)
class Answer:
    """What docker_container would do to the container of a place, and why.

    In check mode it names no action where only a limit differs, but tells the difference.
    """

    kinds: frozenset[str]
    known: bool
    reasons: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """It would create another container. What was not asked may be anything."""
        return not self.known or bool(self.kinds - _IN_PLACE) or bool({*self.reasons} - _STATE)

    @property
    def changes(self) -> bool:
        return self.differs or bool(self.kinds)


def read_answer(told: Entry) -> Answer:
    """The result of the module in check mode, or of a task that was skipped."""
    diff = told.get("diff") or {}
    return Answer(
        kinds=frozenset(kind for action in told.get("actions", ()) for kind in action),
        known="actions" in told,
        reasons=_reasons(diff.get("before"), diff.get("after")),
    )


def _reasons(before: object, after: object) -> tuple[str, ...]:
    """Names of the settings that differ; of labels, what they stand for."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return ()
    found = set(before)
    if "labels" in found:
        had = before["labels"] or {}
        wanted = after.get("labels") or {}
        named = {name for name, value in wanted.items() if had.get(name) != value}
        found = (found - {"labels"}) | {name.removeprefix(PREFIX) for name in named}
    return tuple(sorted(found))


def url(address: str, port: int) -> str:
    """Where the container on this port of this host answers."""
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def plan(
    found: Places, told: Sequence[Entry], probes: Iterable[Entry], host: str, address: str
) -> Entry:
    """The plan, as plain data.

    C(told) is what docker_container would do to each place, C(probes) what containers answer
    that were asked whether they are ready. C(host) is the name in the inventory, C(address) the
    one that ports are published on.
    """
    answers = [read_answer(one) for one in told]
    serving = {probe["name"] for probe in probes if probe["ready"]}
    ready = [place.name in serving for place in found.places]
    start: list[Entry] = []
    changed: list[Entry] = []
    for place, answer, serves in zip(found.places, answers, ready):
        current = place.current
        # The health check may be behind: one that was paused is unhealthy for some seconds more.
        broken = current is not None and current.running and not current.sound and not serves
        stays = current is not None and not answer.differs and not broken
        # Of two, the one that was moved aside is the one that has served.
        old = place.before or (None if stays else current)
        if old:
            reasons = ("it is unhealthy",) if broken else answer.reasons
            changed.append(_exchange(place, old, stays, serves, reasons, host))
        elif answer.changes:
            start.append(
                {
                    "name": place.name,
                    "port": place.port,
                    # A server may still be drained from when its container was removed.
                    "put_back": [] if current else [container_server(host, place.port)],
                }
            )
    exchanged = [step["name"] for step in changed]
    steps = {
        "renames": [vars(step) for step in found.renames],
        "start": start,
        # What was begun first: another one cannot go while that is missing.
        "replace": sorted(changed, key=lambda step: not step["aside"]),
        "remove": [_removal(one, host) for one in found.leftovers],
        "image_missing": any("pulled_image" in answer.kinds for answer in answers),
        # They are waited for. Those that are replaced are waited for one by one.
        "unready": [
            {"name": place.name, "port": place.port, "url": url(address, place.port)}
            for place, serves in zip(found.places, ready)
            if not serves and place.name not in exchanged
        ],
    }
    return {**steps, "work": any(steps.values())}


def _exchange(
    place: Place, old: Container, stays: bool, serves: bool, reasons: Sequence[str], host: str
) -> dict[str, Any]:
    """How to replace the container of a place, or to finish a replacement."""
    current, before = place.current, place.before
    leaving = [one for one in (None if stays else current, before) if one and one.running]
    ports = sorted({one.port for one in leaving if one.port})
    old_port = old.port or place.port
    return {
        "name": place.name,
        "port": place.port,
        "server": container_server(host, place.port),
        "old": old.id,
        # Where it comes back to, if need be. Its server may be drained from an earlier run.
        "old_port": old_port,
        "old_server": container_server(host, old_port),
        # Moved aside before anything else, so that the next run sees what was begun.
        "aside": before is not None,
        "discard": current.id if current and before and not stays else "",
        "drain": [container_server(host, port) for port in ports],
        "moves": bool(ports) and ports != [place.port],
        "serves": serves,
        "reasons": ["an earlier run was cut short"] if before else list(reasons),
    }


def _removal(one: Container, host: str) -> dict[str, Any]:
    """How to remove a container that is no longer in the list."""
    return {
        "id": one.id,
        "name": one.name.removesuffix(BEFORE),
        "aside": one.aside,
        "drain": [container_server(host, one.port)] if one.running and one.port else [],
        "serves": one.sound,
    }
