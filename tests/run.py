#!/usr/bin/env python3
"""`make test`, and any part of it: `run.py --help`. What it does is in tests/runner/."""

from __future__ import annotations

import sys
from pathlib import Path

# As `python -m` has it: the project's root, from where all code of the tests is imported.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from tests.runner.command import main  # noqa: E402  (not found before)

if __name__ == "__main__":
    sys.exit(main())
