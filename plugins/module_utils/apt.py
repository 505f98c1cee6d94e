# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What apt-get would install, from its simulation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

_INSTALL = re.compile(r"Inst (?P<name>\S+) (\[(?P<old>\S+)\] )?\((?P<new>\S+)[ )]")


@dataclass(frozen=True)
class Change:
    """A package, and its version before (empty if it was not installed) and after."""

    name: str
    old: str
    new: str

    def as_data(self) -> dict[str, str]:
        """With C(text) in words."""
        versions = f"{self.old} -> {self.new}" if self.old else self.new
        return {**asdict(self), "text": f"{self.name} {versions}"}


def changes(simulated: Iterable[str], there: Iterable[str] = ()) -> list[Change]:
    """From the lines of C(apt-get --simulate), by name.

    C(there) are lines of name and version where these packages are already installed, unless that
    is where the simulation was made.
    """
    versions = dict(line.split()[:2] for line in there if len(line.split()) > 1)
    found = {}
    for line in simulated:
        if match := _INSTALL.match(line):
            old = versions.get(match["name"], match["old"] or "")
            if old != match["new"]:
                found[match["name"]] = Change(match["name"], old, match["new"])
    return [found[name] for name in sorted(found)]
