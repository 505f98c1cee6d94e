"""Where things are in the project."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "roles"
COLLECTIONS = ROOT / ".ansible" / "collections"
# For programs: some are in directories that only root's PATH has.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
