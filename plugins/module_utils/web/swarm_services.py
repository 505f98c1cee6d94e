# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Further services of a swarm: what the inventory may say of them, and what Docker gets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.access import (
    AccessError,
    bound,
    outside,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import MADE, STACK
from ansible_collections.bookface.platform.plugins.module_utils.web.placement import (
    Attributes,
    Running,
    constraint_faults,
    constraints,
    meets,
    preferences,
    shown,
    spread_faults,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import (
    HOST,
    INGRESS,
    SECOND,
    SWARM,
    Node,
    canary_name,
    future_nodes,
    read,
    stages,
    would_stop,
)

# A service as the inventory has it, or something as Docker has it.
Entry = Mapping[str, Any]

REPLICATED, GLOBAL = "replicated", "global"
_VIP, _DNSRR = "vip", "dnsrr"
_START_FIRST, _STOP_FIRST = "start-first", "stop-first"
# Docker's limits of names: of a service, and of a secret with a version such as _v1234.
_LONGEST_NAME, _LONGEST_SECRET = 63, 64 - len("_v1234")
# Secrets of the site itself, without the name of its service.
_OWN_SECRETS = ("config.php", "config.json", "pgpass")
# Nodes of a swarm listen on these themselves.
_SWARM_PORTS = {(2377, "tcp"), (7946, "tcp"), (7946, "udp"), (4789, "udp")}

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?")
_SECRET = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_IMAGE = re.compile(
    r"sha256:[0-9a-f]{64}"
    r"|([A-Za-z0-9.-]+(:[0-9]+)?/|\[[0-9a-f:]+\](:[0-9]+)?/)?"
    r"[a-z0-9]+([._/-]+[a-z0-9]+)*(:\w[\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
_SIZE = re.compile(r"0|[1-9][0-9]*[KMGkmg]?")
_NUMBER = re.compile(r"[0-9]+")
_PROCESSORS = re.compile(r"[0-9]+([.][0-9]+)?")
_VOLUME = re.compile(r"([A-Za-z0-9][\w.-]*):(/[^:]*)(:ro|:rw)?")
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

_DEFAULTS: Entry = {
    "mode": REPLICATED,
    "replicas": 1,
    "command": [],
    "entrypoint": [],
    "env": {},
    "secrets": {},
    "networks": [],
    "ports": [],
    "endpoint_mode": "",
    "volumes": [],
    "tmpfs": [],
    "user": "",
    "read_only": False,
    "cap_add": [],
    "cap_drop": [],
    "healthcheck": {},
    "memory": 0,
    "cpus": 0,
    "pids": 0,
    "memory_reservation": 0,
    "cpus_reservation": 0,
    "constraints": [],
    "preferences": [],
    "update_order": _STOP_FIRST,
    "stop_timeout": 10,
}
_PORT_KEYS = ("published", "target", "protocol", "mode")
_SECRET_KEYS = ("content", "target", "uid", "gid", "mode")
_HEALTH_TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start_period": "StartPeriod",
}
_HEALTH_KEYS = ("test", "retries", *_HEALTH_TIMES)


@dataclass(frozen=True)
class Site:
    """What further services have to keep clear of."""

    service: str
    network: str
    # Port of each node that something else listens on → what that is.
    reserved: Mapping[int, str] = field(default_factory=dict)


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: (
        not isinstance(value, (bool, Mapping, list)) and bool(pattern.fullmatch(str(value)))
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_scalar(value: object) -> bool:
    return isinstance(value, (str, int, float, bool))


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(
        _is_scalar(one) and not isinstance(one, bool) for one in value
    )


def _is_paths(value: object) -> bool:
    return _is_list(value) and all(str(one).startswith("/") for one in value)  # type: ignore[attr-defined]


def _is_choice(*choices: str) -> Callable[[object], bool]:
    return lambda value: value in choices


def _is_env(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        re.fullmatch(r"[^=\s]+", str(name)) and _is_scalar(one) for name, one in value.items()
    )


# Key → whether a value will do, and what is expected.
_CHECKS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "mode": (_is_choice(REPLICATED, GLOBAL), "replicated or global"),
    "replicas": (_matches(_NUMBER), "a number of tasks"),
    "command": (_is_list, "a list of words, such as [memcached, -m, '64']"),
    "entrypoint": (_is_list, "a list of words, such as [/entrypoint.sh]"),
    "env": (_is_env, "a dictionary of names and texts, such as {LANG: C.UTF-8}"),
    "networks": (_is_list, "a list of names of overlay networks"),
    "endpoint_mode": (_is_choice("", _VIP, _DNSRR), "vip or dnsrr"),
    "tmpfs": (_is_paths, "a list of directories, such as [/tmp]"),
    "user": (_is_scalar, "an account of the image, such as www-data or 33:33"),
    "read_only": (lambda value: isinstance(value, bool), "true or false"),
    "cap_add": (_is_list, "a list of capabilities, such as [NET_BIND_SERVICE]"),
    "cap_drop": (_is_list, "a list of capabilities, such as [ALL]"),
    "memory": (_matches(_SIZE), "a size, such as 64M"),
    "cpus": (_matches(_PROCESSORS), "a number of processors, such as 0.5"),
    "pids": (_matches(_NUMBER), "a number of processes, such as 100"),
    "memory_reservation": (_matches(_SIZE), "a size, such as 64M"),
    "cpus_reservation": (_matches(_PROCESSORS), "a number of processors, such as 0.5"),
    "update_order": (_is_choice(_START_FIRST, _STOP_FIRST), "start-first or stop-first"),
    "stop_timeout": (_matches(_NUMBER), "a number of seconds"),
}


def faults(given: object, site: Site) -> list[str]:
    """What is wrong with C(swarm_services), as far as no host has to be asked."""
    if not isinstance(given, (list, tuple)):
        return [f"swarm_services is {given}; expected a list of services with name and image."]
    found: list[str] = []
    names: set[str] = set()
    taken = dict.fromkeys(_SWARM_PORTS, "the swarm itself")
    taken |= {(int(port), "tcp"): what for port, what in site.reserved.items()}
    for number, entry in enumerate(given, 1):
        if not isinstance(entry, Mapping) or not _matches(_NAME)(entry.get("name")):
            what = entry.get("name", "no name") if isinstance(entry, Mapping) else entry
            found.append(
                f"swarm_services: entry {number} has {what}; expected a dictionary with a name of"
                " letters, digits, '_' and '-', such as {name: memcached, image: 'memcached:1.6'}."
            )
            continue
        name = str(entry["name"])
        wrong = [*_name_faults(name, names, site), *_entry_faults(entry, site)]
        names.add(name)
        if not wrong:
            wrong = [*_relations(entry), *_port_clashes(entry, taken)]
        found += [f"swarm_services: {name} {one}" for one in wrong]
    return found


def _name_faults(name: str, names: Iterable[str], site: Site) -> Iterable[str]:
    if name in names:
        yield "is listed twice: each service needs a name of its own."
    # The last one is HAProxy with swarm_ingress_mode edge.
    if name in (site.service, canary_name(site.service), f"{site.service}-edge"):
        yield (
            "is a name of the site's own services (swarm_service, its canary, its HAProxy): choose"
            " another."
        )
    if len(name) > _LONGEST_NAME:
        yield f"is too long; expected at most {_LONGEST_NAME} characters."


def _entry_faults(entry: Entry, site: Site) -> Iterable[str]:
    """What is wrong with single keys."""
    known = ("name", "image", "archive", *_DEFAULTS)
    for key in entry:
        if key not in known:
            yield f"has the unknown key {key}; expected some of {', '.join(known)}."
    if "image" not in entry:
        yield "has no image; expected one such as memcached:1.6 or registry.example/tool:2."
    elif not _matches(_IMAGE)(entry["image"]):
        yield (
            f"has the image {entry['image']}; expected a name with a tag or digest, such as"
            " registry.example/tool:2, or the ID of an image that the nodes have (sha256:...)."
        )
    for key, (fits, expected) in _CHECKS.items():
        if key in entry and not fits(entry[key]):
            yield f"has {key} {entry[key]}; expected {expected}."
    for key, find in (("constraints", constraint_faults), ("preferences", spread_faults)):
        if key in entry:
            yield from find(key, entry[key])
    if "archive" in entry and not (_is_text(entry["archive"]) and entry["archive"]):
        yield f"has archive {entry['archive']}; expected a file of docker save on the controller."
    yield from _volume_faults(entry)
    yield from _port_faults(entry)
    yield from _health_faults(entry)
    yield from _secret_faults(entry, site)


def _volume_faults(entry: Entry) -> Iterable[str]:
    volumes = entry.get("volumes", [])
    for one in volumes if isinstance(volumes, (list, tuple)) else [volumes]:
        if not _matches(_VOLUME)(one):
            yield (
                f"has the volume {one}; expected the name of a volume and a directory, such as"
                " data:/var/lib/data or data:/srv/data:ro."
            )


def _port_faults(entry: Entry) -> Iterable[str]:
    ports = entry.get("ports", [])
    for one in ports if isinstance(ports, (list, tuple)) else [ports]:
        if (
            not isinstance(one, Mapping)
            or set(one) - set(_PORT_KEYS)
            or not all(
                _matches(_NUMBER)(one.get(key)) and 1 <= int(one[key]) <= 65535
                for key in ("published", "target")
            )
            or one.get("protocol", "tcp") not in ("tcp", "udp")
            or one.get("mode", HOST) not in (HOST, INGRESS)
        ):
            yield (
                f"has the port {one}; expected published and target, and optionally protocol (tcp"
                " or udp) and mode (host or ingress), such as {published: 5432, target: 5432}."
            )


def _health_faults(entry: Entry) -> Iterable[str]:
    health = entry.get("healthcheck", {})
    if (
        not isinstance(health, Mapping)
        or set(health) - set(_HEALTH_KEYS)
        or (health and not (_is_text(health.get("test")) or _is_list(health.get("test"))))
        or not all(
            _matches(_NUMBER)(health[key]) for key in (*_HEALTH_TIMES, "retries") if key in health
        )
    ):
        yield (
            f"has healthcheck {health}; expected test, a command as text or list, and optionally"
            " interval, timeout and start_period in seconds, and retries."
        )


def _secret_faults(entry: Entry, site: Site) -> Iterable[str]:
    """No content is shown."""
    given = entry.get("secrets", {})
    if not isinstance(given, Mapping):
        yield "has secrets that are not a dictionary; expected one such as {password: TEXT}."
        return
    for name, value in given.items():
        described = value if isinstance(value, Mapping) else {"content": value}
        if not _matches(_SECRET)(name):
            yield f"has the secret {name}; expected a name of letters, digits and . _ -."
        elif set(described) - set(_SECRET_KEYS):
            yield (
                f"has the secret {name} with an unknown key; expected some of"
                f" {', '.join(_SECRET_KEYS)}."
            )
        elif described.get("content") in (None, ""):
            yield f"has the secret {name} without content: set it, such as from Ansible Vault."
        elif not isinstance(described["content"], str):
            yield f"has the secret {name}, which is not text: put it into quotes."
        elif not re.fullmatch("0?[0-7]{3}", str(described.get("mode", "0444"))):
            yield f"has the secret {name} with mode {described['mode']}; expected such as '0400'."
        elif not all(_matches(_NUMBER)(described.get(key, 0)) for key in ("uid", "gid")):
            yield f"has the secret {name} with a uid or gid that is no number."
        elif len(secret_name(site, str(entry["name"]), str(name))) > _LONGEST_SECRET:
            yield (
                f"has the secret {name}, in Docker {secret_name(site, str(entry['name']), name)};"
                f" expected at most {_LONGEST_SECRET} characters in all."
            )
        else:
            yield from _version_faults(str(entry["name"]), str(name), map(str, given), site)


def _version_faults(service: str, secret: str, beside: Iterable[str], site: Site) -> Iterable[str]:
    """C(docker_secret) takes all secrets that begin with a name and _v for versions of that."""
    full = secret_name(site, service, secret)
    own = [f"{site.service}-{one}" for one in _OWN_SECRETS]
    others = own + [secret_name(site, service, one) for one in beside]
    if full in own or any(full.startswith(f"{one}_v") for one in others):
        yield (
            f"has the secret {secret}, in Docker {full}, which would be taken for a version of"
            " another secret: choose another name."
        )
    elif _base(secret) != secret:
        yield (
            f"has the secret {secret}, whose name ends like a version of a secret: choose one that"
            " does not end with _v and a number."
        )


def _filled(entry: Entry) -> dict[str, Any]:
    return {**_DEFAULTS, **entry}


def _published(entry: Entry) -> list[dict[str, Any]]:
    return [{"protocol": "tcp", "mode": HOST, **one} for one in entry.get("ports", ())]


def _volumes(entry: Entry) -> list[tuple[str, str, bool]]:
    """Of each volume its name, where it is mounted, and whether that is for reading only."""
    found = (_VOLUME.fullmatch(one) for one in entry.get("volumes", ()))
    return [(one[1], one[2], one[3] == ":ro") for one in found if one]


def _written(entry: Entry) -> bool:
    return any(not read_only for _name, _target, read_only in _volumes(entry))


def _on_host(entry: Entry) -> bool:
    return any(one["mode"] == HOST for one in _published(entry))


def _relations(entry: Entry) -> Iterable[str]:
    """Keys that contradict each other."""
    full = _filled(entry)
    order = full["update_order"]
    if full["mode"] == GLOBAL and "replicas" in entry:
        yield "has replicas, but with mode global each node runs one task: remove one of the two."
    if order == _START_FIRST and _on_host(entry):
        yield (
            "has update_order start-first, but two tasks cannot hold one port of a node. Use"
            " stop-first, or publish the port with mode ingress."
        )
    if order == _START_FIRST and _written(entry):
        yield (
            "has update_order start-first, but two tasks would write to its volume at a time. Use"
            " stop-first."
        )
    if full["mode"] == REPLICATED and int(full["replicas"]) > 1 and _written(entry):
        yield (
            f"has {full['replicas']} replicas that write to one volume. Use one, or mount the"
            " volume read-only (:ro)."
        )
    if full["endpoint_mode"] == _DNSRR and any(p["mode"] == INGRESS for p in _published(entry)):
        yield "has endpoint_mode dnsrr, but a port of mode ingress requires vip."
    limit, reserved = (_bytes(full[key]) for key in ("memory", "memory_reservation"))
    if limit and reserved > limit:
        yield "has a memory_reservation above its limit, memory."
    if float(full["cpus"]) and float(full["cpus_reservation"]) > float(full["cpus"]):
        yield "has a cpus_reservation above its limit, cpus."


def _port_clashes(entry: Entry, taken: dict[tuple[int, str], str]) -> Iterable[str]:
    """Ports that something of the site has already; those of this entry are added."""
    for one in _published(entry):
        key = (int(one["published"]), one["protocol"])
        if key in taken:
            yield f"publishes the port {key[0]}/{key[1]}, which {taken[key]} has: choose another."
        taken.setdefault(key, str(entry["name"]))


def reserved_ports(binds: Mapping[str, Iterable[str]], edge: bool) -> dict[int, str]:
    """Ports of nodes that HAProxy has → the variable that says so.

    An HAProxy in the swarm has a loopback of its own. What is no bind is refused by its role.
    """
    found: dict[int, str] = {}
    for name, given in binds.items():
        for bind in filter(None, map(str, given)):
            with suppress(AccessError):
                ports = outside(bind) if edge else [port for _address, port in bound(bind)]
                found |= dict.fromkeys(ports, name)
    return found


def secret_name(site: Site, service: str, secret: str) -> str:
    """Name of a secret in Docker, without its version. No service has a dot in its name."""
    return f"{site.service}-{service}.{secret}"


def secrets(given: Iterable[Entry], site: Site) -> list[dict[str, str]]:
    """All secrets of the services, with their contents."""
    return [
        {
            "service": str(entry["name"]),
            "secret": str(name),
            "name": secret_name(site, str(entry["name"]), str(name)),
            "content": value["content"] if isinstance(value, Mapping) else value,
        }
        for entry in given
        for name, value in sorted(entry.get("secrets", {}).items())
    ]


def login_faults(given: object) -> list[str]:
    """What is wrong with C(swarm_registry_logins). No password is shown."""
    if not isinstance(given, Mapping):
        return [
            "swarm_registry_logins is not a dictionary; expected registries with their accounts."
        ]
    return [
        f"swarm_registry_logins has {host} without username and password; expected both, such as"
        " {registry.example:5000: {username: swarm, password: TEXT}}."
        for host, one in given.items()
        if not isinstance(one, Mapping) or not (one.get("username") and one.get("password"))
    ]


def login(image: str, logins: Mapping[str, Entry]) -> Entry:
    """The account at the registry of an image. Without one in its name that is Docker Hub."""
    first, slash, _rest = image.partition("/")
    named = slash and (re.search("[.:]", first) or first == "localhost")
    return logins.get(first if named else "docker.io", {})


def failures(
    states: Iterable[Entry], changes: Mapping[str, Sequence[str]], seconds: float
) -> list[dict[str, Any]]:
    """Services that do not run as they should, by the last state of each (files/state.py).

    C(changes) has what has changed of those that were, empty for one that is new.
    """
    found = []
    for name, state in ((one["name"], one) for one in states):
        changed = name in changes
        back = changed and state.get("rolled_back", False)
        # What has not been changed may lack a node, such as one that is down.
        if state.get("settled" if changed else "placed") and not back:
            continue
        last = state.get("failed") or {}
        said = (
            f"The update of {name} ({', '.join(changes[name])}) was rolled back; tasks of the"
            " previous version run."
            if back
            else f"{name} has {state.get('running', '?')} of {state.get('wanted', '?')} tasks"
            f" running after {seconds:g} s."
        )
        details = [
            f"Last failure: {last['task']}." if last else "",
            f"Docker says: {state['message']}." if state.get("message") else "",
            f"Tasks: {'; '.join(state.get('tasks', ())) or 'none'}." if not back else "",
        ]
        found.append(
            {
                "name": name,
                "message": " ".join([said, *filter(None, details)]),
                # Docker takes back only tasks that end, not those that find no node.
                "roll_back": bool(changed and changes[name] and not back),
                "task": last.get("id", ""),
            }
        )
    return found


@dataclass(frozen=True)
class Wish:
    """What the inventory says, as far as services are compared with a swarm."""

    services: Sequence[Entry]
    adopt: Sequence[str] = ()
    managers: Sequence[str] = ()
    node_labels: Mapping[str, Mapping[object, object]] = field(default_factory=dict)


def plan(seen: Mapping[str, Entry], lead: str, site: Site, wish: Wish) -> dict[str, Any]:
    """What forbids the services, and what of ours is no longer wanted; as plain data."""
    nodes = {host: read(said) for host, said in seen.items()}
    known = nodes[lead] if lead in nodes and nodes[lead].manager else Node()
    ours = {name for name, one in known.services.items() if one["stack"] == site.service}
    wanted = {str(one["name"]) for one in wish.services}
    kept = {one["name"] for one in secrets(wish.services, site)}
    versions = [_base(one) for one in known.stack_secrets]
    return {
        "remove": sorted(ours - wanted),
        "remove_secrets": sorted(one for one in known.stack_secrets if _base(one) not in kept),
        "old_secrets": any(versions.count(one) > 2 for one in kept),
        "errors": [
            f"swarm_services: {entry['name']} {error}"
            for entry in wish.services
            for error in _conflicts(entry, site, wish, nodes, known)
        ],
    }


def _base(secret: str) -> str:
    """The name of a secret without its version."""
    return re.sub(r"_v\d+\Z", "", secret)


def _conflicts(
    entry: Entry, site: Site, wish: Wish, nodes: Mapping[str, Node], known: Node
) -> Iterable[str]:
    """What of the swarm is in the way of a service."""
    full, name = _filled(entry), str(entry["name"])
    there = known.services.get(name)
    if there and there["stack"] != site.service and f"service/{name}" not in wish.adopt:
        yield (
            f"is the name of a service that is not ours: it lacks the label {STACK}={site.service}"
            f" and runs {there['image']}. Choose another name, or adopt it with swarm_adopt:"
            f" [service/{name}]: then it becomes what swarm_services says."
        )
    elif there and there["mode"].lower() != full["mode"]:
        yield (
            f"has mode {full['mode']}, but runs with {there['mode'].lower()}, which Docker does not"
            f" change. Remove it first: docker service rm {name}."
        )
    missing = [one for one in full["networks"] if one not in (site.network, *known.overlays)]
    if missing:
        yield (
            f"has the network {', '.join(missing)}, which is no overlay network of the swarm. Use"
            f" {site.network}, or create it with docker network create --driver overlay."
        )
    yield from _port_conflicts(entry, nodes, known)
    yield from _place_conflicts(full, wish, nodes, known)
    yield from _evictions(full, wish, nodes, known)


def _port_conflicts(entry: Entry, nodes: Mapping[str, Node], known: Node) -> Iterable[str]:
    ports = _published(entry)
    for other in known.ports:
        for one in ports:
            if (
                other["service"] != entry["name"]
                and other["port"] == int(one["published"])
                and one["protocol"] == "tcp"
                and INGRESS in (one["mode"], other["mode"])
                and not _is_ours(known, other["service"])
            ):
                yield (
                    f"publishes the port {other['port']}, which the service {other['service']} of"
                    " this swarm has: choose another."
                )
    if _endpoint_mode(entry) != _VIP:
        return
    without = [host for host, node in nodes.items() if not node.ipvs]
    if without:
        yield (
            f"needs IPVS for a virtual address or a port of mode ingress, which the kernel of"
            f" {', '.join(without)} lacks: it would not answer. Use endpoint_mode dnsrr, and ports"
            " of mode host."
        )


def _is_ours(known: Node, service: str) -> bool:
    """One of this stack, whose ports the inventory names: they were compared already."""
    return bool(known.services.get(service, {}).get("stack"))


def _place_conflicts(
    full: Entry, wish: Wish, nodes: Mapping[str, Node], known: Node
) -> Iterable[str]:
    """Tasks that no node takes would wait for ever; data does not follow a task."""
    every = future_nodes(nodes, known, wish.node_labels, wish.managers)
    wanted = constraints(full["constraints"])
    allowed = [key for key, node in every.items() if meets(node, wanted)]
    said = shown(_by_name(every, known), wanted)
    if wanted and not allowed:
        yield (
            f"has the constraints {', '.join(wanted)}, which no node meets. The nodes will be"
            f" {said}. Set swarm_node_labels of hosts that shall run it."
        )
        return
    if full["mode"] == GLOBAL:
        return
    if _volumes(full) and len(allowed) != 1:
        yield (
            f"has a volume, but {len(allowed)} nodes may run it: its data would stay behind on the"
            " old node when the task moves. Add a constraint that one node meets, such as"
            f" node.hostname==NAME or a label of it (swarm_node_labels). The nodes will be {said}."
        )
    if _on_host(full) and int(full["replicas"]) > len(allowed):
        yield (
            f"has {full['replicas']} replicas that publish a port with mode host, one on each node,"
            f" but only {len(allowed)} nodes may run it. Use fewer replicas, or mode ingress."
        )


def _evictions(full: Entry, wish: Wish, nodes: Mapping[str, Node], known: Node) -> Iterable[str]:
    """What would stop all tasks of a service that runs."""
    there = known.services.get(str(full["name"]), {})
    everywhere = full["mode"] == GLOBAL
    tasks = min(there.get("replicas", 0), int(full["replicas"]))
    if there and (everywhere or tasks):
        service = Running(
            there.get("constraints", ()), constraints(full["constraints"]), tasks, everywhere
        )
        course = stages(nodes, known, wish.node_labels, wish.managers)
        for said in would_stop("constraints", str(full["name"]), service, course, known):
            yield f"would lose its tasks: {said}"


def _by_name(every: Mapping[str, Attributes], known: Node) -> dict[str, Attributes]:
    return {
        known.members[key]["name"] if key in known.members else key: node
        for key, node in every.items()
    }


def _endpoint_mode(entry: Entry) -> str:
    """By default tasks are found by their own addresses, which requires no IPVS."""
    given = entry.get("endpoint_mode") or ""
    through_mesh = any(one["mode"] == INGRESS for one in _published(entry))
    return str(given) or (_VIP if through_mesh else _DNSRR)


def _bytes(size: object) -> int:
    text = str(size).lower()
    return int(text[:-1]) * _UNITS[text[-1]] if text[-1] in _UNITS else int(text)


def _nano(processors: object) -> int:
    return round(float(str(processors)) * 10**9)


def _text(value: object) -> str:
    """YAML's true is a text for programs."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _capabilities(names: Iterable[object]) -> list[str]:
    upper = (str(one).upper() for one in names)
    return [one if one == "ALL" or one.startswith("CAP_") else f"CAP_{one}" for one in upper]


def _health(given: Entry) -> dict[str, Any]:
    """Without a test that of the image counts."""
    test = given.get("test", [])
    if isinstance(test, str):
        test = ["CMD-SHELL", test]
    elif test and test[0] not in ("CMD", "CMD-SHELL", "NONE"):
        test = ["CMD", *test]
    times = {there: int(given.get(key, 0)) * SECOND for key, there in _HEALTH_TIMES.items()}
    return {"Test": [str(one) for one in test], **times, "Retries": int(given.get("retries", 0))}


def spec(entry: Entry, site: Site, kept: Mapping[str, Entry]) -> dict[str, Any]:
    """The service in the words of Docker's API.

    C(kept) has for each secret its C(id) and its C(name) with version. What is not given is said to
    be empty, so that it is removed from a service that has it.
    """
    full = _filled(entry)
    labels = {MADE: SWARM, STACK: site.service}
    change = {
        "Parallelism": 1,
        "Delay": 0,
        "Monitor": 10 * SECOND,
        "MaxFailureRatio": 0,
        "Order": full["update_order"],
    }
    mounts = [
        {
            "Type": "volume",
            "Source": name,
            "Target": target,
            "ReadOnly": read_only,
            "VolumeOptions": {"Labels": labels},
        }
        for name, target, read_only in _volumes(full)
    ]
    mounts += [{"Type": "tmpfs", "Target": str(one)} for one in full["tmpfs"]]
    return {
        "Name": str(full["name"]),
        "Labels": labels,
        "Mode": {"Global": {}}
        if full["mode"] == GLOBAL
        else {"Replicated": {"Replicas": int(full["replicas"])}},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": str(full["image"]),
                "Labels": labels,
                "Command": [str(one) for one in full["entrypoint"]],
                "Args": [str(one) for one in full["command"]],
                "Env": [f"{name}={_text(value)}" for name, value in sorted(full["env"].items())],
                "User": str(full["user"]),
                "Init": True,
                "ReadOnly": full["read_only"],
                "Mounts": mounts,
                "CapabilityAdd": _capabilities(full["cap_add"]),
                "CapabilityDrop": _capabilities(full["cap_drop"]),
                "Healthcheck": _health(full["healthcheck"]),
                "StopGracePeriod": int(full["stop_timeout"]) * SECOND,
                "Secrets": [
                    _mounted(str(name), value, kept[str(name)])
                    for name, value in sorted(full["secrets"].items())
                ],
            },
            "Resources": {
                "Limits": {
                    "MemoryBytes": _bytes(full["memory"]),
                    "NanoCPUs": _nano(full["cpus"]),
                    "Pids": int(full["pids"]),
                },
                "Reservations": {
                    "MemoryBytes": _bytes(full["memory_reservation"]),
                    "NanoCPUs": _nano(full["cpus_reservation"]),
                    "GenericResources": [],
                },
            },
            "Placement": {
                "Constraints": constraints(full["constraints"]),
                "Preferences": preferences(full["preferences"]),
                "MaxReplicas": 1 if _on_host(full) and full["mode"] != GLOBAL else 0,
            },
            "RestartPolicy": {"Condition": "any", "Delay": 2 * SECOND},
            "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m", "max-file": "3"}},
            "Networks": [{"Target": str(one)} for one in full["networks"] or [site.network]],
        },
        "UpdateConfig": {**change, "FailureAction": "rollback"},
        "RollbackConfig": {**change, "FailureAction": "pause"},
        "EndpointSpec": {
            "Mode": _endpoint_mode(full),
            "Ports": [
                {
                    "Protocol": one["protocol"],
                    "TargetPort": int(one["target"]),
                    "PublishedPort": int(one["published"]),
                    "PublishMode": one["mode"],
                }
                for one in _published(full)
            ],
        },
    }


def _mounted(name: str, value: object, kept: Entry) -> dict[str, Any]:
    """A secret as a file of the task."""
    given = value if isinstance(value, Mapping) else {}
    return {
        "SecretID": kept["id"],
        "SecretName": kept["name"],
        "File": {
            "Name": str(given.get("target", name)),
            "UID": str(given.get("uid", 0)),
            "GID": str(given.get("gid", 0)),
            "Mode": int(str(given.get("mode", "0444")), 8),
        },
    }
