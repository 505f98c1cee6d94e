# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker labels of everything that the platform creates. Their names are written down only here."""

from __future__ import annotations

from collections.abc import Mapping

PREFIX = "platform.bookface."
# Name in roles → what the label says.
MEANINGS: Mapping[str, str] = {
    "base": "origin of a base image",
    "content": "digest of everything that goes into the web image",
    "date": "when the packages of a base image were up to date",
    "image": "name of the image that a service runs",
    "lab": "lab that a machine, network or image belongs to",
    "made": "role that created it",
    "node-labels": "labels of a node of the swarm that the role has set",
    "port": "published port of a web container; Docker lists those of running containers only",
    "recipe": "digest of all that goes into the web image except its base",
    "role": "what a container is for",
    "stack": "web service of the swarm that a further service or its secret belongs to",
    "ulimits": "ulimits that were asked for; Docker adds the engine's own to those that it lists",
}


def label(name: str) -> str:
    """Name of a label in Docker. Raises ValueError for one that nobody has described."""
    if name not in MEANINGS:
        raise ValueError(f"expected one of {', '.join(MEANINGS)}, got {name!r}")
    return PREFIX + name


MADE, PORT, ROLE = label("made"), label("port"), label("role")
NODE_LABELS, STACK = label("node-labels"), label("stack")
# Value of ROLE for web servers.
WEB = "web"


def is_web(labels: Mapping[str, str] | None) -> bool:
    """Whether these are the labels of one of our web containers."""
    return (labels or {}).get(ROLE) == WEB
