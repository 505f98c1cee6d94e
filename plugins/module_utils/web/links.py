# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory that a web server serves, with links to the files of a release.

What somebody else has put there stays beside them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Links:
    """Links in C(root), with the names and below the directories that files have in C(release)."""

    root: Path
    release: Path

    def missing(self, files: Iterable[str], *, replace: bool) -> list[str]:
        """Files without a link. Unless C(replace), only those whose name is not taken."""
        return sorted(
            name
            for name in files
            if self._target(name) != self._wanted(name)
            and (replace or not os.path.lexists(self.root / name))
        )

    def stale(self, files: Iterable[str]) -> list[str]:
        """Links to what is none of the files."""
        known = set(files)
        names = (link.relative_to(self.root).as_posix() for link in _links(self.root))
        return sorted(
            name
            for name in names
            if name not in known and self.release in Path(self._target(name)).parents
        )

    def obstacle(self, files: Iterable[str]) -> str:
        """What is in the way of a link and cannot be replaced by it; empty if nothing is."""
        for name in sorted(files):
            place = self.root / name
            if place.is_dir() and not place.is_symlink():
                return f"{place} is a directory, and the release has a file of that name"
            for above in Path(name).parents:
                there = self.root / above
                if os.path.lexists(there) and not there.is_dir():
                    return f"{there} is a file, and the release has a directory of that name"
        return ""

    def add(self, name: str) -> None:
        """Put a link into its place, as one step."""
        place = self.root / name
        for directory in reversed(Path(name).parents):
            # Readable for all, whatever the umask.
            with suppress(FileExistsError):
                (self.root / directory).mkdir()
                (self.root / directory).chmod(0o755)
        # Whoever is killed between these leaves a stale link.
        candidate = place.with_name(f".{place.name}.new")
        candidate.unlink(missing_ok=True)
        candidate.symlink_to(self._wanted(name))
        candidate.replace(place)

    def remove(self, name: str) -> None:
        """Remove a link."""
        (self.root / name).unlink(missing_ok=True)

    def _wanted(self, name: str) -> str:
        return str(self.release / name)

    def _target(self, name: str) -> str:
        try:
            return str((self.root / name).readlink())
        except OSError:
            return ""


def _links(directory: Path) -> Iterator[Path]:
    """Symbolic links at or below a directory. Costs nothing for each of the other files."""
    if directory.is_dir():
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield Path(entry.path)
                elif entry.is_dir():
                    yield from _links(Path(entry.path))
