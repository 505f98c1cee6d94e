"""Tests that put load on something assert about lost requests: they have one try, by their mark."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# The load client, and what makes one.
LOAD = {"Load", "load"}
FILES = sorted(
    path.relative_to(ROOT)
    for pattern in ("tests/[eilop]*/**/test_*.py", "molecule/*/*/test_*.py")
    for path in ROOT.glob(pattern)
)


def unmarked(text: str) -> list[str]:
    """Tests that use the load client, or a function of their file that does, without the mark."""
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    uses = set(LOAD)
    while more := {f.name for f in functions if names(f) & uses} - uses:
        uses |= more
    return [
        function.name
        for function in functions
        if function.name.startswith("test_")
        and function.name in uses
        and "pytest.mark.load" not in [ast.unparse(one) for one in function.decorator_list]
    ]


def names(function: ast.FunctionDef) -> set[str]:
    """What a function mentions, its parameters and its own functions among it."""
    found = set()
    for node in ast.walk(ast.Module([*function.args.args, *function.body], [])):  # type: ignore[list-item]
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.FunctionDef):
            found.add(node.name)
    return found


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_test_under_load_is_marked(file: Path) -> None:
    found = unmarked((ROOT / file).read_text())
    assert not found, f"mark with @pytest.mark.load, so that none runs twice: {', '.join(found)}"


def test_load_is_seen_wherever_it_is_used() -> None:
    assert len(FILES) > 40
    text = """
def helper():
    with Load(["url"]): pass
def through(): helper()
def test_direct(): Load([])
def test_through(): through()
def test_fixture(load): pass
def test_method(site):
    with site.load(rate=3): pass
def test_inner():
    def load(): pass
@pytest.mark.load
@pytest.mark.parametrize("n", [1])
def test_marked(n): through()
def test_other(site): site.loaded()
"""
    expected = ["test_direct", "test_through", "test_fixture", "test_method", "test_inner"]
    assert unmarked(text) == expected
