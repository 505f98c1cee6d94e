"""heal.yml as a user runs it: it says what is broken, mends it, and then has nothing to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Run
from tests.support.platform import Platform
from tests.support.waiting import until

# Host → what stops a part of it, what starts it again, and what says that it runs.
BROKEN = {
    "lb1": ("systemctl stop haproxy", "systemctl start haproxy", "systemctl is-active haproxy"),
    "db1": (
        "systemctl stop 'postgresql@*'",
        "systemctl start postgresql",
        "pg_lsclusters --no-header | awk '{print $4}'",
    ),
    "docker1": (
        "docker stop bookface-web-1",
        "docker start bookface-web-1",
        "docker ps | grep -cw bookface-web-1",
    ),
    # Its socket would start it at the next question.
    "swarm2": (
        "systemctl stop docker.socket docker",
        "systemctl start docker",
        "systemctl is-active docker",
    ),
}
RUNS = {"active", "1", "online"}


class Heal:
    """The playbook on the lab, with files of its own."""

    def __init__(self, platform: Platform, directory: Path) -> None:
        self.platform = platform
        self.report_file = directory / "report.json"
        self.settings = (
            "-e",
            f"heal_state_file={directory / 'tries.json'}",
            "-e",
            f"heal_report_file={self.report_file}",
        )

    def run(self, *arguments: str) -> tuple[Run, dict[str, Any]]:
        self.report_file.unlink(missing_ok=True)
        done = self.platform.playbook("heal.yml", *self.settings, *arguments)
        report: dict[str, Any] = json.loads(self.report_file.read_text())
        assert report["exit_status"] == done.code, done.output
        return done, report


def states(platform: Platform) -> dict[str, bool]:
    """Whether each part runs, by its host."""
    return {
        host: platform.node(host, f"{asked}; true").split()[0] in RUNS
        for host, (_stop, _start, asked) in BROKEN.items()
    }


@pytest.fixture
def heal(platform: Platform, tmp_path: Path) -> Iterator[Heal]:
    """Whatever becomes of the test, the lab is whole after it."""
    yield Heal(platform, tmp_path)
    for host, (_stop, start, _asked) in BROKEN.items():
        platform.node(host, f"{start}; true")


def test_what_is_stopped_runs_again_and_the_next_run_has_nothing_to_do(
    platform: Platform, heal: Heal
) -> None:
    # Other tests may have left checks that have not ended yet.
    until(lambda: heal.run()[1]["status"] == "healthy", "a platform that is healthy")
    for host, (stop, _start, _asked) in BROKEN.items():
        platform.node(host, stop)
    assert states(platform) == dict.fromkeys(BROKEN, False)

    checked, told = heal.run("--check")
    assert checked.code == 2
    wanted = {part["id"] for part in told["parts"] if part["wanted"]}
    assert {part.split("/")[0] for part in wanted} == {*BROKEN}
    assert not any(part["action"] for part in told["parts"])
    # What it would do it has not done, not even by asking.
    assert states(platform) == dict.fromkeys(BROKEN, False)

    done, mended = heal.run()
    assert done.code == 1, done.output
    assert {part["id"] for part in mended["parts"] if part["action"] == "started"} == wanted
    assert {part["state"] for part in mended["parts"]} == {"up"}
    assert states(platform) == dict.fromkeys(BROKEN, True)
    assert platform.backend() == mended["active"]["lb1"]

    again, healthy = heal.run()
    assert (again.code, healthy["status"]) == (0, "healthy"), again.output
    assert not any(again.changed.values())
