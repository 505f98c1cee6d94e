# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is on a machine now. Runs there, with nothing but Python; changes nothing."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.docker.api import ApiError, ask
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import default_backend
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxySocket,
    parse_stat,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.shift import mirror
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    HaproxyConfigError,
    find_frontend,
    parse,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import MADE, ROLE, WEB

# (return code, output, errors) of a command.
Run = Callable[[Sequence[str]], "tuple[int, str, str]"]

# Seconds for an answer of the engine, of HAProxy, of a port.
ENGINE, BALANCER, PORT = 20, 5, 3
# What update.yml writes before it drains a machine, and removes afterwards.
NOTE = "/var/lib/bookface-update.json"
CLUSTERS = "/etc/postgresql"
DOCKER = "docker.service"
# Ours are called so.
TIMERS = "bookface-*.timer"
_PROPERTIES = "Id,LoadState,ActiveState,SubState,Result,Unit,ExecMainStatus,UnitFileState"


@dataclass(frozen=True)
class Machine:
    """How to look at a machine. Tests give other ways."""

    run: Run
    # Path of Docker's API → its answer. Raises ApiError.
    docker: Callable[[str], Any]
    # Path of a socket → HAProxy behind it.
    haproxy: Callable[[str], HaproxySocket]
    # Address and port → why nothing answers there; empty if something does.
    connect: Callable[[str, int], str]
    root: Path = Path("/")

    def text(self, path: str) -> str:
        """The content of a file; empty if it cannot be read."""
        try:
            return (self.root / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def look(machine: Machine, want: Mapping[str, Any]) -> dict[str, Any]:
    """All that O(want) asks for."""
    clusters = _clusters(machine, want["postgresql"])
    timers = _timers(machine)
    names = [f"{name}.service" for name in want["services"]]
    names += [f"postgresql@{version}-main.service" for version in clusters]
    names += [DOCKER] if want["engine"] else []
    units = _units(machine, [*names, *timers])
    ran = [unit["Unit"] for name in timers if (unit := units.get(name)) and unit.get("Unit")]
    found: dict[str, Any] = {
        "units": units | _units(machine, ran),
        "timers": timers,
        "clusters": clusters,
        "ports": {
            f"{one['address']}:{one['port']}": machine.connect(one["address"], one["port"])
            for one in want["ports"]
        },
        "note": _note(machine),
        "engine": None,
        "haproxy": None,
    }
    # Not earlier: a question to the socket of a stopped engine would make systemd start it.
    if want["engine"] and (units.get(DOCKER) or {}).get("ActiveState") == "active":
        found["engine"] = engine(machine, want)
    if want["haproxy"]:
        found["haproxy"] = haproxy(machine, want["haproxy"])
    return found


def _clusters(machine: Machine, version: str | None) -> list[str]:
    """Major versions of the PostgreSQL servers called main that start with the machine."""
    if version is None:
        return []
    found = sorted((machine.root / CLUSTERS.lstrip("/")).glob("*/main/postgresql.conf"))
    names = [path.parent.parent.name for path in found]
    return [
        name
        for name in names
        if version in ("", name) and "auto" in (_start(machine, name) or ["auto"])
    ]


def _start(machine: Machine, version: str) -> list[str]:
    """Words of a cluster's start.conf: auto, manual or disabled."""
    text = machine.text(f"{CLUSTERS}/{version}/main/start.conf")
    return [word for line in text.splitlines() for word in line.partition("#")[0].split()]


def _timers(machine: Machine) -> list[str]:
    options = ["--all", "--type=timer", "--plain", "--no-legend", "--no-pager"]
    code, out, _error = machine.run(["systemctl", "list-units", *options, TIMERS])
    lines = out.splitlines() if code == 0 else []
    return [fields[0] for line in lines if (fields := line.split())]


def _units(machine: Machine, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """What systemd says of each unit. Empty where it says nothing."""
    if not names:
        return {}
    _code, out, _error = machine.run(["systemctl", "show", f"--property={_PROPERTIES}", *names])
    blocks = [
        dict(line.partition("=")[::2] for line in block.splitlines())
        for block in re.split(r"\n\s*\n", out.strip())
        if block.strip()
    ]
    # In the order of the question: a unit may have another name there.
    return dict(zip(names, blocks)) if len(blocks) == len(names) else {}


def _note(machine: Machine) -> dict[str, Any] | None:
    """The note of an update of the engine: how old it is, in seconds, and whether it is whole."""
    path = machine.root / NOTE.lstrip("/")
    found: dict[str, Any] = {"age": 0, "error": ""}
    try:
        found["age"] = int(time.time() - path.stat().st_mtime)
        json.loads(path.read_text(encoding="utf-8"))["servers"]
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        found["error"] = str(error) or type(error).__name__
    return found


def engine(machine: Machine, want: Mapping[str, Any]) -> dict[str, Any]:
    """The containers of the engine, and its swarm."""
    found: dict[str, Any] = {"error": "", "containers": [], "swarm": None}
    try:
        if want["containers"]:
            query = json.dumps({"label": [f"{ROLE}={WEB}"]})
            listed = machine.docker(f"/containers/json?all=1&filters={urllib.parse.quote(query)}")
            found["containers"] = [
                {
                    "name": (one["Names"] or [one["Id"]])[0].lstrip("/"),
                    "state": one["State"],
                    "status": one["Status"],
                }
                for one in listed
            ]
        if want["swarm"]:
            found["swarm"] = swarm(machine, str(want["swarm"]["service"]))
    except (ApiError, KeyError, TypeError) as error:
        found["error"] = str(error) or type(error).__name__
    return found


def swarm(machine: Machine, service: str) -> dict[str, Any]:
    """The node, and on a manager the swarm."""
    own = machine.docker("/info")["Swarm"]
    found: dict[str, Any] = {
        "state": own["LocalNodeState"],
        "id": own.get("NodeID") or "",
        "error": own.get("Error") or "",
        "manager": bool(own.get("ControlAvailable")),
        "nodes": [],
        "services": [],
    }
    if not found["manager"]:
        return found
    try:
        nodes = machine.docker("/nodes")
        services = machine.docker("/services")
        tasks = machine.docker("/tasks")
    except ApiError as error:
        # Without a majority of the managers.
        found["error"] = str(error)
        return found
    found["nodes"] = [
        {
            "id": one["ID"],
            "name": one["Description"]["Hostname"],
            "state": one["Status"]["State"],
            "message": one["Status"].get("Message") or "",
            "availability": one["Spec"]["Availability"],
            "reachability": (one.get("ManagerStatus") or {}).get("Reachability", ""),
        }
        for one in nodes
    ]
    ours = [one for one in services if _ours(one["Spec"], service)]
    found["services"] = [_service(one, tasks) for one in ours]
    return found


def _ours(spec: Mapping[str, Any], service: str) -> bool:
    """Whether it is the web service, or another one of ours; a canary is there for moments."""
    name, labels = spec["Name"], spec.get("Labels") or {}
    return bool(name == service or (labels.get(MADE) == "swarm" and name != f"{service}-canary"))


def _service(one: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A service: how many tasks it should have, where they run, and why others do not."""
    own = [task for task in tasks if task["ServiceID"] == one["ID"]]
    meant = [task for task in own if task["DesiredState"] in ("running", "ready")]
    running = [task for task in meant if task["Status"]["State"] == "running"]
    replicated = (one["Spec"].get("Mode") or {}).get("Replicated")
    last = sorted(own, key=lambda task: str(task.get("UpdatedAt", "")))
    return {
        "name": one["Spec"]["Name"],
        "wanted": int(replicated.get("Replicas") or 0) if replicated is not None else len(meant),
        "running": len(running),
        "places": len({task.get("NodeID") for task in running}),
        "why": next((err for task in reversed(last) if (err := task["Status"].get("Err"))), ""),
    }


def haproxy(machine: Machine, want: Mapping[str, Any]) -> dict[str, Any]:
    """What HAProxy says of itself, over its socket."""
    found: dict[str, Any] = {"error": "", "active": "", "frontends": {}, "backends": {}}
    asked = machine.haproxy(want["socket"])
    try:
        text = asked.ask("show stat", BALANCER)
        stat = parse_stat(text)
        if stat is None:
            first = (text.strip().splitlines() or ["an empty answer"])[0]
            found["error"] = f"show stat was answered with: {first[:200]}"
            return found
        found["frontends"] = dict(stat.states)
        found["backends"] = {
            name: {
                "seconds": seconds,
                "servers": {
                    server.name: {
                        "status": server.status,
                        "check": server.check_status,
                        "text": server.check_text,
                        "passed": server.passed,
                        "undecided": server.undecided,
                    }
                    for server in stat.servers_of(name)
                },
            }
            for name, seconds in stat.changed.items()
        }
        found["active"] = _active(machine, asked, want)
    except (HaproxyError, KeyError) as error:
        found["error"] = error.message("") if isinstance(error, HaproxyError) else str(error)
    return found


def _active(machine: Machine, asked: HaproxySocket, want: Mapping[str, Any]) -> str:
    """The backend that gets the traffic: by the live map, else by the file. Empty if unknown."""
    frontend = want["frontends"][0] if want["frontends"] else ""
    entries = asked.map_entries(want["map"], BALANCER) or ()
    live = next(iter(mirror(entries, frontend)), "")
    return live or _by_file(machine.text(want["config"]), frontend)


def _by_file(text: str, frontend: str) -> str:
    """The backend that a configuration names for a frontend, empty if none."""
    config = parse(text)
    try:
        return default_backend(config, find_frontend(config, frontend)).name or ""
    except HaproxyConfigError:
        return ""


def connect(host: str, port: int) -> str:
    """Why nothing answers at an address; empty if something does."""
    try:
        with socket.create_connection((host, port), timeout=PORT):
            return ""
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__


def this_machine(run: Run, engine_socket: str) -> Machine:
    """The machine that this runs on."""

    def docker(path: str) -> Any:
        return ask(engine_socket, path, ENGINE)

    return Machine(run=run, docker=docker, haproxy=HaproxySocket, connect=connect)
