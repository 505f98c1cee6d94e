# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's pages in a directory of the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: application
author:
  - The bookface.platform authors (@bookface-platform)
short_description: Find bookface's pages in a directory
version_added: 0.1.0
description:
  - Finds the directory of the web root, which is C(code/) of a checkout, or else the directory with
    an C(index.php) that is nearest to the top, at most two levels down.
options:
  _terms:
    description: Directory on the controller.
    type: list
    elements: path
    required: true
  source:
    description: The C(bookface_source) that the directory was made from.
    type: dict
    required: true
  config_style:
    description:
      - The configuration that the pages read. V(auto) looks whether their config.php reads
        config.json.
    type: str
    default: auto
    choices: [auto, json, php]
"""

EXAMPLES = r"""
- name: Show the web root
  ansible.builtin.debug:
    msg: "{{ lookup('bookface.platform.application', source.location, source=source).root }}"
  vars:
    source: {type: path, location: /srv/bookface}
"""

RETURN = r"""
_raw:
  description: One dictionary.
  type: list
  elements: dict
  contains:
    root:
      description: Directory of the web root's files.
      type: str
    style:
      description: V(json) or V(php).
      type: str
    origin:
      description: Where the code comes from, for messages and labels. Without passwords.
      type: str
    withheld:
      description:
        - What lies in the web root of the source and is no part of the site, such as C(.git),
          C(.env), dumps, keys and backup files. It is neither copied nor served.
      type: list
      elements: str
    private:
      description: Regular expression for paths of such files, relative to the web root.
      type: str
    private_name:
      description: The same for the name of a file or directory.
      type: str
    denied:
      description:
        - The same for web servers, and for C(config.json).
        - It has neither quotes nor backslashes.
      type: str
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.bookface.platform.plugins.module_utils.web import published

# index.php, code/index.php, NAME/code/index.php
LEVELS = 3


def indexes(top: Path) -> Iterator[Path]:
    """Each index.php below C(top)."""
    for directory, children, files in os.walk(top):
        here = Path(directory)
        if "index.php" in files:
            yield here / "index.php"
        if len(here.relative_to(top).parts) + 1 >= LEVELS:
            children.clear()


def web_root(top: Path) -> Path | None:
    """Directory of the pages, or nothing if this is no bookface."""
    found = list(indexes(top))
    in_code = [path for path in found if path.parent.name == "code"]
    nearest = sorted(in_code or found, key=lambda path: (len(str(path)), str(path)))
    return nearest[0].parent if nearest else None


def style(root: Path) -> str:
    """Which configuration the pages read."""
    config = root / "config.php"
    return "json" if config.is_file() and b"config.json" in config.read_bytes() else "php"


def origin(source: dict[str, Any]) -> str:
    """The location as messages may show it: an address can have a password."""
    return re.sub("//[^/@]*@", "//", str(source.get("location", "")))


def application(directory: str, source: dict[str, Any], chosen: str) -> dict[str, Any]:
    """The pages in C(directory), which was made from C(source)."""
    root = web_root(Path(directory).expanduser()) if directory else None
    if root is None:
        raise AnsibleError(
            f"bookface_source ({source['type']} {origin(source)}) has no index.php at its top, in"
            " code/, or one directory below. Set it to a checkout of bookface or its flat web root."
        )
    return {
        "root": str(root),
        "style": style(root) if chosen == "auto" else chosen,
        "origin": origin(source),
        "withheld": published.withheld(root),
        "private": published.PATH,
        "private_name": f"(?i){published.NAME}$",
        "denied": published.DENIED,
    }


class LookupModule(LookupBase):  # type: ignore[misc]
    """The lookup as Ansible calls it."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, Any]]:
        """What is found in each directory."""
        self.set_options(var_options=variables, direct=kwargs)
        source, chosen = self.get_option("source"), self.get_option("config_style")
        return [application(term, source, chosen) for term in terms]
