# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edit of a switch: replace one word of a configuration, or add one line."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import default_backend
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    BLANKS,
    Config,
    Section,
    keyword,
    quote_word,
    split_words,
)


@dataclass(frozen=True)
class Edit:
    """An edited file, with the line (from 1) before and after for a diff."""

    text: str
    changed: bool
    line: int
    before: str
    after: str
    file: int = 0


def _ending(config: Config, line: int) -> str:
    first, _after = config.extent(config.file_of(line))
    for text in (config.lines[line], config.lines[first]):
        if text.endswith("\r\n"):
            return "\r\n"
        if text.endswith("\n"):
            return "\n"
    return "\n"


def _insertion(config: Config, section: Section, name: str) -> tuple[int, str, str]:
    """Where a missing line goes: after the last line with content, indented like it."""
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
            indent = line[: len(line) - len(line.lstrip(BLANKS))]
    if not indent:
        header = config.lines[section.start]
        indent = header[: len(header) - len(header.lstrip(BLANKS))] + "    "
    ending = _ending(config, after)
    previous = config.lines[after]
    line = f"{indent}default_backend {quote_word(name)}"
    if previous.endswith("\n"):
        return after + 1, line + ending, ""
    return after + 1, line, ending


def set_default_backend(config: Config, section: Section, backend: str) -> Edit:
    """Make the frontend's default_backend name the backend; every other byte stays."""
    current = default_backend(config, section)
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


def keep_default_backend(config: Config, section: Section) -> Edit:
    """The edit that changes nothing, for a plan that leaves the file unchanged."""
    line = default_backend(config, section).line
    file = config.file_of(section.start)
    first, after = config.extent(file)
    shown = "" if line is None else config.lines[line]
    number = section.start if line is None else line
    text = "".join(config.lines[first:after])
    return Edit(text, False, number - first + 1, shown, shown, file)
