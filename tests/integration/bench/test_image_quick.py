"""The bench of the image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.engine import see_it_run

if TYPE_CHECKING:
    from conftest import Quick

PAGES = ("front page", "profile", "picture")
OF_ONE = {
    "size",
    "build: cold",
    "build: warm",
    "start to first healthy answer",
    "idle memory",
    "memory under load",
    *(f"{figure}: {page}" for figure in ("requests/s", "p95") for page in PAGES),
}
POOLER = "picture with pooler: requests/s / without"
ROLLED = "rolling replacement: failed requests"
JUDGED = {
    "size",
    "start to first healthy answer",
    "idle memory",
    *(f"requests/s: {page}" for page in PAGES),
    POOLER,
    ROLLED,
}
TOLD = {
    *(OF_ONE - JUDGED),
    *(f"apache-slim: {what}" for what in OF_ONE),
    "start of a container, nothing of a site in it",
}


@pytest.mark.load
def test_quick_writes_every_row(quick: Quick, tmp_path: Path) -> None:
    see_it_run(tmp_path)
    rows = quick("image", {"apache", "debian", "docker", "postgresql"}, JUDGED, TOLD)
    # Neither a time nor chance: what the image exists for, even against one without recommends.
    assert rows["size"]["met"]
    assert rows[ROLLED]["met"], rows[ROLLED]
    assert rows["apache-slim: size"]["ours"] > 3 * rows["size"]["ours"]
