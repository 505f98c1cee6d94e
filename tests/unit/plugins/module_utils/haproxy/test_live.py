# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits and retries against an HAProxy that plays every trick, with a clock that we turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.live import (
    Deadline,
    LiveError,
    ProcessesError,
    find_master,
    mirror,
    observe,
    reload_by_command,
    reload_by_master,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.process import UnprovedError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
    Info,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.shift import (
    Shift,
    wanted_entries,
)

DOCKER = (("f", "docker"),)
BACKENDS = ("docker", "legacy", "canary")


class Fake:
    """A master and its worker in memory. ``before`` runs ahead of each command."""

    def __init__(self) -> None:
        self.worker = 100
        self.stats_worker: int | None = None
        self.map: list[tuple[str, str]] = []
        self.reloads = 0
        self.failed = 0
        self.asked: list[str] = []
        self.before: Callable[[str], str | None] = lambda _command: None
        self.time = 0.0
        self.known = True

    @property
    def entries(self) -> list[str]:
        return [value for key, value in self.map if key == "f"]

    @entries.setter
    def entries(self, values: list[str]) -> None:
        self.map = [("f", value) for value in values]

    def now(self) -> float:
        return self.time

    def wall_clock(self) -> float:
        """Worker 100 begins at 100 seconds since 1970, worker 101 at 101."""
        return 100.0 + self.time

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
            return "".join(f"0x{n} {k} {v}\n" for n, (k, v) in enumerate(self.map)) + "\n"
        if words[:2] == ["add", "map"]:
            self.map.append((words[3], words[4]))
            return "\n"
        if words[:2] in (["set", "map"], ["del", "map"]):
            if words[3] not in dict(self.map):
                return "entry not found.\n"
            kept = [(key, value) for key, value in self.map if key != words[3]]
            changed = [
                (key, words[4]) for key, _value in self.map if words[0] == "set" and key == words[3]
            ]
            self.map = kept + changed
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
        fake.stats, fake.master if master else None, "/m", "f", DOCKER, fake.deadline(seconds)
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


def test_several_processes_are_refused(fake: Fake) -> None:
    info = "Version: 2.4\nPid: 100\nUptime_sec: 1\nNbproc: 2\nProcess_num: 1\n"
    fake.before = lambda command: info if command == "show info" else None
    with pytest.raises(ProcessesError, match=r"2 processes \(nbproc\)") as error:
        observe(fake.stats, None, "/m", "f", fake.deadline(), "docker")
    assert error.value.settled
    assert "nbthread 2" in error.value.remedy


def test_add_then_set(fake: Fake) -> None:
    assert write(fake) == 1
    assert "add map /m f docker" in fake.asked
    assert write(fake) == 1
    assert len([command for command in fake.asked if command.startswith("add")]) == 1
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
    done = mirror(fake.stats, None, "/m", "f", DOCKER, fake.deadline(2), 0.5)
    assert (done.info.pid, done.attempts, fake.entries) == (101, 2, ["docker"])
    # The watch begins anew with the new worker, and ends with the deadline at the latest.
    assert 0.8 < fake.time < 1.2
    fake.time = 0.0
    mirror(fake.stats, None, "/m", "f", DOCKER, fake.deadline(0.2), 5)
    assert fake.time < 0.4
    fake.time = 0.0
    mirror(fake.stats, fake.master, "/m", "f", DOCKER, fake.deadline(2), 0.5)
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
    with pytest.raises(LiveError, match="expected f docker, read back f legacy"):
        write(fake, 0.2)


@pytest.mark.parametrize("percent", [None, 1, 30])
def test_a_shift_is_written_to_the_worker_that_stays(fake: Fake, percent: int | None) -> None:
    """A worker that comes in between has an empty map; all entries are written again."""
    fake.map = [("f", "legacy"), *((f"f/{n}", "docker") for n in range(20)), ("g", "legacy")]
    target = wanted_entries("f", "legacy", Shift("swarm", percent) if percent else None)

    def before(command: str) -> None:
        if command in ("add map /m f/20 swarm", "del map /m f/7") and fake.worker == 100:
            fake.new_worker()

    fake.before = before
    done = mirror(fake.stats, fake.master, "/m", "f", target, fake.deadline())
    assert sorted(fake.map) == sorted(
        [*target] if fake.worker > 100 else [*target, ("g", "legacy")]
    )
    assert done.info.pid == fake.worker


def test_refusals_are_not_repeated(fake: Fake) -> None:
    fake.before = lambda command: "Permission denied\n" if command.startswith("add") else None
    with pytest.raises(HaproxyRuntimeError, match="Permission denied"):
        write(fake)
    assert len([c for c in fake.asked if c.startswith("add")]) == 1
    fake.before = lambda _command: None
    fake.known = False
    with pytest.raises(LiveError, match="has not loaded the map") as error:
        write(fake)
    assert error.value.settled


def test_observe_one_worker(fake: Fake) -> None:
    seen = observe(fake.stats, fake.master, "/m", "f", fake.deadline())
    assert (seen.info.pid, seen.entries, seen.stat.frontends) == (100, (), ("f",))
    fake.map = [("f", "legacy"), ("f/0", "docker"), ("g", "docker"), ("f/x", "docker")]
    seen = observe(fake.stats, fake.master, "/m", "f", fake.deadline())
    assert seen.entries == (("f", "legacy"), ("f/0", "docker"))
    assert observe(fake.stats, None, None, "f", fake.deadline()).entries is None
    fake.known = False
    assert observe(fake.stats, None, "/m", "f", fake.deadline()).entries is None


def test_observe_asks_for_what_decides(fake: Fake) -> None:
    fake.map = [("f", "legacy"), ("f/0", "canary"), ("f/1", "canary"), ("g", "other")]
    command = "show stat f 1 -1;show stat docker 6 -1;show stat legacy 6 -1;show stat canary 6 -1"
    header = "# pxname,svname,type,\n"
    replies = (f"{header}f,FRONTEND,0,\n", *(f"{header}{b},BACKEND,1,\n" for b in BACKENDS))
    fake.before = lambda asked: "\n".join(replies) if asked == command else None
    seen = observe(fake.stats, None, "/m", "f", fake.deadline(), "docker")
    assert (seen.stat.frontends, seen.stat.backend_names) == (("f",), BACKENDS)
    assert "show stat" not in fake.asked


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
    with pytest.raises(LiveError, match=r"process 7, .* newest worker is 100"):
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


def busy(fake: Fake, until: float) -> None:
    """A master of 3.1 or later while somebody else's reload is under way; that one has a worker."""
    other = [True]

    def before(command: str) -> str | None:
        if command != "reload":
            return None
        if fake.time < until:
            return "Success=0\n--\nAnother reload is still in progress.\n"
        if other.pop(0) if other else False:
            fake.new_worker()
            return "Success=0\n--\nAnother reload is still in progress.\n"
        fake.new_worker()
        return "Success=1\n--\n"

    fake.before = before


def test_reload_while_another_is_under_way_is_requested_again(fake: Fake) -> None:
    busy(fake, until=0.3)
    # Not 101: that worker may have read the old file.
    assert reload_by_master(fake.master, fake.stats, fake.deadline()).info.pid == 102


def test_another_reload_that_does_not_end_may_have_read_the_file(fake: Fake) -> None:
    busy(fake, until=100)
    with pytest.raises(LiveError, match="another reload did not end within 1 s") as error:
        reload_by_master(fake.master, fake.stats, fake.deadline())
    assert not error.value.settled


def test_reload_that_fails_later(fake: Fake) -> None:
    def before(command: str) -> str | None:
        if command == "reload":
            fake.reloads += 1
            fake.failed += 1
            return ""
        return None

    fake.before = before
    with pytest.raises(LiveError, match="worker 100 continues with the old one") as error:
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
    with pytest.raises(LiveError, match="within 1 s; last: the newest worker is still 100") as e:
        reload_by_master(fake.master, fake.stats, fake.deadline())
    assert not e.value.settled
    assert fake.time < 2


@pytest.mark.parametrize("reason", ["refused", "reset", "absent", "timeout"])
def test_silence_after_a_reload_is_waited_out(fake: Fake, reason: str) -> None:
    """Both sockets may be gone for a moment; a refusal is no silence."""

    def before(command: str) -> str | None:
        if command == "reload":
            fake.new_worker()
            return ""
        if fake.reloads and fake.time < 0.3:
            raise HaproxyRuntimeError("/s", command, reason, reason)
        return None

    fake.before = before
    assert reload_by_master(fake.master, fake.stats, fake.deadline()).info.pid == 101
    assert fake.time > 0.3

    def again() -> tuple[int, str]:
        fake.time = 0.0
        fake.new_worker()
        return 0, ""

    before_it = Info("2.6", 101, 101, 1)
    clock = fake.wall_clock
    done = reload_by_command(again, fake.stats, before_it, fake.deadline(), clock)
    assert done.info.pid == 102
    fake.time = 0.0
    with pytest.raises(LiveError, match=f"no new worker within 0.2 s; last: .*{reason}"):
        reload_by_command(again, fake.stats, before_it, fake.deadline(0.2), clock)
    fake.time = 1.0
    fake.before = lambda _command: "Permission denied\n"
    with pytest.raises(HaproxyRuntimeError, match="Permission denied"):
        reload_by_command(lambda: (0, ""), fake.stats, before_it, fake.deadline(), clock)


@pytest.mark.parametrize("cause", ["absent", "refused", "reset"])
def test_the_master_is_found_while_another_reload_replaces_the_socket(
    fake: Fake, cause: str
) -> None:
    def before(_command: str) -> None:
        if fake.time < 0.3:
            raise HaproxyRuntimeError("/stats", "show info", cause, "gone")

    def prove(worker: int) -> int:
        if fake.time < 0.6:
            raise UnprovedError("somebody else listens")
        return worker + 1000

    fake.before = before
    assert find_master(fake.stats, prove, fake.deadline()) == 1100
    fake.time = 0.0
    with pytest.raises(HaproxyRuntimeError, match="gone"):
        find_master(fake.stats, prove, fake.deadline(0.2))
    fake.time = 0.3
    with pytest.raises(UnprovedError, match="somebody else listens"):
        find_master(fake.stats, prove, fake.deadline(0.2))


def test_a_refusal_does_not_pass_while_the_master_is_looked_for(fake: Fake) -> None:
    fake.before = lambda _command: "Permission denied\n"
    with pytest.raises(HaproxyRuntimeError, match="Permission denied"):
        find_master(fake.stats, int, fake.deadline())
    assert fake.time < 0.1


def test_reload_by_command(fake: Fake) -> None:
    before = Info("2.6", 100, 100, 1)

    def good() -> tuple[int, str]:
        fake.new_worker()
        return 0, "done"

    done = reload_by_command(good, fake.stats, before, fake.deadline(), fake.wall_clock)
    assert (done.info.pid, done.output) == (101, "done")
    now = done.info
    with pytest.raises(LiveError, match="status 1: no unit") as error:
        reload_by_command(lambda: (1, "no unit"), fake.stats, now, fake.deadline(), fake.wall_clock)
    assert error.value.settled
    with pytest.raises(LiveError, match="worker 101 still answers") as error:
        reload_by_command(lambda: (0, ""), fake.stats, now, fake.deadline(), fake.wall_clock)
    assert not error.value.settled


@pytest.mark.parametrize("heard", [True, False])
def test_a_worker_of_an_earlier_reload_is_not_ours(fake: Fake, heard: bool) -> None:
    """It began before the file was replaced, and HAProxy may have missed our request for it."""
    before = Info("2.6", 100, 100, 1)
    requests = []

    def run() -> tuple[int, str]:
        # Workers of this fake begin at the second that is their process number.
        requests.append(fake.wall_clock())
        fake.new_worker()
        if len(requests) > 1:
            fake.worker = 200
        return (0, "done") if heard else (len(requests) - 1, "no unit")

    def at_half_past_149() -> float:
        return fake.wall_clock() + 49.5

    if heard:
        done = reload_by_command(run, fake.stats, before, fake.deadline(9), at_half_past_149)
        assert (done.info.pid, len(requests)) == (200, 2)
        # The first request, too, came after the second had ended.
        assert 100.5 <= requests[0] < requests[1] - 2
    else:
        with pytest.raises(LiveError, match="status 1: no unit") as error:
            reload_by_command(run, fake.stats, before, fake.deadline(9), at_half_past_149)
        assert not error.value.settled
