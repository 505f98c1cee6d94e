# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of an HAProxy configuration: sections, words, and the one line that decides.

Nothing here touches the file system. A configuration is kept as its own lines, so that joining
them gives back the very text that was read, byte for byte (read with ``decode``, write with
``encode``), and an edit replaces one word or adds one line.

HAProxy reads several files one after the other: a section ends with its file, but a ``defaults``
section reaches over the border. ``join`` does the same.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

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

_SPACE = " \t\v\f"
# A first word without quotes or escapes: nearly every line, so it has a path of its own.
_PLAIN_FIRST = re.compile(r"[ \t\v\f]*([^ \t\v\f\r\n#\"'\\]*)(.?)", re.DOTALL)
_SAFE_WORD = re.compile(r"[A-Za-z0-9_.:/@%{}()\[\],=+*&;<>?!|~^-]+\Z")
_RULE_TARGET = re.compile(r"%\[fe_name,map(?:_str)?\(([^(),\s]+)\)\]\Z")
_RULE_FETCH = re.compile(r"fe_name,map(?:_str)?\(([^(),\s]+)\)\Z")
_COHORT_TARGET = re.compile(r"%\[var\(([^(),\s]+)\),map(?:_str)?\(([^(),\s]+)\)\]\Z")
_COHORT_FETCH = re.compile(r"var\(([^(),\s]+)\),map(?:_str)?\(([^(),\s]+)\)\Z")
_COHORT_KEY = re.compile(r"fe_name,concat\(/,([^(),\s]+)\)\Z")
_SET_VAR = re.compile(r"set-var\(([^(),\s]+)\)\Z")
_COHORT = "mod(100)"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class HaproxyConfigError(Exception):
    """The text cannot be understood or edited without guessing."""


class UnknownSectionError(HaproxyConfigError):
    """A frontend or backend that the configuration does not have."""

    def __init__(self, message: str, existing: tuple[str, ...]) -> None:
        super().__init__(message)
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
        """A line as a person finds it: its number from 1, with the file where there are several."""
        name, first = self.files[self.file_of(line)]
        number = line - first + 1
        return f"{name}:{number}" if len(self.files) > 1 else f"{number}"


@dataclass(frozen=True)
class DefaultBackend:
    """What decides where a frontend sends its traffic, by the text alone."""

    name: str | None
    line: int | None = None
    inherited: bool = False
    variable: bool = False


@dataclass(frozen=True)
class MapRule:
    """The rule by which a frontend follows a map before it looks at its default_backend."""

    path: str
    line: int


@dataclass(frozen=True)
class Edit:
    """An edited file, with the line (from 1) before and after for a diff."""

    text: str
    changed: bool
    line: int
    before: str
    after: str
    file: int = 0


def decode(data: bytes) -> str:
    """Bytes to text so that ``encode`` gives the same bytes back, whatever they are."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    """Text that may be returned as JSON: bytes that are no UTF-8 become a replacement sign."""
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
        elif char in _SPACE:
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
    """Cut a text into sections. Always succeeds; ``parse(text).text == text``."""
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
        # Looking at the words of every line would take most of the time.
        loud = line.lstrip(_SPACE).startswith(_BEGINNINGS)
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


def parse_files(files: Iterable[tuple[str, bytes]]) -> Config:
    """The configuration that these files make, names and contents in HAProxy's order."""
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


def _places(config: Config, lines: list[int]) -> str:
    return ", ".join(config.place(line) for line in lines)


def _find(config: Config, kinds: tuple[str, ...], what: str, name: str) -> Section:
    found = [
        section for section in config.sections if section.kind in kinds and section.name == name
    ]
    if not found:
        existing = _names(config, kinds)
        raise UnknownSectionError(
            f"{what} '{name}' is not in the configuration; {what}s there: {_list(existing)}",
            existing,
        )
    if len(found) > 1:
        raise HaproxyConfigError(
            f"{what} '{name}' is defined more than once (lines "
            f"{_places(config, [section.start for section in found])}); "
            "it cannot be told which of them HAProxy uses"
        )
    return found[0]


def find_frontend(config: Config, name: str) -> Section:
    return _find(config, FRONTENDS, "frontend", name)


def find_backend(config: Config, name: str) -> Section:
    return _find(config, BACKENDS, "backend", name)


def _lines_of(config: Config, section: Section, words: tuple[str, ...]) -> list[int]:
    return [
        number
        for number in range(section.start + 1, section.end)
        if keyword(config.lines[number]) in words
    ]


def defaults_of(config: Config, section: Section) -> Section | None:
    """The defaults section that a section inherits from: the named one, else the latest."""
    earlier = [
        other
        for other in config.sections
        if other.kind == "defaults" and other.start < section.start
    ]
    if section.parent is not None:
        earlier = [other for other in earlier if other.name == section.parent]
    elif section.kind == "defaults":
        return None
    return earlier[-1] if earlier else None


def _own_default(config: Config, section: Section) -> DefaultBackend | None:
    lines = _lines_of(config, section, ("default_backend",))
    if not lines:
        return None
    conditional = [line for line in lines if config.conditions[line] != section.condition]
    if conditional:
        raise HaproxyConfigError(
            f"{section.title}: default_backend stands inside an .if block (lines "
            f"{_places(config, conditional)}), so the text alone does not tell which one HAProxy "
            "uses; write one default_backend line outside of .if blocks"
        )
    # Where a section has several, HAProxy takes the last.
    words = split_words(config.lines[lines[-1]])
    if len(words) < 2:
        return DefaultBackend(None, lines[-1])
    return DefaultBackend(words[1].value, lines[-1], variable=words[1].variable)


def default_backend(config: Config, frontend: str) -> DefaultBackend:
    """What the named frontend's default_backend is: its own line, or one it inherits."""
    section: Section | None = find_frontend(config, frontend)
    own = True
    while section is not None:
        found = _own_default(config, section)
        if found is not None:
            if own:
                return found
            return DefaultBackend(found.name, None, inherited=True, variable=found.variable)
        own = False
        section = defaults_of(config, section)
    return DefaultBackend(None)


def _ending(config: Config, line: int) -> str:
    first, _after = config.extent(config.file_of(line))
    for text in (config.lines[line], config.lines[first]):
        if text.endswith("\r\n"):
            return "\r\n"
        if text.endswith("\n"):
            return "\n"
    return "\n"


def _insertion(config: Config, section: Section, name: str) -> tuple[int, str, str]:
    """Where a missing line goes: after the last line that says something, indented like it."""
    after = section.start
    indent = ""
    for number in range(section.start, section.end):
        if config.conditions[number] != section.condition:
            continue
        first = keyword(config.lines[number])
        if not first:
            continue
        after = number
        if number > section.start and not first.startswith("."):
            line = config.lines[number]
            indent = line[: len(line) - len(line.lstrip(_SPACE))]
    if not indent:
        header = config.lines[section.start]
        indent = header[: len(header) - len(header.lstrip(_SPACE))] + "    "
    ending = _ending(config, after)
    previous = config.lines[after]
    line = f"{indent}default_backend {quote_word(name)}"
    if previous.endswith("\n"):
        return after + 1, line + ending, ""
    return after + 1, line, ending


def set_default_backend(config: Config, frontend: str, backend: str) -> Edit:
    """Let the frontend's default_backend name the backend; every other byte stays."""
    section = find_frontend(config, frontend)
    current = default_backend(config, frontend)
    file = config.file_of(section.start)
    first, after = config.extent(file)
    lines = list(config.lines[first:after])

    def edit(number: int, before: str, line: str) -> Edit:
        return Edit("".join(lines), before != line, number - first + 1, before, line, file)

    if current.inherited and current.name == backend and not current.variable:
        return edit(section.start, "", "")
    if current.line is None:
        where, line, completes = _insertion(config, section, backend)
        lines[where - first - 1] += completes
        lines.insert(where - first, line)
        return edit(where, "", line)
    old = config.lines[current.line]
    if current.name == backend and not current.variable:
        return edit(current.line, old, old)
    words = split_words(old)
    if len(words) < 2:
        end = words[0].end
        new = f"{old[:end]} {quote_word(backend)}{old[end:]}"
    else:
        new = old[: words[1].start] + quote_word(backend) + old[words[1].end :]
    lines[current.line - first] = new
    return edit(current.line, old, new)


def keep_default_backend(config: Config, frontend: str) -> Edit:
    """The edit that changes nothing, for a plan that leaves the file alone."""
    section = find_frontend(config, frontend)
    line = default_backend(config, frontend).line
    file = config.file_of(section.start)
    first, after = config.extent(file)
    shown = "" if line is None else config.lines[line]
    number = section.start if line is None else line
    text = "".join(config.lines[first:after])
    return Edit(text, False, number - first + 1, shown, shown, file)


def is_disabled(config: Config, section: Section) -> bool | None:
    """Whether a section is switched off by ``disabled``; None where an .if block decides it."""
    current: Section | None = section
    while current is not None:
        lines = _lines_of(config, current, ("disabled", "enabled"))
        if any(config.conditions[line] != current.condition for line in lines):
            return None
        if lines:
            return keyword(config.lines[lines[-1]]) == "disabled"
        current = defaults_of(config, current)
    return False


def mode(config: Config, section: Section) -> str | None:
    """``http`` or ``tcp``, by the section or its defaults; None where an .if block decides it."""
    current: Section | None = section
    while current is not None:
        lines = _lines_of(config, current, ("mode",))
        if any(config.conditions[line] != current.condition for line in lines):
            return None
        if lines:
            words = split_words(config.lines[lines[-1]])
            return words[1].value if len(words) > 1 else None
        current = defaults_of(config, current)
    # HAProxy's own default.
    return "tcp"


def _rules(config: Config, section: Section, kind: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a kind that always hold, as words."""
    for number in _lines_of(config, section, (kind,)):
        if config.conditions[number] == section.condition:
            yield number, [word.value for word in split_words(config.lines[number])]


def _follows_map(values: list[str]) -> bool:
    """``use_backend TARGET if { FETCH -m found }``."""
    return len(values) == 8 and values[2:4] == ["if", "{"] and values[5:] == ["-m", "found", "}"]


def map_rules(config: Config, section: Section) -> tuple[MapRule, ...]:
    """The rules of a frontend by which a map entry under its own name decides the backend."""
    rules = []
    for number, values in _rules(config, section, "use_backend"):
        if not _follows_map(values):
            continue
        target = _RULE_TARGET.match(values[1])
        fetch = _RULE_FETCH.match(values[4])
        if target and fetch and target.group(1) == fetch.group(1):
            rules.append(MapRule(target.group(1), number))
    return tuple(rules)


def follows_cohorts(config: Config, section: Section, rule: MapRule) -> bool:
    """Whether an entry FRONTEND/COHORT of the rule's map decides before the rule does.

    Wanted: a variable with a number from 0 to 99 (``mod(100)``), a later one with the key made
    from it, and a ``use_backend`` that looks the key up.
    """
    variables: dict[str, list[tuple[int, str]]] = {}
    for number, values in _rules(config, section, "http-request"):
        name = _SET_VAR.match(values[1]) if len(values) > 2 else None
        if name:
            variables.setdefault(name.group(1), []).append((number, values[2]))
    for number, values in _rules(config, section, "use_backend"):
        if number > rule.line or not _follows_map(values):
            continue
        target = _COHORT_TARGET.match(values[1])
        fetch = _COHORT_FETCH.match(values[4])
        if not target or not fetch or target.groups() != fetch.groups():
            continue
        if target.group(2) != rule.path:
            continue
        for line, expression in variables.get(target.group(1), []):
            source = _COHORT_KEY.match(expression)
            numbers = variables.get(source.group(1), []) if source else []
            if any(before < line and text.endswith(_COHORT) for before, text in numbers):
                return True
    return False


def binds(config: Config, section: Section) -> tuple[str, ...]:
    """The addresses that a section listens on, as written."""
    found = []
    for number in _lines_of(config, section, ("bind",)):
        words = split_words(config.lines[number])
        if len(words) > 1:
            found.append(words[1].value)
    return tuple(found)


def parse_map_file(text: str) -> tuple[tuple[str, str], ...]:
    """The entries of a map file on disk: first word, rest; # and blank lines are no entries."""
    entries = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            key, _space, value = stripped.replace("\t", " ").partition(" ")
            entries.append((key, value.strip()))
    return tuple(entries)
