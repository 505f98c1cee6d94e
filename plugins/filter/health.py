# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role heal: from looks at machines to what to do, and to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.health import (
    expect,
    plan,
    report,
)
from ansible_collections.bookface.platform.plugins.module_utils.health.judge import Part

Look = Mapping[str, Any]


def _rules(given: Mapping[str, Any]) -> plan.Rules:
    return plan.Rules(
        never=tuple(str(name) for name in given["never"]),
        tries=int(given["tries"]),
        history={str(name): int(count) for name, count in given["history"].items()},
        check=bool(given["check"]),
    )


def health_expected(
    groups: Mapping[str, Iterable[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """See health_expected.yml beside this file."""
    try:
        return expect.expected(groups, hostvars)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None


def health_history(text: str) -> dict[str, Any]:
    """See health_history.yml beside this file."""
    tries, problem = report.load(text)
    return {"tries": tries, "problem": problem}


def health_servers(
    servers: Mapping[str, Mapping[str, Any]], described: Iterable[str], rules: Mapping[str, Any]
) -> dict[str, Any]:
    """See health_servers.yml beside this file."""
    given = _rules(rules)
    parts = plan.server_parts(servers, described)
    allowed = [part for part in plan.governed(parts, given) if part.action]
    return {
        "parts": [asdict(part) for part in parts],
        "actions": {} if given.check else {part.host: part.target for part in allowed},
    }


def health_todo(
    look: Look, host: str, rules: Mapping[str, Any], done: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """See health_todo.yml beside this file."""
    tried = {str(one["id"]): bool(one["failed"]) for one in done}
    return plan.todo(host, look, _rules(rules), tried)


def health_unwell(
    looks: Mapping[str, Look], rules: Mapping[str, Any], mended: bool = False
) -> list[str]:
    """See health_unwell.yml beside this file."""
    return plan.unwell(looks, _rules(rules), mended)


def health_done(results: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """See health_done.yml beside this file."""
    return [
        {
            "id": one["item"]["id"],
            "name": one["item"]["name"],
            "action": one["item"]["action"],
            "failed": bool(one.get("failed") or one.get("unreachable")),
            "msg": str(one.get("stderr") or one.get("msg") or ""),
        }
        for result in results
        for one in (result.get("results") or ())
        if isinstance(one.get("item"), Mapping) and not one.get("skipped")
    ]


def health_view(looks: Mapping[str, Look], host: str, mended: bool) -> dict[str, Any]:
    """See health_view.yml beside this file."""
    return plan.view(host, looks, mended)


def health_switch(
    looks: Mapping[str, Look], balancers: Sequence[str], seconds: int, rules: Mapping[str, Any]
) -> dict[str, str]:
    """See health_switch.yml beside this file."""
    return plan.switch_target(looks, balancers, int(seconds), _rules(rules))


def health_report(
    before: Mapping[str, Look],
    after: Mapping[str, Look],
    servers: Sequence[Mapping[str, Any]],
    resumed: Mapping[str, Mapping[str, Any]],
    done: Sequence[Mapping[str, Any]],
    rules: Mapping[str, Any],
    started: float,
    ended: float,
    time: str,
    problems: Sequence[str] = (),
    move: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """See health_report.yml beside this file."""
    given = _rules(rules)
    first = [Part(**one) for one in servers]
    found = report.report(
        before=before,
        after=after,
        servers=report.servers_after(first, resumed, given),
        done=[*done, *report.servers_done(first, resumed)],
        rules=given,
        started=float(started),
        ended=float(ended),
        time=str(time),
        problems=[str(one) for one in problems if one],
        move=move,
    )
    history = found.pop("history")
    return {
        "report": found,
        "lines": report.lines(found),
        "state": report.dump(history),
        "remembered": history,
    }


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {
            "health_done": health_done,
            "health_expected": health_expected,
            "health_history": health_history,
            "health_report": health_report,
            "health_servers": health_servers,
            "health_switch": health_switch,
            "health_todo": health_todo,
            "health_unwell": health_unwell,
            "health_view": health_view,
        }
