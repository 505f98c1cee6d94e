# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a setting in daemon.json is, and what follows for a file that several people write.

A record beside the file lists what the platform has written there, with the values, and what these
have replaced. A setting whose value differs from the record was changed by somebody else since,
and is theirs. Settings are compared one by one, those in nested dictionaries as well; a list is
one setting.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.docker.daemon import render

Config = Mapping[str, Any]
Path = tuple[str, ...]
Settings = dict[Path, Any]

# These change nothing about containers: live-restore is what keeps them running at a restart.
HARMLESS = frozenset({"live-restore"})
_LOG = ("log-driver", "log-opts")
_DRIVER: Path = ("log-driver",)


@dataclass(frozen=True)
class Record:
    """What the platform has written into daemon.json, and what that has replaced.

    C(first): whether it came before the engine. One that ran before keeps the engine's defaults.
    """

    first: bool
    written: Config = field(default_factory=dict)
    replaced: Config = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Record | None:
        """None where there is none. Of one that cannot be read nothing is ours: safe."""
        try:
            found = json.loads(text)
            return cls(found["first"] is True, dict(found["written"]), dict(found["replaced"]))
        except (ValueError, KeyError, TypeError):
            return None

    def render(self) -> str:
        return render({"first": self.first, "written": self.written, "replaced": self.replaced})


@dataclass(frozen=True)
class Settled:
    """The new content and record, and the defaults that were left out."""

    config: dict[str, Any]
    record: Record
    proposed: dict[str, Any]


def settings(config: Config, above: Path = ()) -> Settings:
    """Each setting by its path."""
    found: Settings = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= settings(value, (*above, key))
        else:
            found[(*above, key)] = value
    return found


def nested(found: Settings) -> dict[str, Any]:
    """The opposite of C(settings)."""
    config: dict[str, Any] = {}
    for path, value in found.items():
        inner = config
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = value
    return config


def _put(found: Settings, path: Path, value: Any) -> None:
    """Set one; a dictionary in the place of something else replaces it, and the other way round."""
    below = [other for other in found if len(other) > len(path) and other[: len(path)] == path]
    if below and value == {}:
        return
    for other in (*below, *(path[:length] for length in range(1, len(path)))):
        found.pop(other, None)
    found[path] = value


def _group(path: Path) -> str:
    """Log options belong to their log driver."""
    return "log" if path[0] in _LOG else path[0]


def _drop_log_options(found: Settings, driver: Any) -> None:
    """The options of one log driver mean nothing to another, which would not start with them."""
    if driver is not None and driver != found.get(_DRIVER, "json-file"):
        for path in [path for path in found if path[0] == "log-opts"]:
            del found[path]


def _decided(path: Path, others: Settings, default_driver: Any) -> bool:
    """Whether somebody else has decided about a default."""
    if path[0] == "log-opts" and others.get(_DRIVER, default_driver) != default_driver:
        return True
    if path == _DRIVER and any(other[0] == "log-opts" for other in others):
        return True
    return any(other[0] == path[0] for other in others)


def _asked(path: Path, given: Collection[Path]) -> bool:
    """Whether the user has said something about a default, even if only to leave it alone."""
    return any(path[:length] in given for length in range(1, len(path) + 1))


def settle(
    there: Config,
    record: Record,
    defaults: Config,
    config: Config,
    virgin: bool,
    flags: Collection[str] = (),
    prune: bool = True,
) -> Settled:
    """Merge what others have written, the defaults and the user's keys; the later wins.

    Defaults apply to a C(virgin) engine, and stay in force on one that was virgin when we came.
    Elsewhere only harmless ones do. Null in C(config) means that the key is not ours. What we have
    written and no longer want goes, and what it had replaced comes back, unless C(prune) is false.
    """
    file = settings(there)
    ours = {p: v for p, v in settings(record.written).items() if p in file and file[p] == v}
    groups = {_group(path) for path in ours}
    # What the file would say without us.
    others = {p: v for p, v in settings(record.replaced).items() if _group(p) in groups}
    for path, value in file.items():
        if path not in ours:
            _put(others, path, value)

    given = settings(config)
    driver = given.get(_DRIVER)
    default_driver = defaults.get("log-driver", "json-file")
    result = dict(others if prune else file)
    _drop_log_options(result, driver)
    proposed: Settings = {}
    for path, value in settings(defaults).items():
        if (
            _asked(path, given)
            or _decided(path, others, default_driver)
            or path[0] in flags
            or (_group(path) == "log" and (driver or default_driver) != default_driver)
            or (path[0] in _LOG and any(key in flags for key in _LOG))
        ):
            continue
        applies = virgin or (record.first and path in ours) or path[0] in HARMLESS
        _put(result if applies else proposed, path, value)
    for path, value in given.items():
        if value is not None:
            _put(result, path, value)

    kept = {p: v for p, v in others.items() if p in result and result[p] == v}
    return Settled(
        config=nested(result),
        record=Record(
            first=record.first,
            written=nested({p: v for p, v in result.items() if p not in kept}),
            replaced=nested({p: v for p, v in others.items() if p not in kept}),
        ),
        proposed=nested(proposed),
    )


def adopt(text: str, there: Config, defaults: Config, config: Config) -> Record | None:
    """The record of a file that the role wrote without one: as user data, or in an older version.

    Such a file has the role's layout and all that the role would write.
    """
    wanted = settings(settle({}, Record(first=True), defaults, config, virgin=True).config)
    file = settings(there)
    expected = {path for path in settings(defaults) if path in wanted}
    same = {path: value for path, value in wanted.items() if file.get(path) == value}
    if expected and expected <= set(same) and render(there) == text:
        return Record(first=True, written=nested(same))
    return None
