#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: topology_diagram
short_description: Draw the platform as SVG or PNG
version_added: 0.1.0
description:
  - Draws a model from the filter P(bookface.platform.topology#filter) with icons, machines as
    boxes, port numbers and the path of the traffic.
  - An SVG embeds its icons, so it needs no other file.
  - The same model gives the same file. It is written only if it differs.
  - Runs on the controller.
options:
  model:
    description:
      - The model.
    type: dict
    required: true
  dest:
    description:
      - File to write. Its suffix, C(.svg) or C(.png), selects the format.
      - Its directory must exist.
    type: path
    required: true
extends_documentation_fragment:
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
    description:
      - Draws and compares, but does not write. Without Graphviz it reports a change.
  diff_mode:
    support: none
    description:
      - A drawing has no lines to compare.
  idempotent:
    support: full
    description:
      - As long as Graphviz and its fonts are the same.
  platform:
    support: full
    platforms: posix
    description:
      - Any with Graphviz.
requirements:
  - diagrams (Python)
  - Graphviz (the program dot)
seealso:
  - plugin: bookface.platform.topology
    plugin_type: filter
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Draw the platform
  bookface.platform.topology_diagram:
    model: "{{ seen | bookface.platform.topology }}"
    dest: build/topology.svg
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
dest:
  description: The file.
  returned: success
  type: str
  sample: build/topology.svg
size:
  description: Its size in bytes; 0 in check mode without Graphviz.
  returned: success
  type: int
  sample: 51234
"""

import base64
import html
import subprocess
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.bookface.platform.plugins.module_utils.topology.drawing import (
    ACTIVE,
    BROKEN,
    IDLE,
    PLAIN,
    Arrow,
    Box,
    Drawing,
    Node,
    drawing,
    embed_images,
)

DIAGRAMS_ERROR = None
try:
    import diagrams  # type: ignore[import-untyped]
    from diagrams.generic.compute import Rack  # type: ignore[import-untyped]
    from diagrams.onprem.client import Users  # type: ignore[import-untyped]
    from diagrams.onprem.container import Docker  # type: ignore[import-untyped]
    from diagrams.onprem.database import (  # type: ignore[import-untyped]
        CockroachDB,
        PostgreSQL,
    )
    from diagrams.onprem.inmemory import Memcached  # type: ignore[import-untyped]
    from diagrams.onprem.network import (  # type: ignore[import-untyped]
        Apache,
        HAProxy,
        Nginx,
    )
except ImportError:
    DIAGRAMS_ERROR = traceback.format_exc()
    ICONS: dict[str, Any] = {}
else:
    ICONS = {
        "apache": Apache,
        "clients": Users,
        "cockroachdb": CockroachDB,
        "docker": Docker,
        "haproxy": HAProxy,
        "memcached": Memcached,
        "nginx": Nginx,
        "postgresql": PostgreSQL,
        "yugabytedb": PostgreSQL,
    }

INK = "#2d3436"
GREEN = "#1b7f3b"
GREY = "#9aa0a8"
DARK = "#5f6670"
RED = "#b3261e"
GRAPH = {
    "pad": "0.3",
    "splines": "spline",
    "nodesep": "0.3",
    "ranksep": "1.4",
    "fontsize": "20",
    "labelloc": "t",
    "bgcolor": "white",
}
NODE = {"fontsize": "12", "fixedsize": "false", "width": "0", "height": "0", "margin": "0.05"}

GROUPS = {
    ACTIVE: {"bgcolor": "#e9f6eb", "pencolor": GREEN, "penwidth": "2.5", "fontcolor": GREEN},
    IDLE: {"bgcolor": "#f6f6f7", "pencolor": GREY, "style": "rounded,dashed", "fontcolor": DARK},
    PLAIN: {"bgcolor": "#f6f6f7", "pencolor": GREY, "fontcolor": INK},
}
# Graphviz hands a group's looks down to what is in it, so each is said again.
MACHINE = {
    "bgcolor": "white",
    "pencolor": GREY,
    "penwidth": "1.2",
    "style": "rounded",
    "fontcolor": INK,
}
ARROWS = {
    ACTIVE: {"color": GREEN, "penwidth": "2.4", "fontcolor": GREEN},
    IDLE: {"color": GREY, "style": "dashed", "fontcolor": DARK},
    BROKEN: {"color": RED, "style": "dashed", "fontcolor": RED, "arrowhead": "tee"},
    PLAIN: {"color": INK},
}
TEXT = {ACTIVE: INK, IDLE: DARK, BROKEN: RED, PLAIN: INK}


def label(lines: Sequence[str], size: int) -> str:
    """Lines as Graphviz's kind of HTML, the first one bold."""
    first, *rest = (html.escape(line) for line in lines)
    text = "".join(f'{line}<BR ALIGN="LEFT"/>' for line in [f"<B>{first}</B>", *rest])
    return f'<<FONT POINT-SIZE="{size}">{text}</FONT>>'


def node_label(item: Node, icon: str) -> str:
    """A table with the icon, what it is, and its ports. Icons differ in size: here they may not."""
    picture = f'<TD FIXEDSIZE="TRUE" WIDTH="110" HEIGHT="62"><IMG SCALE="TRUE" SRC="{icon}"/></TD>'
    first, *rest = (html.escape(line) for line in item.lines)
    lines = [f"<B>{first}</B>", *rest, *(f"<B>{html.escape(port)}</B>" for port in item.ports)]
    rows = "".join(f"<TR><TD>{cell}</TD></TR>" for cell in lines)
    return (
        '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
        f"<TR>{picture}</TR>{rows}</TABLE>>"
    )


def draw_content(content: Sequence[Box | Node], made: dict[str, Any]) -> None:
    """Boxes and nodes into the diagram or cluster that is open; C(made) gets the nodes by id."""
    for item in content:
        if isinstance(item, Node):
            kind = ICONS.get(item.icon, Rack)
            icon = str(Path(diagrams.__file__).parent.parent / kind._icon_dir / kind._icon)
            made[item.id] = kind(
                node_label(item, icon),
                nodeid=item.id,
                # The label holds it, below a size that leaves the text readable.
                image="",
                height="0",
                fontcolor=TEXT[item.style],
            )
            continue
        looks = GROUPS[item.style] if item.group else MACHINE
        text = label(item.lines, 15 if item.group else 12)
        # Two boxes may carry the same text, but the name makes a box.
        with diagrams.Cluster(item.id, graph_attr=looks | {"label": text, "margin": "14"}):
            draw_content(item.content, made)
            if not item.content:
                empty = {"shape": "plaintext", "fontcolor": DARK}
                diagrams.Node("nothing seen", nodeid=f"{item.id}/", **empty)


def draw_arrow(arrow: Arrow, made: dict[str, Any]) -> None:
    """One arrow between two nodes."""
    looks = ARROWS[arrow.style] | {"tailport": "e", "headport": "w"}
    if arrow.label:
        looks |= {"label": f" {arrow.label} "}
    made[arrow.source] >> diagrams.Edge(**looks) >> made[arrow.target]


def render(drawn: Drawing, directory: Path, form: str) -> bytes:
    """The picture. C(directory) holds Graphviz's files meanwhile."""
    file = directory / "topology"
    made: dict[str, Any] = {}
    with diagrams.Diagram(
        drawn.title,
        filename=str(file),
        outformat=form,
        show=False,
        graph_attr=GRAPH,
        node_attr=NODE,
    ):
        draw_content(drawn.content, made)
        for arrow in drawn.arrows:
            draw_arrow(arrow, made)
    picture = file.with_suffix(f".{form}").read_bytes()
    if form == "svg":
        picture = embed_images(picture.decode(), data_uri).encode()
    return picture


def data_uri(path: str) -> str:
    """A PNG file as a URI that holds it."""
    return "data:image/png;base64," + base64.b64encode(Path(path).read_bytes()).decode()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "model": {"type": "dict", "required": True},
            "dest": {"type": "path", "required": True},
        },
        add_file_common_args=True,
        supports_check_mode=True,
    )
    dest = Path(module.params["dest"])
    form = dest.suffix.lstrip(".")
    if form not in ("svg", "png"):
        module.fail_json(msg=f"dest is {dest}: expected a file name that ends in .svg or .png.")
    if module.check_mode and (DIAGRAMS_ERROR or not module.get_bin_path("dot")):
        module.exit_json(changed=True, dest=str(dest), size=0)
    if DIAGRAMS_ERROR:
        module.fail_json(msg=missing_required_lib("diagrams"), exception=DIAGRAMS_ERROR)
    module.get_bin_path("dot", required=True)

    try:
        picture = render(drawing(module.params["model"]), Path(module.tmpdir), form)
    except KeyError as error:
        module.fail_json(
            msg=f"model lacks {error}: expected a model from the filter bookface.platform.topology."
        )
    except subprocess.CalledProcessError as error:
        module.fail_json(msg=f"Graphviz could not draw: {error}. {dest} is unchanged.")

    changed = not dest.is_file() or dest.read_bytes() != picture
    if changed and not module.check_mode:
        new = Path(module.tmpdir) / "picture"
        new.write_bytes(picture)
        module.atomic_move(str(new), str(dest))
    if dest.exists():
        attributes = module.load_file_common_arguments(module.params)
        changed = module.set_fs_attributes_if_different(attributes, changed)
    module.exit_json(changed=changed, dest=str(dest), size=len(picture))


if __name__ == "__main__":
    main()
