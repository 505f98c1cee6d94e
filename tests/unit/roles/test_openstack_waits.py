"""The waits of the role openstack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT

TASKS = sorted((ROOT / "roles/openstack/tasks").glob("*.yml"))


def waits(part: Any) -> list[dict[str, Any]]:
    """The tasks that are repeated, and that say themselves when they have failed."""
    if isinstance(part, list):
        return [task for one in part for task in waits(one)]
    if not isinstance(part, dict):
        return []
    here = [part] if {"until", "failed_when"} <= {*part} else []
    return here + [task for one in part.values() for task in waits(one)]


@pytest.mark.parametrize("file", TASKS, ids=lambda file: file.name)
def test_a_wait_that_took_too_long_is_left_to_the_next_task(file: Path) -> None:
    """A task that has used up its retries has failed, and failed_when does not change that."""
    for task in waits(yaml.safe_load(file.read_text())):
        name = task["register"]
        assert f"or {name}.attempts | default(1) > __openstack_retries" in task["until"]
        assert task["retries"] == "{{ __openstack_retries }}"


def test_there_are_waits() -> None:
    assert len([task for file in TASKS for task in waits(yaml.safe_load(file.read_text()))]) >= 2
