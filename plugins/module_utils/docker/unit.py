# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that the engine's unit gives as flags: it does not start if daemon.json has them, too."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ansible_collections.bookface.platform.plugins.module_utils.docker.daemon import SCHEMA

# What the packages of Docker and of Debian install, for a host that has no unit yet.
PACKAGED = "[Service]\nExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd.sock\n"
# What the init script of these packages does.
INIT_SCRIPT = "[Service]\nEnvironmentFile=/etc/default/docker\nExecStart=dockerd $DOCKER_OPTS\n"

_SHORT = {
    "-D": "debug",
    "-G": "group",
    "-H": "hosts",
    "-b": "bridge",
    "-g": "data-root",
    "-l": "log-level",
    "-p": "pidfile",
    "-s": "storage-driver",
}
_LONG = {
    "add-runtime": "runtimes",
    "http-proxy": "proxies",
    "https-proxy": "proxies",
    "no-proxy": "proxies",
}


@dataclass(frozen=True)
class Flag:
    """A flag of the engine, and the file that gives it."""

    text: str
    value: str
    where: str

    def __str__(self) -> str:
        return f"{self.text} in {self.where}"


def _key(name: str) -> str:
    """The key of daemon.json for a long flag: a flag that may be repeated is a list there."""
    if name in _LONG:
        return _LONG[name]
    plurals = (name, f"{name}s", f"{name[:-1]}ies")
    return next((key for key in plurals if key in SCHEMA), name)


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    """File, name and value of each setting of a unit, as C(systemctl cat) shows it."""
    where = "the engine's unit"
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if re.match(r"# /\S+$", line):
            where = line[2:]
        name, equals, value = line.partition("=")
        if equals and not line.startswith(("#", ";")):
            yield where, name.strip(), value.strip()


def flags(unit: str, read: Callable[[str], str]) -> dict[str, Flag]:
    """The flags of the engine by the key of daemon.json that each of them excludes.

    C(read) returns the text of a file with environment variables.
    """
    start: tuple[str, str] = ("", "")
    variables: dict[str, tuple[str, str]] = {}
    for where, name, value in _lines(unit):
        if name == "ExecStart":
            start = (where, value)
        elif name == "Environment":
            for word in _split(value):
                variable, _equals, content = word.partition("=")
                variables[variable] = (where, content)
        elif name == "EnvironmentFile":
            file = value.lstrip("-")
            for line in read(file).splitlines():
                variable, equals, content = line.partition("=")
                if equals and not line.lstrip().startswith("#"):
                    variables[variable.strip()] = (file, " ".join(_split(content)))
    words: list[tuple[str, str]] = []
    for word in _split(start[1]):
        named = re.fullmatch(r"\$\{?(\w+)\}?", word)
        if named:
            where, content = variables.get(named[1], ("", ""))
            words += [(where, part) for part in _split(content)]
        else:
            words.append((start[0], word))
    return dict(_flags(words[1:]))


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _flags(words: list[tuple[str, str]]) -> Iterator[tuple[str, Flag]]:
    for number, (where, word) in enumerate(words):
        following = words[number + 1][1] if number + 1 < len(words) else ""
        name, equals, value = word.partition("=")
        if not equals and not following.startswith("-"):
            value = following
        if word.startswith("--"):
            yield _key(name[2:]), Flag(name, value, where)
        elif name[:2] in _SHORT:
            yield _SHORT[name[:2]], Flag(name[:2], name[2:] or value, where)
