# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A text file of the system's, read, or replaced as one step."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule


def read(path: Path) -> str:
    """The text of a file, empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def put(module: AnsibleModule, path: Path, text: str) -> None:
    """Write the text; the mode stays, a new file may be read by all."""
    handle, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
    module.atomic_move(temporary, str(path))
    path.chmod(mode)
