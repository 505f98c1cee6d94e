# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a running HAProxy: which they are, and which files they were started with.

A number that HAProxy gives as its process id may be another process here, if HAProxy runs in a PID
namespace of its own (a container). So a process counts only if the kernel says that it, or its
parent, has opened the socket that answered, and if it runs the same program in our namespace.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.file import (
    FileError,
    loaded_files,
)

_CREDENTIALS = struct.Struct("3i")


class UnprovedError(HaproxyError):
    """A process that is not proved to be this HAProxy."""

    reason = "unsuitable"


@dataclass(frozen=True)
class Process:
    """A worker and the master that started it, and what they load (C(-f)), in order."""

    worker: int
    master: int | None
    loads: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it loads now, links resolved."""
        with suppress(FileError):
            return tuple(os.path.realpath(file) for file in loaded_files(self.loads))
        return tuple(os.path.realpath(path) for path in self.loads)


def opener(path: str) -> int:
    """The process that listens on a socket; 0 if it is in a namespace that cannot be seen here."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        connection.connect(path)
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[0])


def find_process(worker: int, path: str) -> Process:
    """The worker that answers on this socket as this process. Raises where that is not proved."""
    try:
        parent = _parent(worker)
        listening = opener(path)
        # A listener that has ended has left the socket to its successor.
        there = not listening or Path(f"/proc/{listening}").exists()
        if there and listening not in (worker, parent):
            who = f"process {listening}" if listening else "a process elsewhere"
            raise UnprovedError(
                f"HAProxy gives {worker} as its process id, but {who} listens on {path}"
            )
        if pid_namespace(worker) != pid_namespace("self"):
            raise UnprovedError(f"process {worker} has another PID namespace")
        program = program_of(worker)
        master = parent if parent > 1 and _is_master(parent, program) else None
        return Process(worker, master, loads(master or worker))
    except (OSError, ValueError, IndexError) as error:
        raise UnprovedError(f"process {worker} cannot be examined: {error}") from None


def check_master(process: Process, files: Sequence[str]) -> int:
    """The master that reloads these files; nothing else may be signalled."""
    if process.master is None:
        raise UnprovedError(f"worker {process.worker} has no master process")
    missing = {os.path.realpath(file) for file in files}.difference(process.files)
    if missing:
        raise UnprovedError(
            f"its master {process.master} was started with other files ({', '.join(process.loads)})"
        )
    return process.master


def resume_listeners(worker: int, path: str) -> None:
    """Send the worker the signal to resume its listeners.

    It stops any other program, and the number may be another's by now: where the listener of the
    socket has ended, nothing tells whose it is but the program that it runs.
    """
    find_process(worker, path)
    try:
        program = program_of(worker)
        if not is_haproxy(program):
            raise UnprovedError(f"process {worker} runs {program}, not HAProxy")
        os.kill(worker, signal.SIGTTIN)
    except OSError as error:
        raise UnprovedError(f"process {worker} could not be signalled: {error}") from None


def unnamed_files(worker: int, path: str, files: Sequence[str]) -> tuple[str, ...]:
    """The files that the process loads besides these; none if it cannot be examined."""
    with suppress(UnprovedError):
        named = {os.path.realpath(file) for file in files}
        loaded = find_process(worker, path).files
        return tuple(file for file in loaded if file not in named and Path(file).exists())
    return ()


def sees(pid: int, path: str) -> bool:
    """Whether a process has the same file or directory by this path as we have.

    A service with settings such as BindReadOnlyPaths has mounts of its own, and these files still.
    One with our mounts has opened them before it went into a directory of its own (chroot).
    """
    with suppress(OSError):
        if _mounts(pid) == _mounts("self"):
            return Path(path).exists()
        return Path(f"/proc/{pid}/root{os.path.realpath(path)}").samefile(path)
    return False


def sees_all(path: str, files: Sequence[str]) -> bool:
    """Whether the listener of a socket has the same files."""
    with suppress(OSError):
        listening = opener(path)
        return all(sees(listening, file) for file in files)
    return False


def mounted_alone(path: str, files: Sequence[str]) -> str | None:
    """A file that the listener of a socket has by a mount of its own, as in a container.

    It keeps the old file when another is renamed over it here, and that may have happened already.
    """
    with suppress(OSError, IndexError):
        listening = opener(path)
        if _mounts(listening) == _mounts("self"):
            return None
        root = f"/proc/{listening}"
        known = {(found.st_dev, found.st_ino): file for file in files for found in [os.stat(file)]}  # noqa: PTH116
        places = {file: os.stat(Path(file).parent).st_dev for file in map(os.path.realpath, files)}  # noqa: PTH116
        for line in Path(f"{root}/mountinfo").read_text(encoding="utf-8").splitlines():
            with suppress(OSError):
                _number, _parent, device, source, place = line.split()[:5]
                # In the process's own directory tree, which may have other files of the same name.
                found = os.stat(f"{root}/root{place}")  # noqa: PTH116
                if not stat.S_ISREG(found.st_mode):
                    continue
                if (found.st_dev, found.st_ino) in known:
                    return known[found.st_dev, found.st_ino]
                # A file that was replaced has no name any more, but the mount still tells its path.
                origin = source.removesuffix("//deleted")
                major, minor = map(int, device.split(":"))
                for file, directory in places.items():
                    if directory == os.makedev(major, minor) and file.endswith(origin):
                        return file
    return None


def alone_text(file: str) -> str:
    """What that means."""
    return (
        f"HAProxy has {file} mounted as a single file, so it would keep the old file when that is "
        "replaced"
    )


def name_them(path: str, worker: int) -> str:
    """The parameter to give, so that no file is missing."""
    with suppress(UnprovedError):
        return f"Set config to [{', '.join(find_process(worker, path).loads)}]"
    return "Set config to the files and directories that HAProxy is started with (-f)"


def _is_master(pid: int, program: str) -> bool:
    return pid_namespace(pid) == pid_namespace("self") and program_of(pid) == program


def _stat(pid: int) -> list[str]:
    """Its state, its parent and more, as proc_pid_stat(5) has them from the third on."""
    status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return status.rpartition(")")[2].split()


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def started(pid: int) -> int:
    """When it started, in ticks since the boot."""
    return int(_stat(pid)[19])


def pid_namespace(pid: int | str) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115


def _mounts(pid: int | str) -> str:
    return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115


def program_of(pid: int) -> str:
    # An upgrade of the package leaves the old program running.
    return os.readlink(f"/proc/{pid}/exe").replace(" (deleted)", "")  # noqa: PTH115


def is_haproxy(program: str) -> bool:
    """Whether the name of a program is one of HAProxy's, such as haproxy-3.0."""
    return program.rpartition("/")[2].startswith("haproxy")


def command_line(pid: int) -> list[str]:
    """Its arguments."""
    raw = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:-1]
    return [os.fsdecode(word) for word in raw]


def loads(pid: int) -> tuple[str, ...]:
    """What follows each -f, and --, on its command line."""
    words = command_line(pid)
    rest = words[words.index("--") + 1 :] if "--" in words else []
    options = words[: len(words) - len(rest)]
    given = [value for name, value in zip(options, options[1:]) if name == "-f"] + rest
    home = working_directory(pid)
    return tuple(str(Path(home, path)) for path in given)


def working_directory(pid: int) -> str:
    """Where its relative paths begin; it went there itself if it has the option -C."""
    words = command_line(pid)
    home = os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115
    for name, value in zip(words, words[1:]):
        home = str(Path(home, value)) if name == "-C" else home
    return home
