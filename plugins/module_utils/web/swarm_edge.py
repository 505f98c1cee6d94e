# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy as a service of the swarm: what it publishes, where it runs, and what forbids that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.access import (
    AccessError,
    bound,
    outside,
)
from ansible_collections.bookface.platform.plugins.module_utils.topology.facts import parse_sockets
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import MADE, STACK
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import (
    DOWN,
    SWARM,
    Entry,
    Node,
    is_address_of,
    read,
    without_majority,
)

# Addresses that a container has as well as its node.
_EVERYWHERE = ("", "*", "0.0.0.0", "::", "[::]")  # noqa: S104
# What listens on the ports that Docker publishes.
_PROXY = "docker-proxy"


@dataclass(frozen=True)
class Settings:
    """What the inventory says of one load balancer. C(binds): by the names of the variables."""

    host: str
    nodes: Sequence[str]
    binds: Mapping[str, str]
    page_cache: bool = False
    fallback: str = ""


def ports(binds: Mapping[str, str]) -> list[int]:
    """The ports to publish: those that other machines can reach."""
    return sorted({port for bind in binds.values() if bind for port in outside(bind)})


def problems(given: Settings) -> list[str]:
    """What cannot be where HAProxy runs in the swarm."""
    return [*_place(given), *_binds(given), *_beside(given)]


def _place(given: Settings) -> Iterable[str]:
    if given.host not in given.nodes:
        yield (
            f"swarm_ingress_mode is edge, but the load balancer {given.host} is no node of the"
            " swarm, so Docker's DNS does not tell it where the tasks are. Put hosts of"
            " swarm_managers or swarm_workers into loadbalancers instead, or set another"
            " swarm_ingress_mode."
        )


def _binds(given: Settings) -> Iterable[str]:
    for name, bind in given.binds.items():
        if not bind:
            continue
        try:
            addresses = {address for address, _port in bound(bind)}
            published = outside(bind)
        except AccessError as error:
            yield f"{name}: {error}."
            continue
        if published and not addresses <= {*_EVERYWHERE}:
            yield (
                f"{name} is {bind}; expected *:{published[0]}: with swarm_ingress_mode edge HAProxy"
                f" is in a container, which has no address of {given.host}."
            )


def _beside(given: Settings) -> Iterable[str]:
    if given.page_cache:
        yield (
            "haproxy_page_cache is true, but an HAProxy in the swarm does not reach a cache on the"
            " loopback of its node. Set bookface_page_cache to false, or another"
            " swarm_ingress_mode."
        )
    if given.fallback == SWARM:
        yield (
            "haproxy_fallback_backend is swarm, whose servers have no fixed addresses with"
            " swarm_ingress_mode edge. Use another backend, or none."
        )


def plan(
    seen: Mapping[str, Entry],
    edges: Mapping[str, Sequence[str]],
    service: str,
    published: Sequence[int],
    label: str,
    host: str,
) -> dict[str, Any]:
    """What to change in the swarm. C(seen): what its managers say. C(edges): host → addresses.

    C(label): of nodes that run this HAProxy. Those of other sites have their own.

    C(lead) is empty as long as there is no swarm. C(missing) is what site.yml would have done
    before C(host) runs HAProxy; another load balancer that is lost is no reason to wait for it.
    Of several entries with an address, the others are what machines have left that were made again.
    """
    managers = {host: node for host, said in seen.items() if (node := read(said)).manager}
    known = {host: node for host, node in managers.items() if node.members}
    if not known:
        cut = without_majority(managers)
        return {
            "lead": "",
            "label": {},
            "unlabel": [],
            "missing": f"None of {', '.join(seen)} manages a swarm at present: expected a manager"
            " that answers. Run site.yml to form it.",
            "errors": [cut] if cut else [],
        }
    lead, node = next(iter(known.items()))
    here = {
        id_: next((host for host, its in edges.items() if is_address_of(one, its)), "")
        for id_, one in node.members.items()
        if one["state"] != DOWN
    }
    labelled = {
        id_
        for id_, one in node.members.items()
        if one.get("attributes", {}).get(f"node.labels.{label}") == "true"
    }
    return {
        "lead": lead,
        "label": {host: id_ for id_, host in here.items() if host and id_ not in labelled},
        "unlabel": sorted(id_ for id_, host in here.items() if not host and id_ in labelled),
        "missing": ""
        if host in here.values()
        else f"{host} is to run HAProxy, but no node of the swarm that is up has its address. Run"
        " site.yml for the hosts of swarm_managers and swarm_workers first.",
        "errors": list(_taken(node, service, published)),
    }


def _taken(node: Node, service: str, published: Sequence[int]) -> Iterable[str]:
    for other in node.ports:
        if other["port"] in published and other["service"] != service:
            yield (
                f"HAProxy is to publish port {other['port']}, which the service"
                f" {other['service']} of this swarm publishes. Remove that, or choose another port"
                " (haproxy_bind, haproxy_tls_bind, haproxy_stats_bind)."
            )


def foreign(labels: Mapping[str, str] | None, service: str) -> list[str]:
    """A service of somebody else's that has our name; C(labels) is None if there is none."""
    if labels is None:
        return []
    if STACK in labels:
        return [
            f"HAProxy in the swarm is to be the service {service}, which is one of swarm_services."
            " Rename that and remove the old one, or choose another swarm_service."
        ]
    if labels.get(MADE) == SWARM:
        return []
    return [
        f"The swarm has a service {service}, which is not ours: it lacks the label {MADE}={SWARM}."
        " Rename it, or choose another swarm_service."
    ]


def busy(sockets: str, published: Sequence[int], runs_here: bool, host: str) -> list[str]:
    """Ports of a node that something else listens on. C(sockets): what C(ss -Hltnp) prints."""
    found = {
        socket.port: socket.process
        for socket in parse_sockets(sockets)
        if socket.port in published and not (runs_here and socket.process == _PROXY)
    }
    return [
        f"On {host}, {_who(process)} listens on port {port}, which HAProxy in the swarm is to"
        f" publish. {_remedy(process)}"
        for port, process in sorted(found.items())
    ]


def _who(process: str) -> str:
    return "another container" if process == _PROXY else process or "something"


def _remedy(process: str) -> str:
    if process == "haproxy":
        return (
            "Let clients use another load balancer, then run systemctl disable --now haproxy there"
            " and remove its package: the configuration in /etc/haproxy stays, and with it the"
            " backend that has the traffic."
        )
    return "Stop it, or choose another port (haproxy_bind, haproxy_tls_bind, haproxy_stats_bind)."
