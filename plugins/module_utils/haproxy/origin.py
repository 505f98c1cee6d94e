# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the traffic came from that a page for maintenance has, so that some clients reach the site.

While a backend that answers by itself has the traffic of a frontend, a second map has the entry
``FRONTEND BACKEND`` with the backend from before. Unlike that of the switch, this map has its
entries on disk, too: they outlast a reload and a start.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.record import Move
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import (
    parse_map_file,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.shift import Entries


@dataclass(frozen=True)
class Origin:
    """The entry of a frontend in the map: as it is, and as it is to be; None without one.

    ``path``: as HAProxy names the map. ``file``: where it is. ``live``: None if HAProxy does not
    run or has not loaded it.
    """

    frontend: str
    path: str
    file: str
    on_disk: str | None
    live: Entries | None
    wanted: str | None

    @property
    def entries(self) -> Entries:
        return ((self.frontend, self.wanted),) if self.wanted else ()

    @property
    def kept(self) -> Entries:
        """The entry on disk."""
        return ((self.frontend, self.on_disk),) if self.on_disk else ()

    @property
    def changed(self) -> bool:
        live = self.live is not None and set(self.live) != set(self.entries)
        return self.on_disk != self.wanted or live


def kept_origin(text: str, frontend: str) -> str | None:
    """What the file of the map says of a frontend. HAProxy takes the first of several."""
    return next((value for key, value in parse_map_file(text) if key == frontend), None)


def with_origin(text: str, frontend: str, origin: str | None) -> str:
    """The file of the map with another entry of a frontend, or without one."""
    kept = [line for line in text.splitlines() if kept_origin(line, frontend) is None]
    added = [f"{frontend} {origin}"] if origin else []
    return "".join(f"{line}\n" for line in (*kept, *added))


def find_origin(
    page: str, move: Move | None, recorded: Move | None, kept: str | None, rollback: bool
) -> str:
    """The backend that had the traffic before the page.

    ``move``: what is about to be switched, ``recorded``: the last switch. A rollback to the page
    undoes a switch that had left it, so what was before it counts.
    """
    left = recorded.origin if recorded and recorded.source == page else ""
    if rollback and left:
        return left
    if move:
        return move.source
    if recorded and recorded.target == page:
        return recorded.source
    # Unknown: nobody but the page is there for the clients.
    return left or kept or page
