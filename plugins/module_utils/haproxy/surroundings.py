# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy runs with: environment, directory, program and options, which its files may need.

Of the process that has loaded them, since a reload keeps its environment whatever the unit says by
now. Of the systemd unit where none runs.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.process import (
    command_line,
    is_haproxy,
    loads,
    pid_namespace,
    program_of,
    sees,
    started,
    working_directory,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    Config,
    lines_of,
    split_words,
)

PROPERTIES = ("LoadState", "Environment", "EnvironmentFiles", "WorkingDirectory")
# Options that decide whether a configuration is accepted; some have a value.
_FLAGS = frozenset(("-dr", "-dW"))
_WITH_VALUE = frozenset(("-L",))
# What HAProxy itself sets, for its processes and while it reads a configuration.
_HAPROXY = re.compile(
    r"HAPROXY_(?:BRANCH|CFGFILES|(?:MASTER_)?CLI|LOAD_SUCCESS|LOCALPEER|MWORKER\w*|PROCESSES"
    r"|STARTUP\w*|(?:HTTPS?|(?:HTTP|TCP)_CLF|TCP)_LOG_FMT)\Z"
)
# What systemd sets for the process, and what the loader obeys.
_OWN = re.compile(r"LD_|NOTIFY_SOCKET\Z|LISTEN_|WATCHDOG_|INVOCATION_ID\Z|MAINPID\Z")
_VARIABLE = re.compile(r"\$\{(\w+)(?:\[\*\])?\}")
_SET = re.compile(r"^\s*(?:setenv|presetenv)\s+(\w+)", re.MULTILINE)
_KEY = re.compile(r"[A-Za-z_]\w*\Z")


@dataclass(frozen=True)
class Surroundings:
    """``source`` names what they are from. Without it nothing is known: ``environment`` is None.

    ``contained``: of a container, whose root is not ours. Good for addresses, not to be executed.
    """

    source: str = ""
    environment: Mapping[str, str] | None = None
    directory: str = "/"
    options: tuple[str, ...] = ()
    program: str | None = None
    contained: bool = False


def of_process(files: Iterable[str], processes: Iterable[int] | None = None) -> Surroundings | None:
    """Those of an HAProxy on this machine that has loaded all of the files that exist.

    What a process says of itself decides what the validation executes, so that only root's
    processes and our own count. One in a container only if there is no other.
    """
    contained: Surroundings | None = None
    wanted = {os.path.realpath(file) for file in files if Path(file).exists()}
    if processes is None:
        processes = sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208
    for pid in processes:
        # Most are something else, and any may end meanwhile.
        with suppress(OSError):
            before = _trusted_program(pid)
            if before is None:
                continue
            words = command_line(pid)
            loaded = _files(loads(pid))
            complete = all(file in loaded and sees(pid, file) for file in wanted)
            if "-c" in words or not wanted or not complete:
                continue
            home = working_directory(pid)
            raw = Path(f"/proc/{pid}/environ").read_bytes()
            program, _started, elsewhere = before
            usable = not elsewhere and sees(pid, program) and _only_ours(program)
            found = Surroundings(
                f"process {pid}",
                _without_own(entry.partition("=")[::2] for entry in os.fsdecode(raw).split("\0")),
                home if sees(pid, home) else "/",
                _options(words),
                program if usable else None,
                elsewhere,
            )
            # Else some of this may be of a successor with the same number.
            if _trusted_program(pid) != before:
                continue
            if not elsewhere:
                return found
            contained = contained or found
    return contained


def _trusted_program(pid: int) -> tuple[str, int, bool] | None:
    """The program of an HAProxy of root or ours, when it started, whether it is in a container."""
    # First what is cheap: a machine may have thousands of processes.
    program = program_of(pid)
    if not is_haproxy(program):
        return None
    # Not the owner of its files in /proc: a process can have root become that.
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^Uid:((?:\t\d+)+)$", status, re.MULTILINE)
    if found is None or not set(map(int, found[1].split())) <= {0, os.geteuid()}:
        return None
    return program, started(pid), pid_namespace(pid) != pid_namespace("self")


def _only_ours(path: str) -> bool:
    """Whether nobody but root or us can have put this file there."""
    place = Path(os.path.realpath(path))
    states = [one.stat() for one in (place, *place.parents)]
    return all(one.st_uid in (0, os.geteuid()) and not one.st_mode & 0o022 for one in states)


def _files(paths: Sequence[str]) -> set[str]:
    """The files that are named, and those in directories that are."""
    found = set()
    for path in paths:
        found.add(os.path.realpath(path))
        if Path(path).is_dir():
            found.update(os.path.realpath(file) for file in Path(path).glob("*.cfg"))
    return found


def _options(words: Sequence[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for word, following in zip(words, [*words[1:], ""]):
        if word in _FLAGS:
            kept.append(word)
        elif word in _WITH_VALUE:
            kept += [word, following]
    return tuple(kept)


def _without_own(variables: Iterable[Sequence[str]]) -> dict[str, str]:
    return {
        name: value
        for name, value in variables
        if name and not _OWN.match(name) and not _HAPROXY.match(name)
    }


def of_unit(name: str, shown: str, read: Callable[[str], str | None]) -> Surroundings | None:
    """Those of a service, from ``systemctl show`` and the files that it names."""
    lines = [line.partition("=") for line in shown.splitlines()]
    if ("LoadState", "=", "loaded") not in lines:
        return None
    found: dict[str, str] = {}
    for key, _equals, value in lines:
        if key == "Environment":
            # In its quotes, as a shell's, systemd escapes these too.
            found.update(_assigned(shlex.split(re.sub(r"\\([$`])", r"\1", value))))
    # Files win over the unit's own lines, wherever they are.
    for key, _equals, value in lines:
        if key == "EnvironmentFiles":
            path = re.sub(r" \(ignore_errors=\w+\)\Z", "", value)
            found.update(parse_environment(read(path) or ""))
    directory = next((value for key, _equals, value in lines if key == "WorkingDirectory"), "")
    return Surroundings(f"unit {name}", _without_own(found.items()), directory.lstrip("!-") or "/")


def _assigned(words: Iterable[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    return {key: value for key, equals, value in pairs if equals and _KEY.match(key)}


def parse_environment(text: str) -> dict[str, str]:
    """The variables in a file for systemd's EnvironmentFile."""
    found: dict[str, str] = {}
    for line in re.sub(r"\\\n", "", text).splitlines():
        key, equals, value = line.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not _KEY.match(key):
            continue
        if value[:1] in ("'", '"'):
            with suppress(ValueError):
                value = "".join(shlex.split(value))
        found[key] = value
    return found


def base_directory(config: Config, line: int, directory: str | None) -> str | None:
    """Where the relative paths in a line of the configuration begin, by ``default-path``.

    ``directory``: where HAProxy runs. None where that decides and is unknown.
    """
    home = str(Path(config.files[config.file_of(line)][0]).parent)
    base = directory
    for section in config.sections:
        if section.kind != "global":
            continue
        for number in lines_of(config, section, ("default-path",)):
            kind, *origin = [word.value for word in split_words(config.lines[number])[1:]] or [""]
            if kind == "config":
                base = home
            elif kind == "parent":
                base = str(Path(home).parent)
            elif kind == "origin" and origin:
                base = origin[0]
            elif kind == "current":
                base = directory
    return base


def missing(texts: Iterable[str], surroundings: Surroundings) -> tuple[str, ...]:
    """The variables that the configuration uses and nothing sets, as far as that is known."""
    text = "\n".join(texts)
    given = set(_SET.findall(text)).union(surroundings.environment or os.environ)
    used = dict.fromkeys(_VARIABLE.findall(text))
    return tuple(name for name in used if name not in given and not _HAPROXY.match(name))
