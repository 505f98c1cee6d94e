# SPDX-License-Identifier: GPL-3.0-or-later
"""Replies of HAProxy, recorded from 2.6 and 3.0, and refusals of every kind."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
    Stat,
    cli_word,
    parse_info,
    parse_map,
    parse_proc,
    parse_stat,
    parse_stats,
    request_once,
)
from hypothesis import given
from hypothesis import strategies as st

RECORDED = Path(__file__).parent / "fixtures"
VERSIONS = ("2.6", "3.0")


def recorded(version: str, name: str) -> str:
    return (RECORDED / version / f"{name}.txt").read_text()


def answering(reply: str) -> HaproxySocket:
    return HaproxySocket("/s", lambda _path, _command, _seconds, _close: reply)


@pytest.mark.parametrize("version", VERSIONS)
def test_info(version: str) -> None:
    info = parse_info(recorded(version, "info"))
    assert info is not None
    assert info.version.startswith(f"{version}.")
    assert info.pid > 0
    assert info.started > 1_700_000_000
    assert info.generation == (info.pid, info.started)
    assert 0 <= info.uptime < 60


@pytest.mark.parametrize("version", VERSIONS)
def test_stat(version: str) -> None:
    stat = parse_stat(recorded(version, "stat"))
    assert stat is not None
    assert stat.frontends == ("book-face", "board")
    # A disabled backend is not there at all.
    assert stat.backend_names == ("board", "legacy", "docker", "slow")
    found = {s.name: (s.status, s.check_status, s.passed, s.undecided) for s in stat.servers}
    assert found == {
        "board1": ("no check", "", True, False),
        "web1": ("UP", "L7OK", True, False),
        "web2": ("DOWN", "L4CON", False, False),
        "docker1": ("UP", "L4OK", True, False),
        "docker2": ("no check", "", True, False),
        "docker3": ("UP", "L7OK", True, False),  # tracks web1
        "docker4": ("MAINT", found["docker4"][1], False, False),
        "docker5": found["docker5"],
        "slow1": ("UP 1/3", "INI", False, True),
    }
    web1 = stat.servers_of("legacy")[0]
    assert web1.address == "127.0.0.1:22090"
    assert (web1.sessions_current, web1.sessions_total, web1.weight) == (0, 0, 1)


@pytest.mark.parametrize(
    ("status", "check", "passed", "undecided"),
    [
        ("UP", "L7OK", True, False),
        ("UP", "* L7OK", True, False),
        ("UP", "L6OK", True, False),
        ("UP", "L7OKC", True, False),
        ("UP", "PROCOK", True, False),
        ("UP", "INI", False, True),
        ("UP", "* INI", False, True),
        ("UP", "", False, True),
        ("UP", "L7STS", False, False),
        ("UP 1/3", "L4TOUT", False, True),
        ("DOWN 1/2", "L7OK", False, True),
        ("DOWN", "L4CON", False, False),
        ("DOWN", "L7OK", False, False),
        ("DOWN (agent)", "L7OK", False, False),
        ("NOLB", "L7OKC", False, False),
        ("MAINT", "L7OK", False, False),
        ("MAINT (via a/b)", "", False, False),
        ("DRAIN", "L7OK", False, False),
        ("no check", "", True, False),
    ],
)
def test_a_passed_check(status: str, check: str, passed: bool, undecided: bool) -> None:
    reply = f"# pxname,svname,status,check_status,type,\nb,s,{status},{check},2,\n"
    stat = parse_stat(reply)
    assert stat is not None
    assert [(s.passed, s.undecided) for s in stat.servers] == [(passed, undecided)]


def test_a_tracking_server_is_judged_by_the_one_it_tracks() -> None:
    header = "# pxname,svname,status,check_status,tracked,type,\n"
    for check, passed in (("L7OK", True), ("INI", False)):
        stat = parse_stat(f"{header}a,s,UP,{check},,2,\nb,t,UP,,a/s,2,\nc,u,UP,,b/t,2,\n")
        assert stat is not None
        assert [server.passed for server in stat.servers] == [passed] * 3
    # Two that track each other (HAProxy refuses that) do not hang us.
    assert parse_stat(f"{header}a,s,UP,,b/t,2,\nb,t,UP,,a/s,2,\n") is not None


@pytest.mark.parametrize("version", VERSIONS)
def test_processes(version: str) -> None:
    fresh = parse_proc(recorded(version, "proc"))
    reloaded = parse_proc(recorded(version, "proc_old_worker"))
    failed = parse_proc(recorded(version, "proc_failed"))
    assert fresh is not None
    assert reloaded is not None
    assert failed is not None
    assert fresh.master.pid == reloaded.master.pid == failed.master.pid
    assert [p.master.reloads for p in (fresh, reloaded, failed)] == [0, 1, 2]
    assert [p.failed for p in (fresh, reloaded, failed)] == [0, 0, 1]
    assert len(reloaded.workers) == 1  # the old one apart
    assert reloaded.worker != fresh.worker
    assert failed.worker == reloaded.worker
    assert failed.workers[0].reloads == 1


def test_processes_of_a_version_that_counts_otherwise() -> None:
    reply = (
        "#<PID>          <type>          <relative PID>  <reloads>       <uptime>  <version>\n"
        "10              master          0               3               0d00h00m01s     2.4.0\n"
        "# workers\n11              worker          1               0               0d  2.4.0\n"
    )
    found = parse_proc(reply)
    assert found is not None
    assert (found.master.reloads, found.failed, found.worker) == (3, None, 11)


@pytest.mark.parametrize("version", VERSIONS)
def test_map(version: str) -> None:
    assert parse_map(recorded(version, "map_empty")) == ()
    assert parse_map(recorded(version, "map_one")) == (("book-face", "legacy"),)
    two = parse_map(recorded(version, "map_two"))
    assert two == (("book-face", "legacy"), ("book-face", "docker"))
    assert parse_map(recorded(version, "map_unknown")) is None


def test_a_key_with_blanks_is_another_key() -> None:
    assert answering("0x1 book-face x docker\n\n").entries("/m", "book-face", 1) == ()


class Proxies:
    """A statistics socket with these proxies, each as its rows; ``asked`` is what it was asked."""

    header = "# pxname,svname,status,check_status,tracked,type,\n"

    def __init__(self, *proxies: tuple[str, ...]) -> None:
        self.proxies = proxies
        self.asked: list[str] = []
        self.knows_names = True

    def request(self, _path: str, line: str, _seconds: float, _close: bool) -> str:
        self.asked.append(line)
        return "".join(f"{self.reply(command.split())}\n" for command in line.split(";"))

    def reply(self, words: list[str]) -> str:
        if len(words) == 2:
            return self.header + "".join(row for proxy in self.proxies for row in proxy)
        if not self.knows_names:
            return "Unknown command.\n"
        name, types = words[2], int(words[3])
        found = [proxy for proxy in self.proxies if proxy[0].startswith(f"{name},")]
        number = re.match(r"\d+", name)
        if not found and not number:
            return "No such proxy.\n"
        if not found and number:
            found = list(self.proxies[int(number.group()) - 1 :])
        rows = found[0] if found else ()
        return self.header + "".join(row for row in rows if types >> int(row.split(",")[5]) & 1)

    def stat_of(self, frontend: str, *backends: str) -> Stat:
        return HaproxySocket("/s", self.request).stat_of((frontend,), backends, 1)

    def stat(self) -> Stat:
        return HaproxySocket("/s", self.request).stat(1)


FRONT = ("f,FRONTEND,OPEN,,,0,\n",)
DOCKER = ("docker,d1,UP,L7OK,,2,\n", "docker,BACKEND,UP,,,1,\n")
LEGACY = ("legacy,w1,UP,L7OK,,2,\n", "legacy,BACKEND,UP,,,1,\n")
NAMESAKE = ("f,s,UP,L7OK,,2,\n", "f,BACKEND,UP,,,1,\n")
FOLLOWER = ("docker,d1,UP,,legacy/w1,2,\n", "docker,BACKEND,UP,,,1,\n")


def test_statistics_of_a_few_proxies() -> None:
    place = Proxies(FRONT, DOCKER, LEGACY)
    # A backend that is named twice must not have its servers twice.
    few = place.stat_of("f", "docker", "nosuch", "docker")
    assert place.asked == ["show stat f 1 -1;show stat docker 6 -1;show stat nosuch 6 -1"]
    assert (few.frontends, few.backend_names) == (("f",), ("docker",))
    assert few.servers == place.stat().servers_of("docker")
    assert Proxies(FRONT).stat_of("g", "nosuch") == Stat((), (), ())


@pytest.mark.parametrize(
    ("proxies", "backend"),
    [
        # The number that the name begins with is another proxy's, or nobody's.
        ((FRONT, DOCKER, LEGACY), "2nd"),
        ((FRONT, DOCKER, LEGACY), "9nd"),
        # The frontend's name is a backend's, too.
        ((FRONT, NAMESAKE, LEGACY), "f"),
        ((NAMESAKE, FRONT, LEGACY), "f"),
        # The checks of the server are those of a server elsewhere.
        ((FRONT, FOLLOWER, LEGACY), "docker"),
        # A name that would be several words, another command, or none.
        ((FRONT, DOCKER, LEGACY), "docker x"),
        ((FRONT, DOCKER, LEGACY), "docker;quit"),
        ((FRONT, DOCKER, LEGACY), ""),
    ],
)
def test_all_statistics_where_a_few_do_not_tell(
    proxies: tuple[tuple[str, ...], ...], backend: str
) -> None:
    place = Proxies(*proxies)
    assert place.stat_of("f", backend) == place.stat()
    assert not any("quit" in line for line in place.asked)


def test_all_statistics_where_haproxy_knows_no_names() -> None:
    old = Proxies(FRONT, DOCKER, LEGACY)
    old.knows_names = False
    assert old.stat_of("f", "docker") == old.stat()
    with pytest.raises(HaproxyRuntimeError, match="Permission denied"):
        answering("Permission denied\n").stat_of(("f",), ("docker",), 1)
    with pytest.raises(HaproxyRuntimeError, match="closed"):
        answering("").stat_of(("f",), ("docker",), 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_few_statistics_are_those_of_the_whole_list(version: str) -> None:
    whole = recorded(version, "stat")
    header, *rows = whole.splitlines()
    names = ("legacy", "docker")
    mine = [[row for row in rows if row.startswith(f"{name},")] for name in names]
    reply = "".join("\n".join([header, *block]) + "\n\n" for block in mine)
    few, all_of_it = parse_stats(reply, names), parse_stat(whole)
    assert few is not None
    assert all_of_it is not None
    assert set(few.backend_names) == set(names)
    for name in names:
        assert few.servers_of(name) == all_of_it.servers_of(name)


@pytest.mark.parametrize("version", VERSIONS)
def test_replies_are_judged(version: str) -> None:
    refusal = answering(recorded(version, "unknown_command"))
    asked: list[Callable[[], object]] = [
        lambda: refusal.info(1),
        lambda: refusal.stat(1),
        lambda: refusal.processes(1),
        lambda: refusal.entries("/m", "k", 1),
        lambda: refusal.write_entry("/m", "k", "v", True, 1),
        lambda: refusal.delete_entry("/m", "k", 1),
    ]
    for ask in asked:
        with pytest.raises(HaproxyRuntimeError, match="Unknown command") as error:
            ask()
        assert error.value.cause == "refusal"
        assert not error.value.passing
    missing = answering(recorded(version, "set_map_missing"))
    with pytest.raises(HaproxyRuntimeError, match="entry not found"):
        missing.write_entry("/m", "k", "v", True, 1)
    assert answering(recorded(version, "map_unknown")).entries("/m", "k", 1) is None
    for name in ("add_map", "set_map"):
        answering(recorded(version, name)).write_entry("/m", "k", "v", False, 1)


def test_a_connection_that_just_ends_is_no_reply() -> None:
    ended = answering("")
    for ask in (ended.info, ended.stat, ended.processes):
        with pytest.raises(HaproxyRuntimeError) as error:
            ask(1)
        assert (error.value.cause, error.value.passing) == ("reset", True)
    with pytest.raises(HaproxyRuntimeError, match="closed"):
        ended.entries("/m", "k", 1)
    with pytest.raises(HaproxyRuntimeError, match="closed"):
        ended.write_entry("/m", "k", "v", True, 1)


def test_commands_as_written() -> None:
    asked: list[tuple[str, str, bool]] = []

    def request(path: str, command: str, _seconds: float, close: bool) -> str:
        asked.append((path, command, close))
        return "\n"

    stats = HaproxySocket("/s", request)
    stats.write_entry("/m a", "fe", "b;c", False, 1)
    stats.write_entry("/m", "fe", "b", True, 1)
    stats.entries("/m", "fe", 1)
    stats.delete_entry("/m", "fe", 1)
    HaproxySocket("/t", request, close=True).ask("reload", 1)
    assert asked == [
        ("/s", "add map /m\\ a fe b\\;c", False),
        ("/s", "set map /m fe b", False),
        ("/s", "show map /m", False),
        ("/s", "del map /m fe", False),
        ("/t", "reload", True),
    ]
    assert cli_word("plain-1.x:y") == "plain-1.x:y"


@given(st.text(max_size=200))
def test_parsers_take_any_text(text: str) -> None:
    parse_info(text)
    parse_stat("# pxname,svname,type,\n" + text)
    parse_stat(text)
    parse_stats(text, ("a",))
    parse_stats("# pxname,svname,type,\n" + text, ("a",))
    parse_proc("#<PID> <type> <reloads>\n" + text)
    parse_proc(text)
    parse_map(text)


# The socket itself


@contextmanager
def serving(path: Path, talk: Callable[[socket.socket], None]) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _address = listener.accept()
            with connection:
                talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s") / "s"


def test_a_reply_in_pieces(place: Path) -> None:
    def talk(connection: socket.socket) -> None:
        assert connection.recv(100) == b"show info\n"
        for piece in (b"a", b"b\xff", b"c\n"):
            connection.sendall(piece)
            time.sleep(0.02)

    with serving(place, talk):
        assert request_once(str(place), "show info", 5, False) == "ab\udcffc\n"


def test_a_master_answers_until_we_hang_up(place: Path) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"reply\n")
        while connection.recv(100):
            pass

    with serving(place, talk):
        assert request_once(str(place), "show proc", 5, True) == "reply\n"


def test_the_whole_exchange_is_bounded(place: Path) -> None:
    def talk(connection: socket.socket) -> None:
        with suppress(OSError):
            for _drop in range(200):
                connection.sendall(b"x")
                time.sleep(0.02)

    with serving(place, talk):
        began = time.monotonic()
        with pytest.raises(HaproxyRuntimeError) as error:
            request_once(str(place), "show info", 0.3, False)
        assert time.monotonic() - began < 3  # the drops go on for four seconds
    assert error.value.cause == "timeout"
    assert "0.3 s" in str(error.value)


def test_silence_after_a_piece_does_not_begin_the_wait_anew(place: Path) -> None:
    def talk(connection: socket.socket) -> None:
        time.sleep(0.8)
        with suppress(OSError):
            connection.sendall(b"x")
            while connection.recv(100):
                pass

    with serving(place, talk):
        began = time.monotonic()
        with pytest.raises(HaproxyRuntimeError, match="no complete reply"):
            request_once(str(place), "show info", 1, False)
        assert time.monotonic() - began < 1.8  # a wait begun anew


def test_reasons(tmp_path: Path, place: Path) -> None:
    def reason(path: Path) -> str:
        with pytest.raises(HaproxyRuntimeError) as error:
            request_once(str(path), "show info", 1, False)
        assert str(path) in str(error.value)
        return error.value.cause

    assert reason(tmp_path / "none") == "absent"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    assert reason(place) == "refused"
    assert reason(Path("/" + "x" * 200)) == "reset"


def test_what_to_do_about_silence() -> None:
    said = HaproxyRuntimeError("/s", "show info", "timeout", "no reply").message("")
    assert said.endswith("have left HAProxy's listeners paused: then restart HAProxy."), said


def test_old_workers() -> None:
    reply = (
        "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
        "100             master          1 [failed: 0]   0d00h00m09s     2.6.12\n# workers\n"
        "103             worker          0               0d00h00m01s     2.6.12\n# old workers\n"
        "101             worker          1               0d00h00m09s     2.6.12\n# programs\n\n"
    )
    found = parse_proc(reply)
    assert found is not None
    assert [process.pid for process in found.old_workers] == [101]
    none_old = parse_proc(reply.partition("# old workers")[0])
    assert none_old is not None
    assert none_old.old_workers == ()
