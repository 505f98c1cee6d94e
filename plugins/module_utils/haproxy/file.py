# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace a configuration file atomically: candidate beside it, then rename; and one lock.

The candidate's name starts with a dot and does not end in ``.cfg``, so HAProxy ignores it even
where it loads the whole directory. The lock is on the directory itself: it leaves no file behind,
and replacing the configuration does not release it.

A configuration may be several files. They are read in the order in which HAProxy reads them, and
the directories of all are locked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError

_SUFFIX = ".candidate"
_NAME_THE_FILE = "Name the file that has the frontend"
_REMEDIES = {
    errno.EACCES: "Run the task with become",
    errno.ENOENT: "Check the path",
    errno.ENOSPC: "Free some space, then run the task again",
    errno.EROFS: "Mount the file system writable",
}


class FileError(HaproxyError):
    """A file that cannot be read, locked or replaced."""

    reason = "file"


def _failed(problem: str, error: OSError) -> FileError:
    return FileError(f"{problem}: {error.strerror}", _REMEDIES.get(error.errno or 0, ""))


@dataclass(frozen=True)
class ConfigFile:
    """A file as it was read: its real path (links resolved), its bytes and its identity."""

    path: str
    data: bytes
    identity: tuple[int, int, int, int]
    changed_at: float


def loaded_files(paths: Sequence[str]) -> tuple[str, ...]:
    """The files that ``haproxy -f PATH -f PATH`` loads, in its order.

    Of a directory these are the files that end in ``.cfg`` and do not begin with a dot, sorted by
    bytes whatever the locale.
    """
    found: list[str] = []
    for path in paths:
        # A link is not resolved: HAProxy may look for files beside it.
        place = os.path.abspath(path)  # noqa: PTH100
        if not os.path.isdir(place):  # noqa: PTH112
            found.append(place)
            continue
        try:
            names = sorted(os.listdir(place), key=os.fsencode)  # noqa: PTH208
            chosen = [name for name in names if name.endswith(".cfg") and name[0] != "."]
            paths = [os.path.join(place, name) for name in chosen]  # noqa: PTH118
            files = [one for one in paths if stat.S_ISREG(os.stat(one).st_mode)]  # noqa: PTH116
        except OSError as error:
            raise _failed(f"{error.filename} cannot be read", error) from None
        if not files:
            raise FileError(
                f"the directory {path} has no file that HAProxy would load (*.cfg)",
                "Name the files or directories that HAProxy is started with (-f)",
            )
        found.extend(files)
    return tuple(found)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def read_file(path: str) -> ConfigFile:
    real = os.path.realpath(path)
    try:
        mode = Path(real).stat().st_mode
        if stat.S_ISDIR(mode):
            raise FileError(f"{path} is a directory, expected a file", _NAME_THE_FILE)
        # Opening a pipe would wait for a writer.
        if not stat.S_ISREG(mode):
            raise FileError(f"{path} is not a regular file", _NAME_THE_FILE)
        with Path(real).open("rb") as handle:
            status = os.fstat(handle.fileno())
            data = handle.read()
    except OSError as error:
        raise _failed(f"{path} cannot be read", error) from None
    return ConfigFile(real, data, _identity(status), max(status.st_mtime, status.st_ctime))


def _sync_directory(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _pattern(path: str) -> tuple[str, str]:
    directory, name = os.path.split(path)
    return directory, f".{name}.bookface-"


def write_candidate(original: ConfigFile, data: bytes) -> str:
    """The new content beside the original, with its owner, mode and extended attributes."""
    directory, prefix = _pattern(original.path)
    try:
        handle, candidate = tempfile.mkstemp(suffix=_SUFFIX, prefix=prefix, dir=directory)
    except OSError as error:
        raise _failed(f"cannot write into {directory}", error) from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            status = Path(original.path).stat()
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(stream.fileno(), status.st_uid, status.st_gid)
            os.fchmod(stream.fileno(), stat.S_IMODE(status.st_mode))
            _copy_attributes(original.path, candidate)
            os.fsync(stream.fileno())
    except OSError as error:
        discard(candidate)
        raise _failed(f"cannot write {candidate}", error) from None
    except BaseException:
        discard(candidate)
        raise
    return candidate


def _copy_attributes(source: str, target: str) -> None:
    """SELinux context and access control lists, where the file system has them."""
    with suppress(OSError):
        for name in os.listxattr(source):
            with suppress(OSError):
                value = os.getxattr(source, name)
                if name not in os.listxattr(target) or os.getxattr(target, name) != value:
                    os.setxattr(target, name, value)


def write_backup(original: ConfigFile) -> str:
    """A copy of the file as it was read, beside it; complete or not at all."""
    now = time.strftime("%Y-%m-%d@%H:%M:%S")
    backup = f"{original.path}.{os.getpid()}.{now}~"
    copy = write_candidate(original, original.data)
    try:
        Path(copy).rename(backup)
    except OSError as error:
        discard(copy)
        raise _failed(f"cannot write {backup}", error) from None
    return backup


def discard(candidate: str) -> None:
    with suppress(OSError):
        Path(candidate).unlink()


def discard_leftovers(path: str) -> None:
    """Candidates of runs that were killed. Only while holding the lock."""
    directory, prefix = _pattern(path)
    with suppress(OSError):
        for found in Path(directory).iterdir():
            if found.name.startswith(prefix) and found.name.endswith(_SUFFIX):
                discard(str(found))


def replace(original: ConfigFile, candidate: str) -> ConfigFile:
    """Rename the candidate over the original, unless that was changed since it was read."""
    try:
        if _identity(Path(original.path).stat()) != original.identity:
            raise FileError(
                f"{original.path} was changed by another program since it was read",
                "Run the task again",
            )
        Path(candidate).rename(original.path)
    except OSError as error:
        raise _failed(f"cannot replace {original.path}", error) from None
    # The new file is in place. That the rename survives a power cut is best effort.
    with suppress(OSError):
        _sync_directory(str(Path(original.path).parent))
    return read_file(original.path)


def write_atomically(path: str, data: bytes) -> None:
    """A file of our own that everybody may read, created or replaced atomically."""
    directory, prefix = _pattern(path)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(suffix=_SUFFIX, prefix=prefix, dir=directory)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            os.fchmod(stream.fileno(), 0o644)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).rename(path)
    except OSError as error:
        discard(temporary)
        raise _failed(f"cannot write {path}", error) from None


def _holder(handle: int) -> str:
    """Who holds the lock, from the kernel's list; best effort."""
    status = os.fstat(handle)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with suppress(OSError), Path("/proc/locks").open(encoding="ascii") as locks:
        for line in locks:
            fields = line.split()
            if "FLOCK" in fields and place in fields and "->" not in fields:
                return f"process {fields[fields.index(place) - 1]}"
    return "another process"


def _home(path: str) -> str:
    """The directory of a file, links resolved; a loop of links raises no error here."""
    return str(Path(os.path.realpath(path)).parent)


@contextmanager
def locked(
    path: str,
    seconds: float,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the lock of a configuration file's directory, waiting for it at most ``seconds``."""
    directory = _home(path)
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _failed(f"{directory} cannot be opened", error) from None
    try:
        end = now() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if now() >= end:
                    raise FileError(
                        f"another task is changing {path} ({_holder(handle)} holds the lock on "
                        f"{directory}); waited {seconds:.3g} s",
                        "Run the task again when that one has ended, or set lock_timeout higher",
                    ) from None
                sleep(min(0.05, max(end - now(), 0.0)))
            except OSError as error:
                raise _failed(f"{directory} cannot be locked", error) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def all_locked(files: Sequence[str], seconds: float) -> Iterator[None]:
    """Hold the locks of all files' directories, always taken in the same order."""
    first_in = {_home(file): file for file in reversed(files)}
    end = time.monotonic() + seconds
    with ExitStack() as locks:
        for directory in sorted(first_in):
            locks.enter_context(locked(first_in[directory], max(end - time.monotonic(), 0.0)))
        yield
