# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits and retries against an HAProxy that plays every trick, with a clock that we turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_live import (
    Deadline,
    LiveError,
    mirror,
    observe,
    reload_by_command,
    reload_by_master,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
    Info,
)


class Fake:
    """A master and its worker in memory. ``before`` runs ahead of each command."""

    def __init__(self) -> None:
        self.worker = 100
        self.stats_worker: int | None = None
        self.entries: list[str] = []
        self.reloads = 0
        self.failed = 0
        self.asked: list[str] = []
        self.before: Callable[[str], str | None] = lambda _command: None
        self.time = 0.0
        self.known = True

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += max(seconds, 0.001)

    def deadline(self, seconds: float = 1.0) -> Deadline:
        return Deadline(seconds, self.now, self.sleep)

    def new_worker(self) -> None:
        self.worker += 1
        self.reloads += 1
        self.entries = []

    def request(self, path: str, command: str, _seconds: float, _close: bool) -> str:
        self.asked.append(command)
        self.time += 0.001
        answer = self.before(command)
        if answer is not None:
            return answer
        pid = self.stats_worker or self.worker
        words = command.split()
        if command == "show info":
            return f"Version: 2.6\nPid: {pid}\nUptime_sec: 1\nStart_time_sec: {pid}\n"
        if command == "show stat":
            return "# pxname,svname,type,\nf,FRONTEND,0,\n"
        if command == "show proc":
            return (
                f"#<PID> <type> <reloads>\n1 master {self.reloads} [failed: {self.failed}]\n"
                f"# workers\n{self.worker} worker 0\n"
            )
        if words[:2] == ["show", "map"]:
            if not self.known:
                return "Unknown map identifier. Please use #<id> or <file>.\n"
            return "".join(f"0x{n} f {value}\n" for n, value in enumerate(self.entries)) + "\n"
        if words[:2] == ["add", "map"]:
            self.entries.append(words[4])
            return "\n"
        if words[:2] == ["set", "map"]:
            if not self.entries:
                return "entry not found.\n"
            self.entries = [words[4]] * len(self.entries)
            return "\n"
        raise AssertionError(f"{path}: {command}")

    @property
    def stats(self) -> HaproxySocket:
        return HaproxySocket("/stats", self.request)

    @property
    def master(self) -> HaproxySocket:
        return HaproxySocket("/master", self.request, close=True)


@pytest.fixture
def fake() -> Fake:
    return Fake()


def write(fake: Fake, seconds: float = 1.0, master: bool = True) -> int:
    asked = mirror(
        fake.stats, fake.master if master else None, "/m", "f", "docker", fake.deadline(seconds)
    )
    assert asked.info.pid == fake.worker
    return asked.attempts


def fails(command: str, reason: str, times: int) -> Callable[[str], str | None]:
    left = [times]

    def before(asked: str) -> str | None:
        if asked.startswith(command) and left[0]:
            left[0] -= 1
            raise HaproxyRuntimeError("/s", asked, reason, reason)
        return None

    return before


def test_add_then_set(fake: Fake) -> None:
    assert write(fake) == 1
    assert "add map /m f docker" in fake.asked
    fake.entries = ["legacy", "legacy"]
    assert write(fake) == 1
    assert fake.entries == ["docker", "docker"]
    assert fake.asked.index("show proc") == 0


@pytest.mark.parametrize("master", [True, False])
def test_a_worker_replaced_during_the_write_is_written_again(fake: Fake, master: bool) -> None:
    done = []

    def before(command: str) -> None:
        if command.startswith("add map") and not done:
            done.append(True)
            fake.new_worker()
            fake.worker += 0
        # The write goes to whoever is there; the new worker comes right after it.

    def after_write(command: str) -> None:
        if command == "show info" and fake.entries and not done:
            done.append(True)
            fake.new_worker()

    for hook in (before, after_write):
        fake.before = hook
        done.clear()
        fake.entries = []
        assert write(fake, master=master) == 2
        assert fake.entries == ["docker"]


def test_a_young_worker_that_does_not_answer_yet_is_waited_for(fake: Fake) -> None:
    """It has perhaps read the old file: writing to its predecessor would be lost."""
    fake.stats_worker = 99

    def before(command: str) -> None:
        if fake.time > 0.3:
            fake.stats_worker = None
        assert fake.stats_worker is None or "map" not in command

    fake.before = before
    assert write(fake) > 2


def test_a_master_that_refuses_is_reloading(fake: Fake) -> None:
    fake.before = fails("show proc", "refused", 3)
    assert write(fake) == 4
    fake.before = fails("add map", "reset", 1)
    fake.entries = []
    assert write(fake) == 2
    fake.before = fails("show proc", "refused", 10_000)
    with pytest.raises(LiveError, match=r"within 1 s .* attempts\); last: .*refused"):
        write(fake)
    assert fake.time < 3


def test_without_a_master_the_worker_is_watched(fake: Fake) -> None:
    def before(command: str) -> None:
        if fake.time > 0.3 and fake.worker == 100:
            fake.new_worker()

    fake.before = before
    done = mirror(fake.stats, None, "/m", "f", "docker", fake.deadline(2), 0.5)
    assert (done.info.pid, done.attempts, fake.entries) == (101, 2, ["docker"])
    # The watch begins anew with the new worker, and ends with the deadline at the latest.
    assert 0.8 < fake.time < 1.2
    fake.time = 0.0
    mirror(fake.stats, None, "/m", "f", "docker", fake.deadline(0.2), 5)
    assert fake.time < 0.4
    fake.time = 0.0
    mirror(fake.stats, fake.master, "/m", "f", "docker", fake.deadline(2), 0.5)
    assert fake.time < 0.1


def test_an_entry_taken_away_between_look_and_write(fake: Fake) -> None:
    fake.entries = ["legacy"]

    def before(command: str) -> None:
        if command.startswith("set map") and fake.entries == ["legacy"]:
            fake.entries = []

    fake.before = before
    assert write(fake) == 2
    assert fake.entries == ["docker"]


def test_an_entry_that_does_not_stay(fake: Fake) -> None:
    def before(command: str) -> None:
        if command.startswith("show map"):
            fake.entries = ["legacy"]

    fake.before = before
    with pytest.raises(LiveError, match="read back legacy instead of docker"):
        write(fake, 0.2)


def test_refusals_are_not_repeated(fake: Fake) -> None:
    fake.before = lambda command: "Permission denied\n" if command.startswith("add") else None
    with pytest.raises(HaproxyRuntimeError, match="Permission denied"):
        write(fake)
    assert len([c for c in fake.asked if c.startswith("add")]) == 1
    fake.before = lambda _command: None
    fake.known = False
    with pytest.raises(LiveError, match="does not know the map") as error:
        write(fake)
    assert error.value.settled


def test_observe_one_worker(fake: Fake) -> None:
    seen = observe(fake.stats, fake.master, "/m", "f", fake.deadline())
    assert (seen.info.pid, seen.entries, seen.stat.frontends) == (100, (), ("f",))
    assert observe(fake.stats, None, None, "f", fake.deadline()).entries is None
    fake.known = False
    assert observe(fake.stats, None, "/m", "f", fake.deadline()).entries is None


def test_observe_again_when_the_worker_changes(fake: Fake) -> None:
    done = []

    def before(command: str) -> None:
        if command == "show stat" and not done:
            done.append(True)
            fake.new_worker()

    fake.before = before
    seen = observe(fake.stats, fake.master, "/m", "f", fake.deadline())
    assert seen.info.pid == 101


def test_observe_is_bounded_and_says_what_it_saw(fake: Fake) -> None:
    fake.before = fails("show info", "absent", 1)
    with pytest.raises(HaproxyRuntimeError, match="absent"):
        observe(fake.stats, None, None, "f", fake.deadline())
    fake.before = lambda _command: None
    fake.stats_worker = 7
    with pytest.raises(LiveError, match=r"process 7, .* youngest worker is 100"):
        observe(fake.stats, fake.master, None, "f", fake.deadline())


def reloading(fake: Fake, reply: str, works: bool = True) -> None:
    def before(command: str) -> str | None:
        if command == "reload":
            if works:
                fake.new_worker()
            return reply
        return None

    fake.before = before


@pytest.mark.parametrize("reply", ["", "Success=1\n--\n[NOTICE] fine\n"])
def test_reload(fake: Fake, reply: str) -> None:
    reloading(fake, reply)
    done = reload_by_master(fake.master, fake.stats, fake.deadline())
    assert done.info.pid == 101
    assert done.output == reply.strip()


def test_reload_refused_by_a_master_that_tells(fake: Fake) -> None:
    reloading(fake, "Success=0\n--\n[ALERT] no port\n", works=False)
    with pytest.raises(LiveError, match="no port") as error:
        reload_by_master(fake.master, fake.stats, fake.deadline())
    assert error.value.settled
    reloading(fake, "Permission denied\n", works=False)
    with pytest.raises(LiveError, match="Permission denied"):
        reload_by_master(fake.master, fake.stats, fake.deadline())


def test_reload_that_fails_later(fake: Fake) -> None:
    def before(command: str) -> str | None:
        if command == "reload":
            fake.reloads += 1
            fake.failed += 1
            return ""
        return None

    fake.before = before
    with pytest.raises(LiveError, match="worker 100 goes on with the old one") as error:
        reload_by_master(fake.master, fake.stats, fake.deadline())
    assert error.value.settled


def test_an_earlier_failure_is_not_ours(fake: Fake) -> None:
    fake.failed = 1
    fake.reloads = 4

    def before(command: str) -> str | None:
        if command == "reload":
            raise HaproxyRuntimeError("/master", command, "reset", "reset by peer")
        if fake.time > 0.2 and fake.reloads == 4:
            fake.failed = 0
            fake.new_worker()
        return None

    fake.before = before
    assert reload_by_master(fake.master, fake.stats, fake.deadline()).info.pid == 101


def test_reload_without_end(fake: Fake) -> None:
    reloading(fake, "", works=False)
    with pytest.raises(LiveError, match="within 1 s; last: the youngest worker is still 100") as e:
        reload_by_master(fake.master, fake.stats, fake.deadline())
    assert not e.value.settled
    assert fake.time < 2


def test_reload_by_command(fake: Fake) -> None:
    before = Info("2.6", 100, 100, 1)

    def good() -> tuple[int, str]:
        fake.new_worker()
        return 0, "done"

    done = reload_by_command(good, fake.stats, before, fake.deadline())
    assert (done.info.pid, done.output) == (101, "done")
    now = done.info
    with pytest.raises(LiveError, match="status 1: no unit") as error:
        reload_by_command(lambda: (1, "no unit"), fake.stats, now, fake.deadline())
    assert error.value.settled
    with pytest.raises(LiveError, match="worker 101 still answers") as error:
        reload_by_command(lambda: (0, ""), fake.stats, now, fake.deadline())
    assert not error.value.settled
