"""The map in docs/architecture.md is true and complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = "docs/architecture.md"
WORD = re.compile(r"`([\w./-]+)`")
# A path among the words: with a slash, or a file's name; a bare suffix is none.
PATH = re.compile(r".*/.*|[\w-].*\.(?:py|yml|j2)")


def section(text: str) -> str:
    """The map alone."""
    found = re.search(r"^## Map$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, "no section Map"
    return found[1]


def named(text: str) -> list[tuple[str, str]]:
    """Each path that the map names, with the directory that its row is of."""
    found = []
    for line in section(text).splitlines():
        paths = [word for word in WORD.findall(line) if PATH.fullmatch(word)]
        row = paths[0] if line.startswith("| `") else ""
        found += [(row, path) for path in paths]
    return found


def missing(text: str, root: Path) -> list[str]:
    """Paths that exist neither at the root nor in the directory of their row."""
    return [
        path
        for row, path in named(text)
        if not (root / path).exists() and not (row and (root / row / path).exists())
    ]


def directories(root: Path) -> list[str]:
    """Those that the map must name."""
    parents = [root / "roles", root / "plugins", root / "plugins/module_utils"]
    return sorted(
        f"{path.relative_to(root)}/"
        for parent in parents
        for path in parent.iterdir()
        if path.is_dir() and path.name != "__pycache__"
    )


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / DOCUMENT).read_text()


def test_every_path_of_the_map_exists(text: str) -> None:
    assert len(named(text)) > 80
    gone = missing(text, ROOT)
    assert not gone, f"{DOCUMENT} names what does not exist: {', '.join(gone)}"


def test_every_directory_of_roles_and_plugins_is_named(text: str) -> None:
    left = sorted(set(directories(ROOT)) - {path for _, path in named(text)})
    assert not left, f"name in the map of {DOCUMENT}: {', '.join(left)}"


def test_the_walk_sees_what_is_wrong(tmp_path: Path) -> None:
    for path in ("roles/web/tasks/main.yml", "plugins/filter/x.py", "plugins/module_utils/y/z.py"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    text = """
## Map
| `plugins/filter/` | `x.py`, a `.yml` for each, `make docs`, `gone.py` |
| `roles/web/` | `tasks/main.yml` and `tasks/gone` |
Also `plugins/filter/x.py`, but `x.py` is not at the root.
## Other
`elsewhere/`
"""
    assert missing(text, tmp_path) == ["gone.py", "tasks/gone", "x.py"]
    assert directories(tmp_path) == [
        "plugins/filter/",
        "plugins/module_utils/",
        "plugins/module_utils/y/",
        "roles/web/",
    ]
