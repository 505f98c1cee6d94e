# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One digest for the content of files and directories on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tree_digest
author:
  - The bookface.platform authors (@bookface-platform)
short_description: One digest for the content of files and directories
version_added: 0.1.0
description:
  - The SHA-256 of all files below the given paths together.
  - Names relative to their path, content and the executable bit count. Owners and times do not.
  - So an image tagged with it keeps its tag exactly as long as its content.
options:
  _terms:
    description: Paths of files or directories on the controller.
    type: list
    elements: path
    required: true
  published:
    description:
      - Whether only files of a site count, without those that no client may read, such as C(.git),
        C(.env), dumps, keys and backup files.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Tag an image by what goes into it
  ansible.builtin.set_fact:
    tag: "{{ lookup('bookface.platform.tree_digest', 'code', 'Dockerfile')[:12] }}"
"""

RETURN = r"""
_raw:
  description: One digest, 64 hexadecimal digits.
  type: list
  elements: str
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.bookface.platform.plugins.module_utils.web.published import private


def files_below(path: Path) -> Iterator[Path]:
    """Files at or below C(path), in an order that is the same everywhere."""
    if not path.is_dir() or path.is_symlink():
        yield path
        return
    for child in sorted(path.iterdir(), key=lambda entry: entry.name):
        yield from files_below(child)


def tree_digest(paths: list[Path], *, published: bool = False) -> str:
    """SHA-256 over relative name, executable bit and content of every file below C(paths)."""
    total = hashlib.sha256()
    for path in paths:
        for file in files_below(path):
            name = file.relative_to(path).as_posix()
            if published and private(name):
                continue
            if file.is_symlink():
                kind, content = "link", str(file.readlink()).encode()
            else:
                kind = "run" if file.stat().st_mode & 0o100 else "file"
                content = file.read_bytes()
            # A digest of fixed length per part: no two trees can give the same stream.
            for part in (kind.encode(), name.encode(), content):
                total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


class LookupModule(LookupBase):  # type: ignore[misc]
    """The lookup as Ansible calls it."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        """The digest of all C(terms) together."""
        self.set_options(var_options=variables, direct=kwargs)
        paths = [Path(term) for term in terms]
        for path in paths:
            if not path.exists():
                raise AnsibleError(f"tree_digest: {path} does not exist on the controller.")
        return [tree_digest(paths, published=self.get_option("published"))]
