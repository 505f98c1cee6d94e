# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request, one reply over HAProxy's sockets, and what the replies mean.

HAProxy answers a refused command with plain text and no status, so every reply is checked here:
one that is not the expected output of the command raises ``HaproxyRuntimeError``.
"""

from __future__ import annotations

import csv
import errno
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError

# (path of the socket, command, seconds, whether to close our side after writing) -> reply
Request = Callable[[str, str, float, bool], str]

# No reply of HAProxy is larger than this.
_LIMIT = 256 * 1024 * 1024
_SERVER_TYPE = "2"
_TCP = re.compile(r"(?:ipv[46]@)?([^/@]+):(\d+)\Z")
_PASSED = re.compile(r"(L[467]OKC?|PROCOK)\Z")
_ON_ITS_WAY = re.compile(r"(UP|DOWN) \d+/\d+\Z")
_FAILED_RELOADS = re.compile(r"\[failed: (\d+)\]")
_RESPONSES = tuple(f"hrsp_{kind}" for kind in ("1xx", "2xx", "3xx", "4xx", "5xx", "other"))
# The first line of a reply to "show stat", and the whole reply about a name that no proxy has.
_STAT_HEADER = "# pxname,svname,"
_NO_PROXY = "No such proxy."
# HAProxy permits no other names for its proxies, so these need no escaping.
_PROXY_NAME = re.compile(r"[A-Za-z0-9_.:-]+\Z")
# The types to "show stat NAME TYPE -1": the frontend alone; the backend and its servers.
_FRONTEND_ROWS = 1
_BACKEND_ROWS = 2 + 4
# What a module returns as its reason.
_REASONS = {
    "absent": "unreachable",
    "refused": "unreachable",
    "denied": "denied",
    "timeout": "no_answer",
    "reset": "no_answer",
    "refusal": "refused",
}
_PROBLEMS = {
    "absent": "HAProxy does not answer on {path} ({detail})",
    "refused": "HAProxy does not answer on {path} ({detail})",
    "denied": "{path} cannot be used ({detail})",
    "timeout": "HAProxy did not answer '{command}' on {path}: {detail}",
    "reset": "HAProxy did not answer '{command}' on {path}: {detail}",
    "refusal": "HAProxy refused '{command}' on {path}: {detail}",
}
_START = "Start HAProxy with 'stats socket PATH level admin' in its global section, or set socket"
_SEE_LOG = (
    "If no reload is under way, see HAProxy's log, then run the task again. A failed reload may "
    "have left HAProxy's listeners paused: then restart HAProxy"
)
_REMEDIES = {
    "absent": _START,
    "refused": _START,
    "denied": "Run the task with become, or give the socket a user, group or mode that permits it",
    "timeout": _SEE_LOG,
    "reset": _SEE_LOG,
}
_Parsed = TypeVar("_Parsed")
# A key may hold blanks, a backend's name may not.
_MAP_ENTRY = re.compile(r"0x[0-9a-f]+ (.*) (\S*)\Z")


class HaproxyRuntimeError(HaproxyError):
    """A socket that did not answer, or a reply that is a refusal.

    ``cause`` is one of absent, refused, denied, timeout, reset (the connection) or refusal (the
    reply); all but denied and refusal may pass by themselves while HAProxy reloads.
    """

    def __init__(self, path: str, command: str, cause: str, detail: str) -> None:
        problem = _PROBLEMS[cause].format(path=path, command=command, detail=detail)
        super().__init__(problem, _REMEDIES.get(cause, ""))
        self.path = path
        self.command = command
        self.cause = cause
        self.detail = detail
        self.reason = _REASONS[cause]
        if cause == "refusal" and "ermission" in detail:
            self.remedy = "Give the socket 'level admin'"

    @property
    def passing(self) -> bool:
        return self.cause in ("absent", "refused", "timeout", "reset")


@dataclass(frozen=True)
class Info:
    """The worker that answers: no two workers share pid and start."""

    version: str
    pid: int
    started: int
    uptime: int
    # Those of nbproc, which HAProxy has up to 2.4.
    processes: int = 1

    @property
    def generation(self) -> tuple[int, int]:
        return (self.pid, self.started)


@dataclass(frozen=True)
class Server:
    """A server as HAProxy sees it. ``undecided``: its checks have no result yet.

    ``backup``: it gets traffic only once all others are down. ``responses``: its HTTP responses.
    ``errors``: those with status 5xx, and responses that were incomplete or missing. ``queued``:
    requests that wait for this server. ``response_ms``: mean time of the last 1,024 responses.
    """

    backend: str
    name: str
    address: str
    status: str
    check_status: str
    passed: bool
    undecided: bool
    weight: int
    sessions_current: int
    sessions_total: int
    backup: bool = False
    responses: int = 0
    errors: int = 0
    queued: int = 0
    response_ms: int = 0
    # What its last check was answered with, for people.
    check_text: str = ""


@dataclass(frozen=True)
class Stat:
    """The output of ``show stat``, for all proxies or for those that were requested."""

    frontends: tuple[str, ...]
    backends: tuple[tuple[str, str], ...]
    servers: tuple[Server, ...]
    # Requests, in TCP mode connections, since the worker started: of frontends, of backends.
    received: Mapping[str, int] = field(default_factory=dict)
    forwarded: Mapping[str, int] = field(default_factory=dict)
    # Requests of backends that wait for any server.
    queued: Mapping[str, int] = field(default_factory=dict)
    # The cookies by which backends assign a client to a server.
    cookies: Mapping[str, str] = field(default_factory=dict)
    # What the frontends are: OPEN, or such as PAUSED if they accept no connections at present.
    states: Mapping[str, str] = field(default_factory=dict)
    # Seconds since backends were last seen to come up or go down.
    changed: Mapping[str, int] = field(default_factory=dict)

    @property
    def paused(self) -> tuple[str, ...]:
        """The frontends that accept no connections at present."""
        return tuple(name for name, state in self.states.items() if state == "PAUSED")

    @property
    def backend_names(self) -> tuple[str, ...]:
        return tuple(name for name, _status in self.backends)

    @property
    def unpublished(self) -> tuple[str, ...]:
        """The backends that no rule can select at present (from 3.4 on)."""
        return tuple(name for name, status in self.backends if "(UNPUB)" in status)

    def servers_of(self, backend: str) -> tuple[Server, ...]:
        return tuple(server for server in self.servers if server.backend == backend)


@dataclass(frozen=True)
class Process:
    pid: int
    reloads: int


@dataclass(frozen=True)
class Processes:
    """The output of ``show proc`` of a master; ``failed`` is None where HAProxy does not count."""

    master: Process
    failed: int | None
    workers: tuple[Process, ...]
    # Replaced by a reload, and still finishing requests.
    old_workers: tuple[Process, ...] = ()

    @property
    def worker(self) -> int | None:
        """The pid of the newest worker: the one that serves or is about to."""
        if not self.workers:
            return None
        return min(self.workers, key=lambda process: process.reloads).pid


def _connected(path: str, seconds: float) -> socket.socket:
    """A connection to a path, or to an address as HAProxy writes it."""
    address = _TCP.match(path)
    if address:
        return socket.create_connection((address[1].strip("[]"), int(address[2])), seconds)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def request_once(path: str, command: str, seconds: float, close: bool) -> str:
    """Send one command. ``seconds`` limits the whole exchange, not each read."""
    deadline = time.monotonic() + seconds
    chunks: list[bytes] = []
    size = 0
    try:
        with _connected(path, max(seconds, 0.001)) as connection:
            connection.sendall(command.encode("utf-8", "surrogateescape") + b"\n")
            if close:
                connection.shutdown(socket.SHUT_WR)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise socket.timeout
                connection.settimeout(left)
                chunk = connection.recv(65536)
                if not chunk:
                    break
                chunks.append(chunk)
                size += len(chunk)
                if size > _LIMIT:
                    raise HaproxyRuntimeError(path, command, "refusal", "the reply is too long")
    except socket.timeout:
        raise HaproxyRuntimeError(
            path, command, "timeout", f"no complete reply within {seconds:.1f} s"
        ) from None
    except OSError as error:
        reasons = {
            errno.ENOENT: "absent",
            errno.ENOTDIR: "absent",
            errno.ECONNREFUSED: "refused",
            errno.EAGAIN: "refused",
            errno.EACCES: "denied",
            errno.EPERM: "denied",
            errno.ENOTSOCK: "denied",
            errno.EPROTOTYPE: "denied",
            errno.EHOSTUNREACH: "absent",
            errno.ENETUNREACH: "absent",
            # A name that does not resolve.
            socket.EAI_NONAME: "absent",
            socket.EAI_AGAIN: "absent",
        }
        reason = reasons.get(error.errno or 0, "reset")
        detail = error.strerror or str(error)
        raise HaproxyRuntimeError(path, command, reason, detail) from None
    return b"".join(chunks).decode("utf-8", "surrogateescape")


def cli_word(word: str) -> str:
    """A word on the command line of a socket: blanks, ; and backslash escaped."""
    return re.sub(r"([\\ \t;<#])", r"\\\1", word)


def _first(reply: str) -> str:
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    return lines[0][:300] if lines else "an empty reply"


def parse_info(reply: str) -> Info | None:
    """The reply to ``show info``, or None where it is something else."""
    fields = {}
    for line in reply.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields[name.strip()] = value.strip()
    try:
        return Info(
            version=fields["Version"],
            pid=int(fields["Pid"]),
            started=int(fields.get("Start_time_sec", "0")),
            uptime=int(fields["Uptime_sec"]),
            processes=int(fields.get("Nbproc", "1")),
        )
    except (KeyError, ValueError):
        return None


def _number(text: str | None) -> int:
    return int(text) if text and text.lstrip("-").isdigit() else 0


def _requests(row: dict[str, str]) -> int:
    return _number(row.get("req_tot" if row.get("mode") == "http" else "stot"))


def _server(row: dict[str, str], rows: dict[str, dict[str, str]]) -> Server:
    status = row.get("status", "")
    # A server that tracks another has no checks of its own; its status follows that other's.
    checked = row
    for _step in range(16):
        other = rows.get(checked.get("tracked") or "")
        if other is None:
            break
        checked = other
    check = checked.get("check_status", "")
    if check.startswith("* "):
        # A check is under way; what follows is the result of the one before.
        check = check[2:]
    agent = checked.get("agent_status", "")
    agent = agent[2:] if agent.startswith("* ") else agent
    verdict = check or agent
    up = status == "UP" or status.startswith("UP ")
    return Server(
        backend=row["pxname"],
        name=row["svname"],
        address=row.get("addr", ""),
        status=status,
        check_status=check,
        passed=status == "no check" or (up and bool(_PASSED.match(verdict))),
        undecided=(up and verdict in ("", "INI", "UNK")) or bool(_ON_ITS_WAY.match(status)),
        weight=_number(row.get("weight")),
        sessions_current=_number(row.get("scur")),
        sessions_total=_number(row.get("stot")),
        backup=row.get("bck") == "1",
        responses=sum(_number(row.get(name)) for name in _RESPONSES),
        errors=_number(row.get("hrsp_5xx")) + _number(row.get("eresp")),
        queued=_number(row.get("qcur")),
        response_ms=_number(row.get("rtime")),
        check_text=row.get("last_chk") or row.get("check_desc") or "",
    )


def parse_stat(reply: str) -> Stat | None:
    """The reply to ``show stat``, or None where it is something else."""
    lines = [line for line in reply.splitlines() if line.strip()]
    if not lines or not lines[0].startswith(_STAT_HEADER):
        return None
    header = lines[0][2:].split(",")
    rows = [dict(zip(header, values)) for values in csv.reader(lines[1:])]
    kinds: dict[str, list[dict[str, str]]] = {"0": [], "1": [], _SERVER_TYPE: []}
    for row in rows:
        kinds.setdefault(row.get("type", ""), []).append(row)
    servers = {f"{row['pxname']}/{row['svname']}": row for row in kinds[_SERVER_TYPE]}
    return Stat(
        frontends=tuple(row["pxname"] for row in kinds["0"]),
        backends=tuple((row["pxname"], row.get("status", "")) for row in kinds["1"]),
        servers=tuple(_server(row, servers) for row in kinds[_SERVER_TYPE]),
        received={row["pxname"]: _requests(row) for row in kinds["0"]},
        cookies={row["pxname"]: row["cookie"] for row in kinds["1"] if row.get("cookie")},
        forwarded={row["pxname"]: _number(row.get("stot")) for row in kinds["1"]},
        queued={row["pxname"]: _number(row.get("qcur")) for row in kinds["1"]},
        states={row["pxname"]: row.get("status", "") for row in kinds["0"]},
        changed={row["pxname"]: _number(row.get("lastchg")) for row in kinds["1"]},
    )


def parse_stats(reply: str, names: Sequence[str]) -> Stat | None:
    """The replies to one ``show stat NAME TYPE -1`` for each name, as one.

    None where they do not cover all of these proxies, so that the whole list is needed: HAProxy
    returns the first proxy of a name, be it a frontend or a backend, and takes an unknown name that
    begins with digits for a number; and a server may track one in another backend.
    """
    header = _STAT_HEADER
    blocks: list[list[str]] = []
    for line in reply.splitlines():
        if line == _NO_PROXY:
            blocks.append([_NO_PROXY])
        elif line.startswith(_STAT_HEADER):
            header = line
            blocks.append([])
        elif line.strip():
            if not blocks:
                return None
            blocks[-1].append(line)
    if len(blocks) != len(names):
        return None
    rows: list[str] = []
    for name, block in zip(names, blocks):
        if block == [_NO_PROXY]:
            continue
        if not block or not all(row.startswith(f"{name},") for row in block):
            return None
        rows += block
    table = list(csv.DictReader([header[2:], *rows]))
    servers = {f"{row['pxname']}/{row['svname']}" for row in table}
    followed = {row.get("tracked") or "" for row in table} - {""}
    return parse_stat("\n".join([header, *rows])) if followed <= servers else None


def parse_proc(reply: str) -> Processes | None:
    """The reply of a master to ``show proc``, or None where it is something else."""
    header: list[str] = []
    section = ""
    master: Process | None = None
    failed: int | None = None
    found: dict[str, list[Process]] = {"workers": [], "old workers": []}
    for line in reply.splitlines():
        if line.startswith("#<PID>"):
            header = [name.strip("#<> ") for name in re.findall(r"<[^>]+>", line)]
            continue
        if line.startswith("#"):
            section = line.strip("# ").lower()
            continue
        counted = _FAILED_RELOADS.search(line)
        values = _FAILED_RELOADS.sub("", line).split()
        if len(values) < 2 or "PID" not in header or "reloads" not in header:
            continue
        fields = dict(zip(header, values))
        pid, reloads = fields["PID"], fields.get("reloads", "")
        if not pid.isdigit() or not reloads.isdigit():
            continue
        process = Process(int(pid), int(reloads))
        if fields.get("type") == "master":
            master = process
            failed = int(counted.group(1)) if counted else None
        elif fields.get("type") == "worker" and section in found:
            found[section].append(process)
    if master is None:
        return None
    return Processes(master, failed, tuple(found["workers"]), tuple(found["old workers"]))


def parse_map(reply: str) -> tuple[tuple[str, str], ...] | None:
    """The entries in the reply to ``show map FILE``, or None where it is something else."""
    entries = []
    for line in reply.splitlines():
        if not line.strip():
            continue
        found = _MAP_ENTRY.match(line)
        if not found:
            return None
        entries.append((found.group(1), found.group(2)))
    return tuple(entries)


def _addressed(worker: int | None) -> str:
    """The prefix by which a master passes a command to one of its workers."""
    return "" if worker is None else f"@!{worker} "


@dataclass(frozen=True)
class HaproxySocket:
    """The commands that the collection uses, over one socket. ``request`` is for tests."""

    path: str
    request: Request = request_once
    # A master socket keeps the connection open after a reply, until we close our side.
    close: bool = False

    def ask(self, command: str, seconds: float) -> str:
        return self.request(self.path, command, seconds, self.close)

    def _closed(self, command: str) -> HaproxyRuntimeError:
        return HaproxyRuntimeError(self.path, command, "reset", "the connection was closed")

    def _refused(self, command: str, reply: str) -> HaproxyRuntimeError:
        return HaproxyRuntimeError(self.path, command, "refusal", _first(reply))

    def read(self, command: str, parse: Callable[[str], _Parsed | None], seconds: float) -> _Parsed:
        """Send a command and parse the reply; one that cannot be parsed is a refusal."""
        reply = self.ask(command, seconds)
        if not reply.strip():
            raise self._closed(command)
        found = parse(reply)
        if found is None:
            raise self._refused(command, reply)
        return found

    def write(self, command: str, seconds: float) -> None:
        """A command that HAProxy answers with an empty line, or with why not."""
        reply = self.ask(command, seconds)
        if not reply:
            raise self._closed(command)
        if reply.strip():
            raise self._refused(command, reply)

    def info(self, seconds: float) -> Info:
        return self.read("show info", parse_info, seconds)

    def stat(self, seconds: float) -> Stat:
        return self.read("show stat", parse_stat, seconds)

    def processes(self, seconds: float) -> Processes:
        return self.read("show proc", parse_proc, seconds)

    def worker_stat(self, pid: int, seconds: float) -> Stat:
        """Statistics of one worker, read through the master socket."""
        return self.read(f"{_addressed(pid)}show stat", parse_stat, seconds)

    def paused(self, seconds: float, worker: int | None = None) -> tuple[str, ...]:
        """The frontends that are paused; those of a worker if this is its master's socket."""
        command = f"{_addressed(worker)}show stat -1 {_FRONTEND_ROWS} -1"
        return self.read(command, parse_stat, seconds).paused

    def enable_frontend(self, name: str, seconds: float, worker: int | None = None) -> None:
        self.write(f"{_addressed(worker)}enable frontend {cli_word(name)}", seconds)

    def stat_of(self, frontends: Sequence[str], backends: Sequence[str], seconds: float) -> Stat:
        """``show stat`` for a few proxies; for all where HAProxy does not distinguish them.

        With a large configuration the whole list blocks HAProxy's traffic for milliseconds.
        """
        asked = [(name, _FRONTEND_ROWS) for name in dict.fromkeys(frontends)]
        # A backend that is asked for twice must not have its servers twice.
        asked += [(name, _BACKEND_ROWS) for name in dict.fromkeys(backends)]
        names = [name for name, _rows in asked]
        if not all(_PROXY_NAME.match(name) for name in names):
            return self.stat(seconds)
        command = ";".join(f"show stat {name} {rows} -1" for name, rows in asked)
        found = parse_stats(self.ask(command, seconds), names)
        return self.stat(seconds) if found is None else found

    def map_entries(self, path: str, seconds: float) -> tuple[tuple[str, str], ...] | None:
        """The keys and values of a map; None where the worker has no such map."""
        command = f"show map {cli_word(path)}"
        reply = self.ask(command, seconds)
        if not reply:
            raise self._closed(command)
        found = parse_map(reply)
        if found is None:
            if reply.startswith("Unknown map identifier"):
                return None
            raise self._refused(command, reply)
        return found

    def entries(self, path: str, key: str, seconds: float) -> tuple[str, ...] | None:
        """The values of a key in a map; None where the worker has no such map."""
        found = self.map_entries(path, seconds)
        if found is None:
            return None
        return tuple(value for name, value in found if name == key)

    def write_entry(self, path: str, key: str, value: str, exists: bool, seconds: float) -> None:
        verb = "set" if exists else "add"
        command = f"{verb} map {cli_word(path)} {cli_word(key)} {cli_word(value)}"
        self.write(command, seconds)

    def delete_entry(self, path: str, key: str, seconds: float) -> None:
        self.write(f"del map {cli_word(path)} {cli_word(key)}", seconds)


def master_socket(path: str | None) -> HaproxySocket | None:
    """The socket of the master process; None where there is none, or it is not to be used.

    If permissions hide it, it is taken to exist, so that using it fails with the reason.
    """
    if not path:
        return None
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass
    return HaproxySocket(path, close=True)
