"""The number of tasks follows the load of the swarm, and nobody loses a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.commands import Run
from tests.support.load import Load
from tests.support.platform import Platform
from tests.support.waiting import until

# Few requests require three tasks, and at once fewer are enough.
SETTINGS: dict[str, Any] = {
    "swarm_replicas_max": 3,
    "swarm_autoscale_requests": 4,
    "swarm_autoscale_up_after": 0,
    "swarm_autoscale_down_after": 0,
}


def look(platform: Platform, *options: str, **changes: Any) -> Run:
    settings = ("-e", json.dumps({**SETTINGS, **changes}))
    return platform.playbook("playbooks/autoscale.yml", *settings, *options)


def tasks(platform: Platform) -> tuple[int, int]:
    """How many run, and how many there are to be."""
    listed = platform.node(
        "swarm1", "docker service ls --filter name=bookface --format '{{.Replicas}}'"
    )
    running, wanted = listed.split()[0].split("/")
    return int(running), int(wanted)


@pytest.mark.load
def test_tasks_follow_the_requests(platform: Platform) -> None:
    assert platform.switch("swarm").code == 0
    assert tasks(platform) == (2, 2)
    # The look that the next one is compared with. After an update it waits for a minute.
    until(lambda: "update" not in look(platform).ok().text, "the last update to be over", 120)
    with Load([platform.url], clients=6, rate=25, expect="Users:") as load:
        load.wait_for(150, seconds=60)
        output = look(platform, "--check").ok().text
        assert "2 tasks → 3: " in output
        assert tasks(platform) == (2, 2)
        look(platform).ok()
        until(lambda: tasks(platform) == (3, 3), "the third task")
        # A run of the role leaves what was chosen, within the bounds.
        platform.playbook(
            "deploy.yml", "--limit", "swarm_managers:swarm_workers", "-e", json.dumps(SETTINGS)
        ).ok()
        assert tasks(platform) == (3, 3)
        load.wait_for(load.requests + 100, seconds=60)
        look(platform, swarm_autoscale_requests=1000).ok()
        until(lambda: tasks(platform) == (2, 2), "two tasks")
        load.wait_for(load.requests + 100, seconds=60)
    assert load.summary.failed == 0, load.summary.as_text()
    assert set(load.summary.by_server) == {"swarm1", "swarm2", "swarm3"}


def test_what_cannot_be_scaled_is_said(platform: Platform) -> None:
    refused = look(platform, swarm_replicas_max=2)
    assert refused.code != 0
    assert "swarm_replicas_max is 2; expected more than swarm_replicas, which is 2" in refused.text
    refused = look(platform, swarm_service="nosuch")
    assert refused.code != 0
    assert "The swarm has no service nosuch. Run the role swarm first" in refused.text
