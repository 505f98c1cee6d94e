"""Which files are copied, as the modules find and copy see them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.filter.tree_changes import tree_changes
from ansible_collections.bookface.platform.plugins.lookup.tree_checksums import tree_checksums

INTO = "/var/www/html"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "js").mkdir()
    (tmp_path / "js/app.js").write_text("one")
    (tmp_path / "index.php").write_text("two")
    return tmp_path


def found(tree: Path, **changes: Any) -> list[dict[str, Any]]:
    """What the module find returns for a copy of the tree."""
    return [
        {
            "path": f"{INTO}/{path.relative_to(tree)}",
            "checksum": hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest(),
            "mode": "0644",
            "uid": 0,
            "gid": 0,
        }
        | (changes if path.name == "index.php" else {})
        for path in tree.rglob("*")
        if path.is_file()
    ]


def test_a_copy_has_no_changes_whatever_else_is_there(tree: Path) -> None:
    others = [
        {"path": f"{INTO}/own.html", "checksum": "0", "mode": "0600", "uid": 7, "gid": 7},
        {
            "path": "/usr/local/share/x/live.php",
            "checksum": "0",
            "mode": "0644",
            "uid": 0,
            "gid": 0,
        },
    ]
    assert tree_changes(tree_checksums(tree), found(tree) + others, INTO) == []
    assert tree_changes(tree_checksums(tree), found(tree) + others, f"{INTO}/") == []


@pytest.mark.parametrize(
    "change",
    [{"checksum": "0"}, {"mode": "0664"}, {"uid": 33}, {"gid": 33}, {"path": "/x/index.php"}],
)
def test_what_differs_is_copied(tree: Path, change: dict[str, Any]) -> None:
    assert tree_changes(tree_checksums(tree), found(tree, **change), INTO) == ["index.php"]


def test_an_empty_directory_gets_everything(tree: Path) -> None:
    assert sorted(tree_changes(tree_checksums(tree), [], INTO)) == ["index.php", "js/app.js"]


def test_a_link_is_copied_as_what_it_leads_to(tree: Path) -> None:
    (tree / "start.php").symlink_to("index.php")
    assert tree_changes(tree_checksums(tree), found(tree), INTO) == []
    (tree / "start.php").unlink()
    (tree / "start.php").symlink_to("../elsewhere.php")
    (tree.parent / "elsewhere.php").write_text("three")
    old = [file for file in found(tree) if not file["path"].endswith("start.php")]
    assert tree_changes(tree_checksums(tree), old, INTO) == ["start.php"]


def test_what_no_client_may_read_is_not_copied(tree: Path) -> None:
    (tree / ".git").mkdir()
    for name in (".git/config", ".env", "dump.sql"):
        (tree / name).write_text("secret")
    assert sorted(tree_changes(tree_checksums(tree), [], INTO)) == ["index.php", "js/app.js"]
