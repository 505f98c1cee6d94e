"""Links in a document root to the files of a release."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.web.links import Links

FILES = ["images/deep/logo.png", "index.php"]


@pytest.fixture
def links(tmp_path: Path) -> Links:
    """A release that is live, and a document root that does not exist yet."""
    (tmp_path / "first").mkdir()
    (tmp_path / "live").symlink_to("first")
    return Links(tmp_path / "html", tmp_path / "live")


def make(links: Links, files: list[str]) -> None:
    for name in links.missing(files, replace=True):
        links.add(name)


def test_links_follow_the_release_that_is_live(links: Links) -> None:
    mask = os.umask(0o077)
    try:
        make(links, FILES)
    finally:
        os.umask(mask)
    assert links.missing(FILES, replace=True) == links.stale(FILES) == []
    (links.release / "index.php").write_text("first")
    assert (links.root / "index.php").read_text() == "first"
    modes = {path.stat().st_mode & 0o777 for path in links.root.rglob("*") if path.is_dir()}
    assert modes | {links.root.stat().st_mode & 0o777} == {0o755}


def test_what_somebody_else_put_there_stays(links: Links) -> None:
    make(links, FILES)
    (links.root / "images/own.png").write_text("own")
    (links.root / "elsewhere").symlink_to("/nowhere")
    # As a run leaves it that was killed.
    (links.root / ".index.php.new").symlink_to(links.release / "index.php")
    assert links.stale(["index.php"]) == [".index.php.new", "images/deep/logo.png"]
    for name in links.stale(["index.php"]):
        links.remove(name)
    left = sorted(str(path.relative_to(links.root)) for path in links.root.rglob("*"))
    assert left == ["elsewhere", "images", "images/deep", "images/own.png", "index.php"]


def test_a_file_gives_way_on_demand_only(links: Links) -> None:
    links.root.mkdir()
    (links.root / "index.php").write_text("own")
    assert links.missing(FILES, replace=False) == ["images/deep/logo.png"]
    make(links, FILES)
    assert (links.root / "index.php").is_symlink()


def test_a_directory_behind_a_link_is_used(links: Links, tmp_path: Path) -> None:
    """Pictures on a disk of their own."""
    links.root.mkdir()
    (tmp_path / "disk").mkdir()
    (links.root / "images").symlink_to(tmp_path / "disk")
    assert links.obstacle(FILES) == ""
    make(links, FILES)
    assert links.missing(FILES, replace=True) == []
    assert (tmp_path / "disk/deep/logo.png").is_symlink()


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("index.php/own", "index.php is a directory, and the release has a file of that name"),
        ("images", "images is a file, and the release has a directory of that name"),
    ],
)
def test_what_cannot_give_way_is_named(links: Links, there: str, said: str) -> None:
    place = links.root / there
    place.parent.mkdir(parents=True)
    place.write_text("own")
    assert links.obstacle(FILES) == f"{links.root}/{said}"
