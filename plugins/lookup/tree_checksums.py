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
  - All files below a directory of the controller, for the filter
    P(bookface.platform.tree_changes#filter).
options:
  _terms:
    description: Directories on the controller.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: Show the files
  ansible.builtin.debug:
    msg: "{{ lookup('bookface.platform.tree_checksums', 'code') }}"
"""

RETURN = r"""
_raw:
  description:
    - For each directory, SHA-1 checksums by the file's name relative to it.
    - Links have the text C(link) instead of a checksum.
  type: list
  elements: dict
"""

import hashlib
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.bookface.platform.plugins.lookup.tree_digest import files_below


def tree_checksums(top: Path) -> dict[str, str]:
    """Checksums as the modules find and copy know them."""
    return {
        str(path.relative_to(top)): "link"
        if path.is_symlink()
        else hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
        for path in files_below(top, [])
    }


class LookupModule(LookupBase):  # type: ignore[misc]
    """The lookup as Ansible calls it."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, str]]:
        """The files of each directory."""
        self.set_options(var_options=variables, direct=kwargs)
        return [tree_checksums(Path(term)) for term in terms]
