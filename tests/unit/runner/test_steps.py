"""The steps leave out no test."""

from __future__ import annotations

from collections import Counter

from tests.runner.steps import ON_DEMAND, ROOT, STEPS

# Molecule's playbooks run these.
BY_SCENARIOS = {"e2e", "levers", "platform"}


def test_every_test_is_in_one_step() -> None:
    named = [
        path for step in STEPS + ON_DEMAND for path in step.command if path.startswith("tests")
    ]
    files = [
        path.relative_to(ROOT)
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.relative_to(ROOT / "tests").parts[0] not in BY_SCENARIOS
    ]
    found = {str(file): [path for path in named if file.is_relative_to(path)] for file in files}
    assert len(found) > 100
    assert Counter(map(len, found.values())) == {1: len(found)}, {
        file: paths for file, paths in found.items() if len(paths) != 1
    }
