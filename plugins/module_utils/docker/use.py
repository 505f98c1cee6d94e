# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine has: containers, images and volumes, ours and others, and where it keeps them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.docker.leftovers import is_ours
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import MADE, PREFIX

Entry = Mapping[str, Any]
DATA_ROOT = "/var/lib/docker"


@dataclass(frozen=True)
class Count:
    """How many containers, images and volumes there are of a kind."""

    containers: int = 0
    images: int = 0
    volumes: int = 0

    def __bool__(self) -> bool:
        return bool(self.containers or self.images or self.volumes)

    def __str__(self) -> str:
        counted = [
            (self.containers, "container"),
            (self.images, "image"),
            (self.volumes, "volume"),
        ]
        return ", ".join(
            f"{number} {name}" + "s" * (number > 1) for number, name in counted if number
        )


@dataclass(frozen=True)
class Use:
    """C(foreign): what the platform has not made. C(all): all but the image of the role's test.

    Of an engine that does not answer the rest is empty: what it would do can be read nowhere.
    """

    foreign: Count = Count()
    all: Count = Count()
    swarm: bool = False
    root: str = ""
    driver: str = ""
    remapped: bool | None = None
    snapshotter: bool | None = None
    live_restore: bool = False


def _is_proof(labels: Mapping[str, str] | None) -> bool:
    return (labels or {}).get(MADE) == "docker_ce"


def _is_ours(labels: Mapping[str, str] | None) -> bool:
    return any(name.startswith(PREFIX) for name in labels or {})


def of_engine(
    info: Entry, containers: Sequence[Entry], images: Sequence[Entry], volumes: Sequence[Entry]
) -> Use:
    """The use of an engine that answers, from what its API lists."""
    by_id = {image["Id"]: image for image in images}
    return Use(
        foreign=Count(
            sum(not is_ours(entry, by_id.get(entry["ImageID"])) for entry in containers),
            sum(not _is_ours(image.get("Labels")) for image in images),
            sum(not _is_ours(volume.get("Labels")) for volume in volumes),
        ),
        all=Count(
            len(containers),
            sum(not _is_proof(image.get("Labels")) for image in images),
            len(volumes),
        ),
        swarm=(info.get("Swarm") or {}).get("LocalNodeState", "inactive") != "inactive",
        root=str(info.get("DockerRootDir", "")),
        driver=str(info.get("Driver", "")),
        remapped=any("name=userns" in option for option in info.get("SecurityOptions") or []),
        snapshotter=any(
            "io.containerd.snapshotter" in str(value)
            for _name, value in info.get("DriverStatus") or []
        ),
        live_restore=bool(info.get("LiveRestoreEnabled")),
    )


def on_disk(root: str) -> Use:
    """What a directory of an engine that does not answer contains."""
    # With userns-remap, each range of accounts has a directory of its own.
    roots = [Path(root), *Path(root).glob("[0-9]*.[0-9]*")]
    containers = [
        _labels(path) for top in roots for path in top.glob("containers/*/config.v2.json")
    ]
    images = [
        _labels(path) for top in roots for path in top.glob("image/*/imagedb/content/sha256/*")
    ]
    volumes = [path for top in roots for path in top.glob("volumes/*/_data")]
    return Use(
        foreign=Count(_without(_is_ours, containers), _without(_is_ours, images), len(volumes)),
        all=Count(len(containers), _without(_is_proof, images), len(volumes)),
        swarm=any((top / "swarm/docker-state.json").exists() for top in roots),
    )


def _without(test: Any, found: Iterable[Mapping[str, str]]) -> int:
    return sum(not test(labels) for labels in found)


def _labels(path: Path) -> Mapping[str, str]:
    """Labels of a container or image, from the engine's own file about it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        labels = (content.get("config") or content.get("Config") or {}).get("Labels")
    except (OSError, ValueError, AttributeError):
        return {}
    return labels or {}
