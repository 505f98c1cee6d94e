# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run: parts before and after, as data and as text."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.health.judge import (
    DOWN,
    SWITCHED,
    UNKNOWN,
    UP,
    Part,
    updating,
)
from ansible_collections.bookface.platform.plugins.module_utils.health.plan import (
    Rules,
    governed,
    informed,
    parts_of,
    words,
)

HEALTHY, MENDED, BROKEN = "healthy", "mended", "broken"
EXIT = {HEALTHY: 0, MENDED: 1, BROKEN: 2}
VERSION = 1
# Of several views of one thing, the worst counts.
_RANK = {UP: 0, UNKNOWN: 1, DOWN: 2}

Look = Mapping[str, Any]


def load(text: str) -> tuple[dict[str, int], str]:
    """How often each part was tried, from the state file; and what is wrong with that file."""
    if not text.strip():
        return {}, ""
    try:
        tries = json.loads(text)["tries"]
        return {str(name): int(count) for name, count in dict(tries).items()}, ""
    except (ValueError, KeyError, TypeError) as error:
        return (
            {},
            f"cannot be read ({type(error).__name__}: {error}); the tries are counted from zero",
        )


def dump(tries: Mapping[str, int]) -> str:
    """The text of the state file."""
    return json.dumps({"version": VERSION, "tries": dict(sorted(tries.items()))}, indent=2) + "\n"


def remembered(
    history: Mapping[str, int], before: Iterable[Part], tried: Iterable[str]
) -> dict[str, int]:
    """The tries after this run.

    What a run finds up without doing anything is forgotten, and so is what a machine no longer has.
    """
    states = {part.id: part.state for part in before}
    kept = {}
    for name, count in history.items():
        host = name.partition("/")[0]
        gone = states.get(f"{host}/machine/{host}") == UP and name not in states
        if states.get(name) != UP and not gone:
            kept[name] = count
    for name in tried:
        kept[name] = kept.get(name, 0) + 1
    return kept


def servers_done(
    parts: Iterable[Part], resumed: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What was tried of servers, by the results of the module openstack_server_resume."""
    return [
        {
            "id": part.id,
            "name": part.name,
            "action": part.action,
            "failed": bool(result.get("failed") or result.get("unreachable")),
            "msg": str(result.get("msg") or ""),
            # A try is one that the cloud has accepted.
            "counted": bool(result.get("changed")),
        }
        for part in parts
        if (result := resumed.get(part.host)) and (result.get("failed") or result.get("changed"))
    ]


def servers_after(
    parts: Sequence[Part], resumed: Mapping[str, Mapping[str, Any]], rules: Rules
) -> list[tuple[Part, Part]]:
    """Each server before and after."""
    return [
        (
            part,
            replace(part, state=UP, cause="", action="")
            if (result := resumed.get(part.host)) and result.get("status") == "ACTIVE"
            else governed([part], rules)[0],
        )
        for part in parts
    ]


def _merged(parts: Iterable[Part], hosts: Collection[str]) -> dict[str, Part]:
    """By ID. What the managers say of a node is said of its machine."""
    found: dict[str, Part] = {}
    for part in parts:
        if part.id.startswith("swarm/swarm_node/") and part.name in hosts:
            part = replace(part, host=part.name, id=f"{part.name}/swarm_node/{part.name}")
        known = found.get(part.id)
        worse = known is None or _RANK[part.state] > _RANK[known.state]
        if worse or (known and known.state == part.state and part.cause and not known.cause):
            found[part.id] = part
    return found


def _judged(looks: Mapping[str, Look | None], rules: Rules, tried: Collection[str]) -> list[Part]:
    """The parts of all machines, by one look at each."""
    found = []
    for host, look in informed(looks).items():
        parts = parts_of(host, look)
        free = not (look and look.get("seen") and updating(look["seen"]))
        found += governed(parts, rules, tried, free)
    return found


def report(
    before: Mapping[str, Look | None],
    after: Mapping[str, Look | None],
    servers: Sequence[tuple[Part, Part]],
    done: Sequence[Mapping[str, Any]],
    rules: Rules,
    started: float,
    ended: float,
    time: str,
    problems: Sequence[str] = (),
    move: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The report.

    C(servers): each server of the cloud before and after. C(done): what was tried, each with C(id),
    C(action), C(failed) and C(msg), perhaps with C(counted): false. C(problems): what else keeps
    the run from knowing. C(move): the switch of traffic that is allowed, see switch_target.
    """
    tried = {str(one["id"]): one for one in done}
    last = {host: after.get(host) or look for host, look in before.items()}
    first = _merged([*(one for one, _after in servers), *_judged(before, rules, ())], before)
    now = _merged([*(one for _before, one in servers), *_judged(last, rules, tried)], before)
    # What was there only to be mended, such as the note of an update.
    for name, one in tried.items():
        if name in first and name not in now and not one["failed"]:
            now[name] = replace(first[name], state=UP, cause="", action="")
    counted = [name for name, one in tried.items() if one.get("counted", True)]
    tries = remembered(rules.history or {}, first.values(), counted)
    # A switch is an action on the backend that it leaves.
    if move and move["target"]:
        for name, part in now.items():
            if (part.kind, part.name) == ("backend", move["from"]):
                now[name] = replace(part, action=SWITCHED, target=move["target"])
    parts = [
        _shown(part, tried.get(part.id), tries.get(part.id, 0), rules) for part in now.values()
    ]
    for number, problem in enumerate(problems, 1):
        parts.append(_problem(number, problem))
    if not before:
        parts.append(_problem(0, "no machine was looked at"))
    wrong = any(part["state"] != UP for part in parts)
    status = BROKEN if wrong else MENDED if tried else HEALTHY
    return {
        "version": VERSION,
        "time": time,
        "seconds": round(ended - started, 1),
        "status": status,
        "exit_status": EXIT[status],
        "active": {
            host: found["active"]
            for host, look in last.items()
            if (found := ((look or {}).get("seen") or {}).get("haproxy")) and found["active"]
        },
        "parts": parts,
        "history": tries,
    }


def _problem(number: int, text: str) -> dict[str, Any]:
    return {
        "id": f"controller/machine/problem {number}",
        "host": "controller",
        "kind": "machine",
        "name": f"problem {number}",
        "state": UNKNOWN,
        "cause": text,
        "action": None,
        "wanted": None,
        "tries": 0,
    }


def _shown(part: Part, tried: Mapping[str, Any] | None, tries: int, rules: Rules) -> dict[str, Any]:
    """A part in the report."""
    cause = part.cause
    if tried and tried["failed"] and part.state != UP:
        cause = f"{cause}; {' '.join(str(tried['msg']).split())[:300]}"
    return {
        "id": part.id,
        "host": part.host,
        "kind": part.kind,
        "name": part.name,
        "state": part.state,
        "cause": cause or None,
        "action": str(tried["action"])
        if tried and (part.state == UP or not tried["failed"])
        else None,
        "wanted": words(part) if rules.check and part.action else None,
        "tries": tries,
    }


def lines(found: Mapping[str, Any]) -> list[str]:
    """The report as text: what is not simply up, and a sum."""
    parts = found["parts"]
    told = [p for p in parts if p["state"] != UP or p["cause"] or p["action"]]
    wide = max((len(p["id"]) for p in told), default=0)
    table = []
    for part in told:
        words_ = [part["action"] or "", part["cause"] or ""]
        if part["wanted"]:
            words_.append(f"would {part['wanted']}")
        if part["tries"] and part["state"] != UP:
            words_.append(f"tries: {part['tries']}")
        said = "; ".join(word for word in words_ if word)
        table.append(f"{part['id']:{wide}}  {part['state']:7}  {said}".rstrip())
    up = sum(part["state"] == UP for part in parts)
    active = ", ".join(f"{backend} on {host}" for host, backend in found["active"].items())
    return [
        *table,
        f"{found['status']}: {up} of {len(parts)} parts are up; traffic: {active or 'unknown'}",
    ]
