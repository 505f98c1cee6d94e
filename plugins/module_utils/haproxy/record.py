# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record for a rollback: where the traffic of each frontend came from at its last switch.

A small JSON file beside the configuration file that has the frontend. Its name does not end in
``.cfg``, so HAProxy does not load it where it loads the whole directory.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError

_SUFFIX = ".previous.json"


class RecordError(HaproxyError):
    """A record that is missing or invalid."""

    reason = "no_record"


@dataclass(frozen=True)
class Move:
    """A switch or shift: the backend that had the traffic, and the one that got it.

    ``origin``: where the traffic of a ``source`` that answers by itself came from, see origin.py.
    """

    source: str
    target: str
    origin: str = ""


def record_path(config: str) -> str:
    """The record beside a configuration file."""
    return config + _SUFFIX


def parse_record(path: str, text: str) -> dict[str, Move]:
    """The last move of each frontend."""
    try:
        return {
            str(frontend): Move(
                _name(move, "from"),
                _name(move, "to"),
                _name(move, "origin") if "origin" in move else "",
            )
            for frontend, move in json.loads(text).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RecordError(
            f'the record {path} is invalid, expected {{"FRONTEND": {{"from": "BACKEND", '
            '"to": "BACKEND"}}',
            "A switch to a named backend replaces the record",
        ) from None


def _name(move: dict[str, object], key: str) -> str:
    name = move[key]
    if not isinstance(name, str) or not name:
        raise ValueError(name)
    return name


def render_record(moves: dict[str, Move]) -> str:
    content = {
        frontend: {
            "from": move.source,
            "to": move.target,
            **({"origin": move.origin} if move.origin else {}),
        }
        for frontend, move in moves.items()
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def previous(path: str, moves: dict[str, Move], frontend: str) -> str:
    """Where a rollback goes."""
    if frontend not in moves:
        known = ", ".join(sorted(moves)) or "none"
        raise RecordError(
            f"there is nothing to roll back to: {path} has no record of a switch of frontend "
            f"'{frontend}' (recorded frontends: {known})",
            "Name the backend instead",
        )
    return moves[frontend].source
