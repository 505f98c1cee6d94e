"""What the bench of the image builds from, and what it makes of its figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import image


def seen(factor: float) -> image.Seen:
    """Figures that are so many times those of another."""
    pages = (image.FRONT, image.PROFILE, image.PICTURE)
    return image.Seen(
        megabytes=100 * factor,
        build={"cold": 60 * factor, "warm": 2 * factor},
        start=[1 * factor, 2 * factor, 9 * factor],
        idle=[50 * factor],
        busy=[80 * factor],
        rate={page: [100 * factor, 120 * factor] for page in pages},
        p95={page: [10 * factor] for page in pages},
    )


def test_only_the_default_is_judged() -> None:
    rows = image.rows_of(image.OURS, seen(0.2), seen(1))
    assert {row.what: row.met for row in rows if row.target} == {
        "size": False,
        "start to first healthy answer": True,
        "idle memory": True,
        "requests/s: front page": False,
        "requests/s: profile": False,
        "requests/s: picture": False,
    }
    assert all(row.ratio == pytest.approx(0.2) for row in rows)
    others = image.rows_of("nginx-slim", seen(0.2), seen(1))
    assert [row.what for row in others] == [f"nginx-slim: {row.what}" for row in rows]
    assert {row.target for row in others} == {None}


@pytest.mark.parametrize("way", image.WAYS)
def test_all_that_the_build_copies_is_gathered(way: str, tmp_path: Path) -> None:
    arguments = image.gather(way, tmp_path)
    text = (tmp_path / "Dockerfile").read_text()
    sources = [words.split()[:-1] for words in re.findall(r"^COPY (?!--from)(.*)$", text, re.M)]
    assert sources
    for source in (name for names in sources for name in names):
        assert (tmp_path / source).exists(), source
    known = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    assert set(arguments) < known
    # A site's own configuration would be inside for good.
    config = tmp_path / "code" / "config.json"
    assert config.is_symlink() if way != image.OTHER else not config.exists()
