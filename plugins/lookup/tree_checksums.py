# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a directory on the controller with their checksums."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tree_checksums
author:
  - The bookface.platform authors (@bookface-platform)
short_description: Files of a directory with their checksums
version_added: 0.1.0
description:
  - The files of a site below a directory of the controller, for the filter
    P(bookface.platform.tree_changes#filter). Links are followed.
  - What no client may read is left out, such as C(.git), C(.env), dumps, keys and backup files, and
    so are links to it.
options:
  _terms:
    description: Directories on the controller.
    type: list
    elements: path
    required: true
  private:
    description: What is otherwise left out, and nothing else.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show the files
  ansible.builtin.debug:
    msg: "{{ lookup('bookface.platform.tree_checksums', 'code') }}"
"""

RETURN = r"""
_raw:
  description: For each directory, SHA-1 checksums by the file's name relative to it.
  type: list
  elements: dict
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.bookface.platform.plugins.module_utils.web.published import (
    published,
    withheld,
)


def _private(top: Path) -> Iterator[str]:
    for name in withheld(top):
        # Of a link to a directory, too: it was followed once.
        for place in (top / name).rglob("*") if (top / name).is_dir() else [top / name]:
            if place.is_file():
                yield place.relative_to(top).as_posix()


def tree_checksums(top: Path, *, private: bool = False) -> dict[str, str]:
    """Checksums as the modules find and copy know them."""
    names = list(_private(top)) if private else published(top)
    return {
        name: hashlib.sha1((top / name).read_bytes(), usedforsecurity=False).hexdigest()
        for name in names
    }


class LookupModule(LookupBase):  # type: ignore[misc]
    """The lookup as Ansible calls it."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, str]]:
        """The files of each directory."""
        self.set_options(var_options=variables, direct=kwargs)
        private = self.get_option("private")
        return [tree_checksums(Path(term), private=private) for term in terms]
