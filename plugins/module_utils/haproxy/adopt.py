# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Marked blocks in a configuration that was written by hand: added, replaced, removed.

A block is whole lines between ``# BEGIN`` and ``# END``. Removing the blocks restores the original
text byte for byte, so every change is planned on that text: remove all blocks, add the new ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.precedence import (
    all_deciding,
    deciding_rules,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import (
    answers_alone,
    default_backend,
    map_rules,
    mode,
    origin_rule,
    pages,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    BACKENDS,
    FRONTENDS,
    Config,
    HaproxyConfigError,
    Section,
    find_backend,
    find_frontend,
    frontend_names,
    keyword,
    parse,
    printable,
    split_lines,
)

# The lines of the rule that HAProxy requires before a section's first use_backend; the others.
VARIABLES = "variables"
RULE = "rule"
_MARKER = re.compile(
    r"[ \t]*# (BEGIN|END) bookface\.platform "
    r"((?:variables|rule)(?: \S+)?|backend \S+)[ \t]*\r?\n?\Z"
)
_NAME = re.compile(r"[A-Za-z0-9_.:-]+\Z")
_CORRECT_MARKERS = "Correct or delete the markers by hand"


class AdoptError(HaproxyConfigError):
    """The blocks cannot be added or removed."""


@dataclass(frozen=True)
class Wanted:
    """The desired blocks; any other block is removed.

    ``backends`` holds whole sections. ``rule`` holds the lines by which each of ``frontends``
    follows the switch; without them existing rules are removed. ``origins``: the backends that
    frontends return to after a page, see origin.py.
    """

    backends: str = ""
    frontends: tuple[str, ...] = ()
    rule: str = ""
    origins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Backend:
    """A backend to add: the text of its section."""

    name: str
    text: str

    @property
    def title(self) -> str:
        return f"backend {self.name}"


@dataclass(frozen=True)
class Bare:
    """A text without the blocks, and each block: the line it was before, and its own lines."""

    lines: tuple[str, ...]
    blocks: dict[str, tuple[int, str]]

    @property
    def text(self) -> str:
        return "".join(self.lines)


def take_out(text: str) -> Bare:
    """The text as it was before the first block was added."""
    lines: list[str] = []
    blocks: dict[str, tuple[int, str]] = {}
    title, began, block = "", 0, ""
    for number, line in enumerate(split_lines(text), 1):
        found = _MARKER.match(line)
        if found:
            opens = found.group(1) == "BEGIN"
            if opens == bool(title) or (opens and found.group(2) in blocks):
                raise AdoptError(
                    f"line {number} is '{line.strip()}', which does not match the markers before "
                    "it; expected one BEGIN and one END per block",
                    _CORRECT_MARKERS,
                )
            if opens:
                title, began = found.group(2), number
                blocks[title] = (len(lines), "")
            elif found.group(2) != title:
                raise AdoptError(
                    f"the block that begins at line {began} ({title}) ends at line {number} with "
                    f"'{line.strip()}', expected '# END bookface.platform {title}'",
                    _CORRECT_MARKERS,
                )
        if not title:
            lines.append(line)
            continue
        block += line
        if _is_rule(title) and not found and keyword(line) == "default_backend":
            # A switch adds a missing default_backend at the end of the frontend. It is no part of
            # the block, so it stays.
            lines.append(line)
        if found and found.group(1) == "END":
            blocks[title] = (blocks[title][0], block)
            title, block = "", ""
    if title:
        raise AdoptError(
            f"the block that begins at line {began} ({title}) has no END", _CORRECT_MARKERS
        )
    return Bare(tuple(lines), blocks)


def plan(text: str, wanted: Wanted) -> str:
    """The text with the desired blocks and no others. Raises where that would not work."""
    bare = take_out(text)
    config = parse(bare.text)
    _check_text(config)
    backends = _sections(wanted.backends)
    _check_unused(config, bare, backends, wanted.origins)
    # Blocks by the line that they stand before.
    inserts: dict[int, str] = {}
    if wanted.rule:
        _check_all_named(text, wanted)
        for frontend in wanted.frontends:
            inserts.update(_rule_blocks(config, wanted, frontend))
    for backend in backends:
        _check_new(config, backend)
        # Where it was before, else at the end of the file.
        place = bare.blocks.get(backend.title, (len(config.lines), ""))[0]
        block = _block(backend.title, backend.text, "", _ending(config))
        inserts[place] = inserts.get(place, "") + block
    return "".join(
        inserts.get(number, "") + line for number, line in enumerate((*config.lines, ""))
    )


def _is_rule(title: str) -> bool:
    return title.partition(" ")[0] in (VARIABLES, RULE)


def _check_all_named(text: str, wanted: Wanted) -> None:
    """A frontend that follows the switch must not lose its rule because another gets one."""
    config = parse(text)
    following = [
        section.name
        for section in config.sections
        if section.kind in FRONTENDS
        and any(
            found and _is_rule(found.group(2))
            for found in map(_MARKER.match, config.lines[section.start : section.end])
        )
    ]
    left = [name for name in following if name not in wanted.frontends]
    if left:
        raise AdoptError(
            f"frontend {', '.join(left)} has the rule and would lose it, since only "
            f"{', '.join(wanted.frontends)} is named",
            f"Name all that follow the switch: [{', '.join([*left, *wanted.frontends])}]; or "
            "remove the rule first",
        )


def missing_files_empty(text: str, exists: Callable[[str], bool]) -> str:
    """The text for a validation before its maps and pages exist: they are read as empty."""
    config = parse(text)
    for section in config.sections:
        origin = origin_rule(config, section)
        maps = [rule.path for rule in map_rules(config, section)]
        for path in [*maps, origin.path] if origin else maps:
            if not exists(path):
                text = text.replace(f"({path})", "(/dev/null)")
        for page in pages(config, section):
            if not exists(page):
                text = text.replace(f" file {page} ", " file /dev/null ")
    return text


def _block(title: str, text: str, indent: str, ending: str) -> str:
    lines = [f"# BEGIN bookface.platform {title}", *text.split("\n")]
    while not lines[-1].strip():
        lines.pop()
    lines.append(f"# END bookface.platform {title}")
    return "".join((indent + line if line else "") + ending for line in lines)


def _ending(config: Config) -> str:
    return "\r\n" if config.lines and config.lines[-1].endswith("\r\n") else "\n"


def _check_text(config: Config) -> None:
    if config.lines and not config.lines[-1].endswith("\n"):
        raise AdoptError(
            f"the last line ({len(config.lines)}) does not end with a line feed; HAProxy considers "
            "such a file truncated",
            "Add a line feed at the end of the file",
        )
    if config.lines and config.conditions[-1]:
        raise AdoptError("the last .if block has no .endif", "Close the block with .endif")


def _sections(text: str) -> tuple[Backend, ...]:
    """The backends in a text that holds nothing else."""
    given = parse(text)
    backends = tuple(
        Backend(section.name, "".join(given.lines[section.start : section.end]))
        for section in given.sections
    )
    head = given.lines[: given.sections[0].start] if given.sections else given.lines
    if (
        any(section.kind != "backend" for section in given.sections)
        or any(not _NAME.match(backend.name) for backend in backends)
        or len({backend.name for backend in backends}) < len(backends)
        or any(line.strip() for line in head)
        or any(_MARKER.match(line) or keyword(line).startswith(".") for line in given.lines)
    ):
        found = ", ".join(section.title for section in given.sections) or "no section"
        raise AdoptError(
            "the parameter backends: expected only sections 'backend NAME', each name once, no .if "
            f"blocks, got {printable(found)}"
        )
    return backends


def _check_new(config: Config, backend: Backend) -> None:
    for other in config.sections:
        if other.kind in BACKENDS and other.name == backend.name:
            raise AdoptError(
                f"'{other.title}' already exists in the configuration (line {other.start + 1}), "
                "outside the marked blocks",
                "Rename that section, or do not add this backend",
            )


def origin_maps(text: str) -> dict[str, str]:
    """The frontends whose traffic a page has, and the map that has where it came from."""
    config = parse(text)
    found = {}
    for name in frontend_names(config):
        page = _decides(config, name)
        with suppress(HaproxyConfigError):
            origin = origin_rule(config, find_frontend(config, name))
            if origin and page and answers_alone(config, find_backend(config, page)):
                found[name] = origin.path
    return found


def _check_unused(
    config: Config, bare: Bare, backends: tuple[Backend, ...], origins: Mapping[str, str]
) -> None:
    """A backend that has the traffic, or gets it back after a page, must not be removed."""
    kept = {backend.title for backend in backends}
    leaving = [title for title in bare.blocks if title not in kept and not _is_rule(title)]
    for title in leaving:
        for frontend in frontend_names(config):
            if f"backend {_decides(config, frontend)}" == title:
                raise AdoptError(
                    f"frontend '{frontend}' sends its traffic to {title}, which would be removed",
                    "Switch it to another backend first",
                )
            if f"backend {origins.get(frontend)}" == title:
                raise AdoptError(
                    f"frontend '{frontend}' returns to {title} after maintenance, which would be "
                    "removed",
                    "Switch it to another backend first",
                )


def _decides(config: Config, frontend: str) -> str | None:
    try:
        return default_backend(config, find_frontend(config, frontend)).name
    except HaproxyConfigError:
        # Ambiguous by the text alone: haproxy -c decides.
        return None


def _rule_blocks(config: Config, wanted: Wanted, frontend: str) -> dict[int, str]:
    """The blocks of a frontend's rule by their places.

    ``use_backend`` lines go after the site's own, so that those keep their precedence. The others
    go before the site's own: HAProxy evaluates them first wherever they are, and warns about it.
    """
    # Each block of a file has a title of its own.
    suffix = f" {frontend}" if len(wanted.frontends) > 1 else ""
    section = find_frontend(config, frontend)
    _check_frontend(config, section)
    given = parse(wanted.rule)
    if given.sections or any(_MARKER.match(line) for line in given.lines):
        raise AdoptError(
            "the parameter rule: expected lines of a frontend, got one that begins a section or "
            "is a marker of a block"
        )
    said = [
        number
        for number in range(section.start, section.end)
        if config.conditions[number] == section.condition and keyword(config.lines[number])
    ]
    own_default = default_backend(config, section).line
    last_rule = max(_lines(config, section, "use_backend"), default=section.start)
    # Before default_backend, in reading order; after everything if default_backend precedes a rule.
    late = said[-1] + 1 if own_default is None or own_default < last_rule else own_default
    first_rule = min(_lines(config, section, "use_backend", "redirect"), default=late)
    # Outside the .if blocks that a first rule may be in.
    early = min(late, 1 + max(line for line in said if line < first_rule))
    model = config.lines[own_default or (said[1] if len(said) > 1 else section.start)]
    indent = model[: len(model) - len(model.lstrip(" \t"))]
    ending = "\r\n" if config.lines[section.start].endswith("\r\n") else "\n"
    variables, uses = _split_rule(given)
    if not variables or early == late:
        return {late: _block(RULE + suffix, wanted.rule, indent, ending)}
    return {
        early: _block(VARIABLES + suffix, variables, indent, ending),
        late: _block(RULE + suffix, uses, indent, ending),
    }


def _split_rule(given: Config) -> tuple[str, str]:
    """What precedes a use_backend, and the use_backends; a comment stays with the line below it."""
    variables = uses = comments = ""
    for line in given.lines:
        comments += line
        if keyword(line) == "use_backend":
            uses, comments = uses + comments, ""
        elif keyword(line):
            variables, comments = variables + comments, ""
    return variables, uses + comments


def _lines(config: Config, section: Section, *words: str) -> list[int]:
    return [
        number
        for number in range(section.start + 1, section.end)
        if keyword(config.lines[number]) in words
    ]


def _check_frontend(config: Config, section: Section) -> None:
    """Whether a rule at the end of this frontend would be evaluated, and could be undone."""
    found = mode(config, section)
    if found != "http":
        got = f"mode {found}" if found else "a mode that an .if block decides"
        raise AdoptError(
            f"{section.title}: expected mode http, got {got}",
            "Set 'mode http' in it, or add the backends without the rule",
        )
    if default_backend(config, section).name is None:
        raise AdoptError(
            f"{section.title} has no default_backend, so the traffic could not be switched back",
            "Move its servers into a backend of their own and name that in a default_backend line"
            if section.kind == "listen"
            else "Add a default_backend line",
        )
    # A page for maintenance (http-request return) may come and go.
    uses = [rule for rule in deciding_rules(config, section, None) if rule.is_use]
    first = all_deciding(uses) or tuple(rule for rule in uses if rule.ends)
    if first:
        raise AdoptError(
            f"{section.title}: HAProxy would evaluate no rule after "
            f"{' and '.join(rule.title for rule in first)}, because every request ends there",
            "Make that backend its default_backend, or give the line a condition",
        )
    rules = map_rules(config, section)
    if rules:
        raise AdoptError(
            f"{section.title} already has the rule (line {rules[0].line + 1}), outside the marked "
            "blocks",
            "Add the backends without the rule",
        )
