# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failed reload has left paused, with a worker in memory and a clock that we turn."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.listeners import (
    ENOUGH,
    Worker,
    find_worker,
    resume,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.live import Deadline
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
)


class Fake:
    """A worker whose listeners are paused. ``silent``: so is its statistics socket."""

    def __init__(self, silent: bool, provable: bool = True, permitted: bool = True) -> None:
        self.time = 0.0
        self.paused = ["shop", "api"]
        self.silent = silent
        self.lost = False
        self.provable = provable
        self.permitted = permitted
        self.ends_at = 1000.0
        self.done: list[str] = []

    def request(self, path: str, command: str, seconds: float, _close: bool) -> str:
        self.time += 0.001
        if self.time >= self.ends_at:
            self.paused, self.silent = [], False
        if self.lost:
            raise HaproxyRuntimeError(path, command, "refused", "Connection refused")
        if path == "/stats" and self.silent:
            self.time += seconds
            raise HaproxyRuntimeError(path, command, "timeout", "no complete reply")
        words = command.removeprefix("@!7 ").split()
        if words[0] == "show":
            rows = [
                f"{name},FRONTEND,0,{'PAUSED' if name in self.paused else 'OPEN'}\n"
                for name in ("shop", "api", "closed")
            ]
            return "# pxname,svname,type,status\n" + "".join(rows)
        assert words[:2] == ["enable", "frontend"]
        if not self.permitted:
            return "Permission denied\n"
        self.done.append(f"{path} {words[2]}")
        self.paused.remove(words[2])
        return "\n"

    def signal(self) -> None:
        if not self.provable:
            raise HaproxyError("process 7 has another PID namespace")
        self.done.append("signal")
        self.paused, self.silent = [], False

    def sleep(self, seconds: float) -> None:
        self.time += max(seconds, 0.001)

    def run(self, master: bool = True, before: tuple[str, ...] = ()) -> str:
        worker = Worker(
            7,
            HaproxySocket("/stats", self.request),
            HaproxySocket("/master", self.request, close=True) if master else None,
            before,
            self.signal,
        )
        return str(resume(worker, Deadline(ENOUGH, lambda: self.time, self.sleep)))


def test_frontends_that_the_statistics_show() -> None:
    fake = Fake(silent=False)
    said = "clients of shop, api are accepted again, after the failed reload had paused them"
    assert fake.run() == said
    assert fake.done == ["/stats shop", "/stats api"]
    assert 4 < fake.time < 6


@pytest.mark.parametrize("master", [True, False])
def test_worker_that_is_silent_gets_the_signal(master: bool) -> None:
    fake = Fake(silent=True)
    names = "shop, api" if master else "all frontends"
    assert fake.run(master).startswith(f"clients of {names} are accepted again")
    assert fake.done == ["signal"]


def test_worker_elsewhere_is_resumed_through_its_master() -> None:
    fake = Fake(silent=True, provable=False)
    said = fake.run()
    assert "clients of shop, api are accepted again" in said
    assert "another PID namespace; restart HAProxy" in said
    assert fake.done == ["/master shop", "/master api"]


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("master", [True, False])
def test_nothing_can_resume_them(silent: bool, master: bool) -> None:
    fake = Fake(silent, provable=False, permitted=False)
    said = fake.run(master)
    assert "are REFUSED" in said
    assert "another PID namespace" in said
    # Nobody is asked if neither socket answers.
    assert ("Permission denied" in said) == (master or not silent)
    assert "restart HAProxy" in said
    assert fake.time < ENOUGH + 2


def test_socket_that_may_not_enable_frontends() -> None:
    """As with 'level operator': the signal needs no rights on the socket."""
    fake = Fake(silent=False, permitted=False)
    said = "clients of shop, api are accepted again, after the failed reload had paused them"
    assert fake.run(master=False) == said
    assert fake.done == ["signal"]


def test_what_was_paused_on_purpose_stays_paused() -> None:
    fake = Fake(silent=False)
    fake.run(before=("api",))
    assert (fake.done, fake.paused) == (["/stats shop"], ["api"])


@pytest.mark.parametrize("silent", [True, False])
def test_a_pause_that_haproxy_ends_itself_is_left_to_it(silent: bool) -> None:
    fake = Fake(silent)
    fake.ends_at = 2.0
    assert (fake.run(), fake.done) == ("", [])


def test_socket_that_is_lost() -> None:
    fake = Fake(silent=False)
    fake.lost = True
    said = fake.run()
    assert said.startswith("the statistics socket is lost (HAProxy does not answer on /stats")
    assert fake.time < 3


@pytest.mark.parametrize(
    ("silent", "worker"),
    [((), 9), (("/master",), 8), (("/stats",), 9), (("/master", "/stats"), 7)],
)
def test_the_worker_by_now(silent: tuple[str, ...], worker: int) -> None:
    def request(path: str, command: str, _seconds: float, _close: bool) -> str:
        if path in silent:
            raise HaproxyRuntimeError(path, command, "timeout", "no complete reply")
        if command == "show proc":
            return "#<PID> <type> <reloads>\n1 master 1\n# workers\n9 worker 0\n"
        return "Version: 2.6\nPid: 8\nUptime_sec: 1\n"

    stats, master = HaproxySocket("/stats", request), HaproxySocket("/master", request)
    assert find_worker(stats, master, 7) == worker
    assert find_worker(stats, None, 7) == (7 if "/stats" in silent else 8)
