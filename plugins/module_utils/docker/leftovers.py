# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers of a Docker host, and which of ours, and of our images, can be removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.web.containers import BEFORE
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import MADE, ROLE

# Its tags are versions, of which old ones can be removed. Other images of ours keep their names.
VERSIONED = "bookface_image"
# Neither running nor paused nor on its way up.
STOPPED = ("created", "exited", "dead")
UNTAGGED = "<none>:<none>"

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Container:
    """A container as C(docker ps --all) shows it, and whether it can be removed."""

    id: str
    name: str
    image: str
    status: str
    ports: tuple[str, ...]
    ours: bool
    stopped: bool

    @property
    def leftover(self) -> bool:
        """Ours and stopped. One that was renamed belongs to a replacement in progress."""
        return self.ours and self.stopped and not self.name.endswith(BEFORE)


@dataclass(frozen=True)
class Image:
    """A reference to an image that can be removed, and the C(id) of the image."""

    reference: str
    id: str
    size: int


def port_text(port: Entry) -> str:
    """A port as C(docker ps) shows it."""
    inside = f"{port['PrivatePort']}/{port['Type']}"
    if not port.get("PublicPort"):
        return inside
    return f"{port.get('IP') or '*'}:{port['PublicPort']}->{inside}"


def is_ours(container: Entry, image: Entry | None) -> bool:
    """Whether this platform started the container.

    A container inherits the labels of its image, so one that was started by hand from our image
    has them, too. Only labels that differ from those of the image belong to the container.
    """
    labels = container.get("Labels") or {}
    if image is None:
        # Any label but the role may come from the unknown image: none of our images has a role.
        return ROLE in labels
    inherited = image.get("Labels") or {}
    return any(name in labels and labels[name] != inherited.get(name) for name in (ROLE, MADE))


def containers(found: Sequence[Entry], images: Sequence[Entry]) -> list[Container]:
    """All containers, by name."""
    by_id = {image["Id"]: image for image in images}
    made = [
        Container(
            id=entry["Id"],
            name=entry["Names"][0].lstrip("/"),
            image=entry["Image"],
            status=entry["Status"],
            ports=tuple(sorted({port_text(port) for port in entry.get("Ports") or []})),
            ours=is_ours(entry, by_id.get(entry["ImageID"])),
            stopped=entry["State"] in STOPPED,
        )
        for entry in found
    ]
    return sorted(made, key=lambda container: container.name)


def repository(reference: str) -> str:
    """C(bookface/web:1a2b) and C(bookface/web@sha256:...) are of bookface/web."""
    if "@" in reference:
        return reference.partition("@")[0]
    name, colon, tag = reference.rpartition(":")
    return name if colon and "/" not in tag else reference


def references(image: Entry) -> list[str]:
    """The names of an image; none if a later build has taken them."""
    tags = [tag for tag in image.get("RepoTags") or [] if tag != UNTAGGED]
    digests = [name for name in image.get("RepoDigests") or [] if not name.startswith("<none>")]
    return tags or digests


def old_images(images: Sequence[Entry], in_use: Iterable[str]) -> list[Image]:
    """Our images that no container uses and a newer one has replaced.

    C(in_use) are IDs. The newest of each repository is kept: it may be about to run.
    """
    used = set(in_use)
    ours = [image for image in images if MADE in (image.get("Labels") or {})]
    newest: dict[str, int] = {}
    for image in ours:
        for name in references(image):
            family = repository(name)
            newest[family] = max(newest.get(family, 0), image["Created"])
    old = []
    for image in ours:
        if image["Id"] in used:
            continue
        names = references(image)
        if not names:
            old.append(Image(image["Id"], image["Id"], image["Size"]))
        if image["Labels"][MADE] == VERSIONED:
            old += [
                Image(name, image["Id"], image["Size"])
                for name in names
                if image["Created"] < newest[repository(name)]
            ]
    return sorted(old, key=lambda image: image.reference)


def leftovers(info: Entry, in_use: Iterable[str] = (), removing: bool = False) -> dict[str, Any]:
    """Containers, stopped ones of ours, and old images, as plain data.

    C(info) is the result of docker_host_info with all containers and images. C(in_use) are IDs of
    images that other hosts use. With C(removing), our stopped containers do not count as users of
    their images.
    """
    listed = containers(info["containers"], info["images"])
    gone = {found.id for found in listed if found.leftover} if removing else set()
    used = {entry["ImageID"] for entry in info["containers"] if entry["Id"] not in gone}
    return {
        "containers": [
            {
                "id": found.id,
                "name": found.name,
                "image": found.image,
                "status": found.status,
                "ports": list(found.ports),
                "ours": found.ours,
                "stopped": found.stopped,
                "leftover": found.leftover,
            }
            for found in listed
        ],
        "stopped": [{"id": c.id, "name": c.name} for c in listed if c.leftover],
        "images": [
            {"reference": image.reference, "id": image.id, "size": image.size}
            for image in old_images(info["images"], used | set(in_use))
        ],
    }
