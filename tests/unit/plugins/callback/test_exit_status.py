"""The exit status that a playbook has set."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.executor.stats import AggregateStats
from ansible_collections.bookface.platform.plugins.callback.exit_status import CallbackModule


def stats(status: Any = None, failed: str = "", unreached: str = "") -> AggregateStats:
    made = AggregateStats()
    if status is not None:
        made.set_custom_stats("bookface_exit_status", status)
    if failed:
        made.increment("failures", failed)
    if unreached:
        made.increment("dark", unreached)
    return made


@pytest.mark.parametrize("status", [1, 2, "1"])
def test_the_status_that_was_set(status: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        CallbackModule().v2_playbook_on_stats(stats(status))
    assert ended.value.code == int(status)


@pytest.mark.parametrize(
    "given",
    [stats(), stats(0), stats(1, failed="localhost"), stats(1, unreached="web1")],
)
def test_otherwise_it_is_ansible_s(given: AggregateStats) -> None:
    """A fault cannot hide behind it."""
    CallbackModule().v2_playbook_on_stats(given)
