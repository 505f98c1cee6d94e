# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of an HAProxy configuration: lines, words, sections.

Nothing here touches the file system. A configuration is kept as its lines, so that joining them
restores the text byte for byte (read with ``decode``, write with ``encode``).

HAProxy reads several files one after the other: a section ends with its file, but a ``defaults``
section also applies to the files after it. ``join`` does the same.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError

# Words that begin a section. HAProxy decides a section by the first word of a line alone.
SECTIONS = frozenset(
    (
        "acme",
        "backend",
        "cache",
        "crt-store",
        "defaults",
        "dynamic-update",
        "fcgi-app",
        "frontend",
        "global",
        "http-errors",
        "listen",
        "log-forward",
        "log-profile",
        "mailers",
        "namespace_list",
        "peers",
        "program",
        "resolvers",
        "ring",
        "traces",
        "userlist",
    )
)
# What a line begins with that matters to ``parse``, unless quotes hide it.
_BEGINNINGS = (".", *SECTIONS)
FRONTENDS = ("frontend", "listen")
BACKENDS = ("backend", "listen")

BLANKS = " \t\v\f"
# A first word without quotes or escapes: nearly every line, so it has a fast path.
_PLAIN_FIRST = re.compile(r"[ \t\v\f]*([^ \t\v\f\r\n#\"'\\]*)(.?)", re.DOTALL)
# What makes more of splitting a line than a search for blanks, and a word without any of it.
_QUOTING = re.compile(r"[\"'\\#\r]|\n.")
_BARE = re.compile(r"[^ \t\v\f\n]+")
_SAFE_WORD = re.compile(r"[A-Za-z0-9_.:/@%{}()\[\],=+*&;<>?!|~^-]+\Z")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class HaproxyConfigError(HaproxyError):
    """The configuration is ambiguous, or cannot be edited safely."""


class UnknownSectionError(HaproxyConfigError):
    """A frontend or backend that the configuration does not have."""

    reason = "no_such_section"

    def __init__(self, problem: str, existing: tuple[str, ...], remedy: str) -> None:
        super().__init__(problem, remedy)
        self.existing = existing


@dataclass(frozen=True)
class Word:
    """One word of a line: its meaning, and where it stands in the line (quotes included)."""

    value: str
    start: int
    end: int
    variable: bool = False


@dataclass(frozen=True)
class Section:
    """A section: lines ``start`` (its header) up to, not including, ``end``, counted from 0."""

    kind: str
    name: str
    start: int
    end: int
    parent: str | None = None
    condition: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True)
class Config:
    """A whole configuration; ``conditions`` names the ``.if`` branches that each line is in.

    ``files`` are the names of its files and the number of the first line of each.
    """

    lines: tuple[str, ...]
    sections: tuple[Section, ...]
    conditions: tuple[tuple[int, ...], ...]
    files: tuple[tuple[str, int], ...] = (("", 0),)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def file_of(self, line: int) -> int:
        """Which of the files a line stands in."""
        return bisect_right([first for _name, first in self.files], line) - 1

    def extent(self, file: int) -> tuple[int, int]:
        """The lines of a file: its first, and the first after it."""
        after = self.files[file + 1][1] if file + 1 < len(self.files) else len(self.lines)
        return self.files[file][1], after

    def place(self, line: int) -> str:
        """A line as a user finds it: its number from 1, with the file where there are several."""
        name, first = self.files[self.file_of(line)]
        number = line - first + 1
        return f"{name}:{number}" if len(self.files) > 1 else f"{number}"


def decode(data: bytes) -> str:
    """Bytes to text so that ``encode`` gives the same bytes back, whatever they are."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """Text that can be returned as JSON: bytes that are not UTF-8 become replacement characters."""
    return encode(text).decode("utf-8", "replace")


def split_lines(text: str) -> tuple[str, ...]:
    """Lines as HAProxy reads them: only a line feed ends one, and it stays on its line."""
    parts = text.split("\n")
    lines = [part + "\n" for part in parts[:-1]]
    if parts[-1]:
        lines.append(parts[-1])
    return tuple(lines)


def split_words(line: str) -> tuple[Word, ...]:
    """The words of one line, by HAProxy's quoting: '...', "...", backslash, # comment."""
    if not _QUOTING.search(line):
        # Most lines, in a tenth of the time.
        return tuple(
            Word(word[0], word.start(), word.end(), False) for word in _BARE.finditer(line)
        )
    words: list[Word] = []
    value: list[str] = []
    start = -1
    variable = False
    quote = ""
    pos = 0
    size = len(line)
    while pos < size:
        char = line[pos]
        if char in "\r\n":
            break
        if quote == "'":
            if char == "'":
                quote = ""
            else:
                value.append(char)
            pos += 1
            continue
        if char == "\\" and pos + 1 < size and line[pos + 1] not in "\r\n":
            start = pos if start < 0 else start
            escaped = line[pos + 1]
            digits = line[pos + 2 : pos + 4]
            if escaped == "x" and re.fullmatch("[0-9A-Fa-f]{2}", digits):
                value.append(chr(int(digits, 16)))
                pos += 4
            else:
                value.append(_ESCAPES.get(escaped, escaped))
                pos += 2
            continue
        if quote == '"':
            if char == '"':
                quote = ""
            else:
                variable = variable or char == "$"
                value.append(char)
        elif char == "#":
            break
        elif char in BLANKS:
            if start >= 0:
                words.append(Word("".join(value), start, pos, variable))
                value, start, variable = [], -1, False
        else:
            start = pos if start < 0 else start
            if char in "\"'":
                quote = char
            else:
                value.append(char)
        pos += 1
    if start >= 0:
        words.append(Word("".join(value), start, pos, variable))
    return tuple(words)


def quote_word(word: str) -> str:
    """Write a word so that HAProxy reads exactly this word."""
    if _SAFE_WORD.match(word):
        return word
    if not any(char in word for char in "'\r\n"):
        return f"'{word}'"
    back = {"\n": "n", "\r": "r", "\t": "t"}
    escaped = "".join(
        "\\" + back.get(char, char) if char in "\\'\"# \n\r\t\v\f" else char for char in word
    )
    return escaped


def keyword(line: str) -> str:
    """The first word of a line, or an empty string."""
    found = _PLAIN_FIRST.match(line)
    if found and found.group(2) not in ('"', "'", "\\"):
        return found.group(1)
    words = split_words(line)
    return words[0].value if words else ""


def parse(text: str) -> Config:
    """Split a text into sections. Always succeeds; ``parse(text).text == text``."""
    lines = split_lines(text)
    sections: list[Section] = []
    conditions: list[tuple[int, ...]] = []
    stack: tuple[int, ...] = ()
    branches = 0
    open_section: tuple[str, str, int, str | None, tuple[int, ...]] | None = None

    def close(end: int) -> None:
        if open_section is not None:
            kind, name, start, parent, condition = open_section
            sections.append(Section(kind, name, start, end, parent, condition))

    for number, line in enumerate(lines):
        # Splitting every line into words would take most of the time.
        loud = line.lstrip(BLANKS).startswith(_BEGINNINGS)
        quoted = '"' in line or "'" in line or "\\" in line
        first = keyword(line) if loud or quoted else ""
        if first.startswith("."):
            branches += 1
            if first == ".if":
                stack = (*stack, branches)
            elif first in (".elif", ".else") and stack:
                stack = (*stack[:-1], branches)
            elif first == ".endif":
                stack = stack[:-1]
        elif first in SECTIONS:
            close(number)
            values = [word.value for word in split_words(line)[1:]]
            name = values[0] if values else ""
            parent = None
            if "from" in values[:2]:
                where = values.index("from")
                name = "" if where == 0 and first == "defaults" else name
                parent = values[where + 1] if len(values) > where + 1 else None
            open_section = (first, name, number, parent, stack)
        conditions.append(stack)
    close(len(lines))
    return Config(lines, tuple(sections), tuple(conditions))


def join(parts: Iterable[tuple[str, Config]]) -> Config:
    """Several files, each parsed by itself, in the order in which HAProxy reads them."""
    lines: list[str] = []
    sections: list[Section] = []
    conditions: list[tuple[int, ...]] = []
    files: list[tuple[str, int]] = []
    for name, config in parts:
        first = len(lines)
        files.append((name, first))
        lines.extend(config.lines)
        conditions.extend(config.conditions)
        sections.extend(
            replace(section, start=section.start + first, end=section.end + first)
            if first
            else section
            for section in config.sections
        )
    return Config(tuple(lines), tuple(sections), tuple(conditions), tuple(files))


def with_file(config: Config, file: int, text: str) -> Config:
    """The configuration with another text of one of its files."""
    texts = [
        "".join(config.lines[slice(*config.extent(number))]) for number in range(len(config.files))
    ]
    texts[file] = text
    return join((name, parse(one)) for (name, _first), one in zip(config.files, texts))


def parse_files(files: Iterable[tuple[str, bytes]]) -> Config:
    """The configuration of these files, given with names and contents in HAProxy's order."""
    return join((name, parse(decode(data))) for name, data in files)


def _names(config: Config, kinds: tuple[str, ...]) -> tuple[str, ...]:
    found = (section.name for section in config.sections if section.kind in kinds)
    return tuple(dict.fromkeys(name for name in found if name))


def frontend_names(config: Config) -> tuple[str, ...]:
    """Frontends and listen sections, in the order of the text."""
    return _names(config, FRONTENDS)


def backend_names(config: Config) -> tuple[str, ...]:
    """Backends and listen sections, in the order of the text."""
    return _names(config, BACKENDS)


def _list(names: tuple[str, ...]) -> str:
    shown = ", ".join(printable(name) for name in names[:50])
    return (shown + (", ..." if len(names) > 50 else "")) or "none"


def places(config: Config, lines: list[int]) -> str:
    return ", ".join(config.place(line) for line in lines)


def _find(config: Config, kinds: tuple[str, ...], what: str, name: str) -> Section:
    found = [
        section for section in config.sections if section.kind in kinds and section.name == name
    ]
    if not found:
        existing = _names(config, kinds)
        raise UnknownSectionError(
            f"{what} '{name}' is not in the configuration; existing {what}s: {_list(existing)}",
            existing,
            f"Name one of them; if the inventory has {name}, run site.yml first",
        )
    if len(found) > 1:
        raise HaproxyConfigError(
            f"{what} '{name}' is defined more than once (lines "
            f"{places(config, [section.start for section in found])}), so it is unclear which one "
            "HAProxy uses",
            "Remove or rename all but one",
        )
    return found[0]


def find_frontend(config: Config, name: str) -> Section:
    return _find(config, FRONTENDS, "frontend", name)


def find_backend(config: Config, name: str) -> Section:
    return _find(config, BACKENDS, "backend", name)


def lines_of(config: Config, section: Section, words: tuple[str, ...]) -> list[int]:
    return [
        number
        for number in range(section.start + 1, section.end)
        if keyword(config.lines[number]) in words
    ]
