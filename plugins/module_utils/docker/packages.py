# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans which packages to install, remove and hold, from the lists of dpkg and apt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


class PackageError(ValueError):
    """A version that is not available."""


@dataclass(frozen=True)
class Package:
    """An installed package."""

    name: str
    version: str
    held: bool


def installed(listing: Iterable[str]) -> dict[str, Package]:
    """Installed packages from lines of C(name want status version), as dpkg-query shows them."""
    found = {}
    for line in listing:
        words = line.split()
        if len(words) == 4 and words[2] == "installed":
            found[words[0]] = Package(words[0], words[3], words[1] == "hold")
    return found


def offered(madison: Iterable[str]) -> dict[str, list[str]]:
    """Versions by package from C(apt-cache madison), the newest first."""
    found: dict[str, list[str]] = {}
    for line in madison:
        columns = [column.strip() for column in line.split("|")]
        # Source packages are listed as well.
        if len(columns) == 3 and not columns[2].endswith("Sources"):
            found.setdefault(columns[0], []).append(columns[1])
    return found


def matches(version: str, wanted: str) -> bool:
    """Whether a version is the requested one, given in full, without its epoch, or as a prefix.

    A prefix ends at a separator: 28.5 matches 5:28.5.1-1~debian.12~bookworm, but not 5:28.51.0.
    """
    upstream = version.partition(":")[2] or version
    for candidate in (version, upstream):
        if candidate == wanted or (
            candidate.startswith(wanted) and candidate[len(wanted)] in ".-~+"
        ):
            return True
    return False


def plan(
    listing: Iterable[str],
    engine: Sequence[str],
    others: Sequence[str] = (),
    rivals: Sequence[str] = (),
    version: str = "",
    versioned: Sequence[str] = (),
    madison: Iterable[str] | None = None,
    hold: bool = False,
) -> dict[str, Any]:
    """The changes to the packages.

    C(engine) and C(others) are installed, C(rivals) removed. C(versioned) are the packages of the
    engine to which C(version) applies. Without C(madison) the plan names no exact versions.
    """
    there = installed(listing)
    wrong = [
        name
        for name in engine
        if version
        and name in versioned
        and (name not in there or not matches(there[name].version, version))
    ]
    missing = [name for name in (*engine, *others) if name not in there]
    install = list(dict.fromkeys([*missing, *wrong]))
    if madison is not None and wrong:
        choices = offered(madison)
        chosen = {}
        for name in wrong:
            fitting = [found for found in choices.get(name, []) if matches(found, version)]
            if not fitting:
                raise PackageError(
                    f"docker_ce_version is {version}, which is not available for {name}. Available:"
                    f" {', '.join(choices.get(name, [])) or 'none'}. No package was changed"
                )
            chosen[name] = fitting[0]
        install = [f"{name}={chosen[name]}" if name in chosen else name for name in install]
    held = [name for name in engine if name in there and there[name].held]
    steps = {
        "install": install,
        "remove": [name for name in rivals if name in there],
        "hold": [name for name in engine if hold and name not in held],
        "unhold": [] if hold else held,
    }
    return {
        **steps,
        "changes": any(steps.values()),
        "engine_there": any(name in there for name in ("docker.io", "docker-ce")),
        "engine_changes": any(name.partition("=")[0] in engine for name in install),
        "wrong_version": wrong,
    }
