# SPDX-License-Identifier: GPL-3.0-or-later
"""The reload and file engines."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Lab


@pytest.fixture
def plain(stopped: Lab) -> Lab:
    """A configuration without the map rule, as other people write it."""
    stopped.config.write_text(stopped.text(rule=False))
    stopped.start()
    return stopped


@pytest.mark.parametrize("engine", ["auto", "reload"])
def test_check_then_real_then_repeat(plain: Lab, engine: str) -> None:
    lab = plain
    worker = lab.pid()
    checked = lab.switch("docker", check=True, engine=engine)
    assert (checked["changed"], checked["engine"], checked["action"]) == (True, "reload", "reload")
    assert lab.config.read_text() == lab.text(rule=False)
    assert (lab.traffic(), lab.pid()) == ("legacy", worker)

    done = lab.switch("docker", engine=engine)
    assert (done["changed"], done["previous_backend"], done["map"]) == (True, "legacy", None)
    assert done["worker"]["pid"] == lab.pid() != worker
    assert lab.config.read_text() == lab.text(rule=False, default="docker")
    assert lab.traffic() == "docker"

    worker = lab.pid()
    for check in (False, True):
        again = lab.switch("docker", check=check, engine=engine)
        assert (again["changed"], again["action"]) == (False, "nothing")
    assert lab.pid() == worker


def test_by_signal_without_a_master_socket(plain: Lab) -> None:
    done = plain.switch("docker", master_socket="")
    assert (done["changed"], done["action"]) == (True, "reload")
    assert plain.traffic() == "docker"


def test_edit_by_hand_without_reload_is_brought_live(plain: Lab) -> None:
    lab = plain
    lab.until(lambda: lab.stats.info(5).uptime >= 2, "a worker older than the edit")
    lab.config.write_text(lab.text(rule=False, default="docker"))
    assert lab.traffic() == "legacy"
    done = lab.switch("docker")
    assert (done["changed"], done["action"], done["validator"]) == (True, "reload", "")
    assert lab.traffic() == "docker"
    assert lab.switch("docker")["changed"] is False


def test_auto_reloads_where_the_worker_has_not_read_the_rule(plain: Lab) -> None:
    lab = plain
    lab.config.write_text(lab.text())
    refused = lab.switch("docker", engine="runtime")
    assert "has not loaded the map" in refused["msg"]
    assert lab.config.read_text() == lab.text()
    done = lab.switch("docker")
    assert done["engine"] == "reload"
    assert "has not loaded the map" in done["reason"]
    assert lab.traffic() == "docker"
    # From now on the worker knows the map.
    assert lab.switch("legacy", require_healthy=0)["engine"] == "runtime"
    assert lab.traffic() == "legacy"


def test_reload_engine_beats_a_live_entry(lab: Lab) -> None:
    assert lab.switch("docker", engine="runtime")["changed"] is True
    done = lab.switch("legacy", engine="reload")
    assert (done["action"], done["previous_backend"]) == ("reload", "docker")
    assert lab.entry() == ()
    assert lab.traffic() == "legacy"


def test_failing_reload_puts_the_old_file_back(plain: Lab) -> None:
    """The configuration is valid, but a port that it wants is taken: only the reload shows it."""
    lab = plain
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        extra = f"frontend more\n    bind 127.0.0.1:{port}\n    default_backend legacy\n"
        text = lab.text(rule=False, extra=extra)
        lab.config.write_text(text)
        lab.config.chmod(0o604)
        worker = lab.pid()
        failed = lab.switch("docker", wait=20)
    assert failed["failed"] is True
    assert "could not be switched to docker" in failed["msg"]
    assert "was restored" in failed["msg"]
    assert "HAProxy continues with its old configuration" in failed["msg"]
    assert "run the task again" in failed["msg"]
    assert lab.config.read_text() == text
    assert lab.config.stat().st_mode & 0o777 == 0o604
    assert lab.files() == ["haproxy.cfg"]
    lab.until(lambda: lab.answers() == worker, "the old worker again")
    assert lab.traffic() == "legacy"
    # The cause is gone: the same task works.
    assert lab.switch("docker")["changed"] is True
    assert lab.traffic() == "docker"


def test_file_engine_on_a_stopped_haproxy(stopped: Lab) -> None:
    lab = stopped
    checked = lab.switch("docker", check=True, engine="file")
    assert (checked["changed"], lab.config.read_text()) == (True, lab.text())
    done = lab.switch("docker", engine="file")
    assert (done["changed"], done["worker"], done["servers"]) == (True, None, [])
    assert lab.config.read_text() == lab.text(default="docker")
    assert lab.switch("docker", engine="file")["changed"] is False
    lab.start()
    assert lab.traffic() == "docker"


def test_file_engine_leaves_a_running_haproxy_alone(lab: Lab) -> None:
    worker = lab.pid()
    assert lab.switch("docker", engine="file")["changed"] is True
    assert (lab.pid(), lab.entry(), lab.traffic()) == (worker, (), "legacy")
