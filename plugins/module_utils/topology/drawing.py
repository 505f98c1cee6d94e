# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diagram of a model: nested boxes, nodes and arrows. Also as Mermaid text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.topology.facts import (
    ADMINISTRATION,
    ENGINE,
)
from ansible_collections.bookface.platform.plugins.module_utils.topology.model import CLIENTS

# Where the traffic goes; where it could go; where it could not; what has nothing to do with it.
ACTIVE, IDLE, BROKEN, PLAIN = "active", "idle", "broken", "plain"

Model = Mapping[str, Any]


@dataclass(frozen=True)
class Node:
    """A service. C(icon) is the name of the product in lower case."""

    id: str
    lines: tuple[str, ...]
    ports: tuple[str, ...]
    icon: str
    style: str


@dataclass(frozen=True)
class Box:
    """A machine, or a group of machines."""

    id: str
    lines: tuple[str, ...]
    style: str
    group: bool
    content: tuple[Box | Node, ...]


@dataclass(frozen=True)
class Arrow:
    """A connection, from client to server."""

    source: str
    target: str
    label: str
    style: str


@dataclass(frozen=True)
class Drawing:
    """All elements, in drawing order."""

    title: str
    content: tuple[Box | Node, ...]
    arrows: tuple[Arrow, ...]


def ports_text(port: Mapping[str, Any]) -> str:
    """C(:80 bookface), or C(:32001 → 8080) for a container."""
    inside = port["inside"] if port["inside"] not in (None, port["number"]) else None
    parts = [f":{port['number']}", f"→ {inside}" if inside else "", port["purpose"]]
    return " ".join(part for part in parts if part)


def node(service: Mapping[str, Any], style: str) -> Node:
    """The node of a service."""
    parts = [f"{part['name']} {part['version']}".strip() for part in service["software"]]
    own = [service["name"]] if service["container"] or not parts else []
    if service["container"] and not parts:
        own.append(service["image"])
    product = service["software"][0]["name"] if service["software"] else service["name"]
    return Node(
        id=service["id"],
        lines=tuple(own + parts),
        ports=tuple(ports_text(port) for port in service["ports"]),
        icon="docker" if service["container"] else product.lower(),
        style=style,
    )


def machine_box(
    machine: Mapping[str, Any], drawn: Sequence[Node], engines: Sequence[Node], style: str
) -> Box:
    """The box of a machine with its services. C(engines) run containers and serve nobody."""
    facts = [machine["system"], f"swarm {machine['swarm']}" if machine["swarm"] else ""]
    facts += ["" if machine["known"] else "not in the inventory"]
    facts += ["" if machine["reached"] else "not reached"]
    address = machine["address"] if machine["address"] != machine["name"] else ""
    lines = [
        f"{machine['name']}  {address}".strip(),
        " · ".join(fact for fact in facts if fact),
        *(" ".join(engine.lines + engine.ports) for engine in engines),
    ]
    return Box(
        id=machine["name"],
        lines=tuple(line for line in lines if line),
        style=style,
        group=False,
        content=tuple(drawn),
    )


def link_style(link: Mapping[str, Any]) -> str:
    """The style of an arrow."""
    if link["status"].startswith("DOWN"):
        return BROKEN
    return ACTIVE if link["active"] else IDLE


def drawing(model: Model) -> Drawing:
    """The diagram of a model from the filter C(topology)."""
    links = model["links"]
    used = {link["source"] for link in links} | {link["target"] for link in links}
    active = {end for link in links if link["active"] for end in (link["source"], link["target"])}

    def style_of(service: Mapping[str, Any]) -> str:
        if service["missing"]:
            return BROKEN
        if service["id"] not in used:
            return PLAIN
        return ACTIVE if service["id"] in active else IDLE

    boxes: dict[str, Box] = {}
    for machine in model["machines"]:
        shown: list[Node] = []
        engines: list[Node] = []
        for service in machine["services"]:
            if service["kind"] != ADMINISTRATION:
                aside = service["kind"] == ENGINE and service["id"] not in used
                (engines if aside else shown).append(node(service, style_of(service)))
        styles = {found.style for found in shown}
        style = next((one for one in (ACTIVE, IDLE, BROKEN) if one in styles), PLAIN)
        boxes[machine["name"]] = machine_box(machine, shown, engines, style)

    grouped: list[Box | Node] = []
    taken: set[str] = set()
    for backend in model["backends"]:
        names = [
            machine["name"]
            for machine in model["machines"]
            if machine["name"] not in taken
            and {service["id"] for service in machine["services"]} & set(backend["services"])
        ]
        if not names:
            continue
        taken |= set(names)
        swarm = bool(set(names) & set(model["swarm"]))
        if swarm:
            names += [name for name in model["swarm"] if name not in taken]
            taken |= set(model["swarm"])
        says = "has the traffic" if backend["active"] else "stands by"
        grouped.append(
            Box(
                id=f"backend {backend['name']}",
                lines=(f"backend {backend['name']}: {says}",)
                + (("Docker Swarm",) if swarm else ()),
                style=ACTIVE if backend["active"] else IDLE,
                group=True,
                content=tuple(boxes[name] for name in names),
            )
        )
    lone_swarm = [boxes[name] for name in model["swarm"] if name not in taken]
    if lone_swarm:
        taken |= set(model["swarm"])
        grouped.append(Box("swarm", ("Docker Swarm",), PLAIN, True, tuple(lone_swarm)))

    machines = [machine["name"] for machine in model["machines"] if machine["name"] not in taken]
    fronts = [n for n in machines if _has_kind(model, n, "load balancer")]
    rest = [boxes[name] for name in machines if name not in fronts]
    clients = Node(CLIENTS, ("clients",), (), CLIENTS, ACTIVE if CLIENTS in active else PLAIN)
    where = ", ".join(model["active_backends"]) or "unknown"
    return Drawing(
        title=f"bookface: the traffic goes to {where}",
        content=(clients, *(boxes[name] for name in fronts), *grouped, *rest),
        arrows=tuple(
            Arrow(
                link["source"],
                link["target"],
                f":{link['port']}" if link["port"] else "",
                link_style(link),
            )
            for link in links
        ),
    )


def _has_kind(model: Model, name: str, kind: str) -> bool:
    return any(
        service["kind"] == kind
        for machine in model["machines"]
        if machine["name"] == name
        for service in machine["services"]
    )


def nodes(content: Sequence[Box | Node]) -> Iterator[Node]:
    """All nodes, including those in boxes."""
    for item in content:
        if isinstance(item, Node):
            yield item
        else:
            yield from nodes(item.content)


MERMAID_CLASSES = (
    "classDef active fill:#e3f4e5,stroke:#1b7f3b,stroke-width:2px,color:#1d2b21",
    "classDef idle fill:#f4f4f4,stroke:#8a9099,stroke-dasharray:4 3,color:#4a4f57",
    "classDef broken fill:#fdeaea,stroke:#b3261e,stroke-dasharray:4 3,color:#7a1a14",
    "classDef plain fill:#ffffff,stroke:#6b7280,color:#2d3436",
)
MERMAID_ARROWS = {ACTIVE: "==>", IDLE: "-.->", BROKEN: "-.-x", PLAIN: "-->"}


def mermaid_text(lines: Sequence[str]) -> str:
    """Lines as a quoted label."""
    escaped = (
        line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in lines
    )
    return '"' + "<br>".join(line.replace('"', "#quot;") for line in escaped) + '"'


def mermaid(drawn: Drawing) -> str:
    """The diagram as a Mermaid flowchart."""
    ids = {found.id: f"n{number}" for number, found in enumerate(nodes(drawn.content), 1)}
    lines = ["---", f"title: {_yaml(drawn.title)}", "---", "flowchart LR"]

    def write(content: Sequence[Box | Node], indent: str) -> None:
        for item in content:
            if isinstance(item, Node):
                text = mermaid_text(item.lines + item.ports)
                lines.append(f"{indent}{ids[item.id]}[{text}]:::{item.style}")
                continue
            name = "box_" + re.sub(r"\W", "_", item.id)
            lines.append(f"{indent}subgraph {name}[{mermaid_text(item.lines)}]")
            write(item.content, indent + "  ")
            lines.append(f"{indent}end")
            lines.append(f"{indent}class {name} {item.style if item.group else PLAIN}")

    write(drawn.content, "  ")
    for arrow in drawn.arrows:
        label = f"|{mermaid_text([arrow.label])}|" if arrow.label else ""
        head = MERMAID_ARROWS[arrow.style]
        lines.append(f"  {ids[arrow.source]} {head}{label} {ids[arrow.target]}")
    lines += [f"  {line}" for line in MERMAID_CLASSES]
    return "\n".join(lines) + "\n"


def _yaml(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def embed_images(svg: str, data_uri: Callable[[str], str]) -> str:
    """The SVG with embedded images. C(data_uri) returns the URI for the path of a file."""

    def replaced(found: re.Match[str]) -> str:
        return f'{found[1]}"{data_uri(found[2])}"'

    return re.sub(r'(<image\b[^>]*?\bhref=)"([^"]*)"', replaced, svg)
