# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The apt sources and keys of Docker's repository on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ansible_collections.bookface.platform.plugins.module_utils.docker import (
    repository as docker_repository,
)
from ansible_collections.bookface.platform.plugins.module_utils.text_file import read

APT = Path("/etc/apt")
# The one that is written here.
OWN = APT / "sources.list.d/docker.sources"


def without_docker(bases: Iterable[str], apt: Path = APT) -> dict[Path, str]:
    """New text of each file with entries of Docker's repository; empty if the file is to go.

    C(bases) are mirrors of the repository beside Docker's own address.
    """
    known = list(bases)
    parts = apt / "sources.list.d"
    found = {}
    for path in [
        apt / "sources.list",
        *sorted(parts.glob("*.list")),
        *sorted(parts.glob("*.sources")),
    ]:
        text = read(path)
        rest = docker_repository.without_docker(path.name, text, known)
        if rest != text:
            found[path] = rest
    found.update({Path(key): "" for key in docker_repository.OLD_KEYS if Path(key).exists()})
    return found
