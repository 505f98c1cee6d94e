# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a section of a configuration means: its default_backend, its map rules, its mode."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    Config,
    HaproxyConfigError,
    Section,
    keyword,
    lines_of,
    places,
    split_words,
)

_RULE_TARGET = re.compile(r"%\[fe_name,map(?:_str)?\(([^(),\s]+)\)\]\Z")
_RULE_FETCH = re.compile(r"fe_name,map(?:_str)?\(([^(),\s]+)\)\Z")
_COHORT_TARGET = re.compile(r"%\[var\(([^(),\s]+)\),map(?:_str)?\(([^(),\s]+)\)\]\Z")
_COHORT_FETCH = re.compile(r"var\(([^(),\s]+)\),map(?:_str)?\(([^(),\s]+)\)\Z")
_COHORT_KEY = re.compile(r"fe_name,concat\(/,([^(),\s]+)\)\Z")
_SET_VAR = re.compile(r"set-var\(([^(),\s]+)\)\Z")
_COHORT = "mod(100)"
_SERVERS = ("server", "server-template", "dispatch")
# Where a page's traffic came from. By the name of the variable its rule is told from others.
_ORIGIN = "txn.bookface_origin"
ORIGIN_TARGET = f"%[var({_ORIGIN})]"


@dataclass(frozen=True)
class DefaultBackend:
    """Where a frontend sends its traffic, as far as the file alone decides."""

    name: str | None
    line: int | None = None
    inherited: bool = False
    variable: bool = False


@dataclass(frozen=True)
class MapRule:
    """The rule by which a frontend follows a map, which precedes its default_backend."""

    path: str
    line: int


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
    lines = lines_of(config, section, ("default_backend",))
    if not lines:
        return None
    conditional = [line for line in lines if config.conditions[line] != section.condition]
    if conditional:
        raise HaproxyConfigError(
            f"{section.title}: default_backend is inside an .if block (lines "
            f"{places(config, conditional)}), so the file alone does not show which one HAProxy "
            "uses",
            "Write one default_backend line outside of .if blocks",
        )
    # Where a section has several, HAProxy takes the last.
    words = split_words(config.lines[lines[-1]])
    if len(words) < 2:
        return DefaultBackend(None, lines[-1])
    return DefaultBackend(words[1].value, lines[-1], variable=words[1].variable)


def default_backend(config: Config, frontend: Section) -> DefaultBackend:
    """What a frontend's default_backend is: its own line, or one it inherits."""
    section: Section | None = frontend
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


def is_disabled(config: Config, section: Section) -> bool | None:
    """Whether a section is ``disabled``; None where an .if block decides it."""
    current: Section | None = section
    while current is not None:
        lines = lines_of(config, current, ("disabled", "enabled"))
        if any(config.conditions[line] != current.condition for line in lines):
            return None
        if lines:
            return keyword(config.lines[lines[-1]]) == "disabled"
        current = defaults_of(config, current)
    return False


def is_unpublished(config: Config, section: Section) -> bool:
    """Whether a section starts as ``be-unpublished``, as far as no .if block decides it."""
    lines = lines_of(config, section, ("be-unpublished",))
    return any(config.conditions[line] == section.condition for line in lines)


def mode(config: Config, section: Section) -> str | None:
    """``http`` or ``tcp``, by the section or its defaults; None where an .if block decides it."""
    current: Section | None = section
    while current is not None:
        lines = lines_of(config, current, ("mode",))
        if any(config.conditions[line] != current.condition for line in lines):
            return None
        if lines:
            words = split_words(config.lines[lines[-1]])
            return words[1].value if len(words) > 1 else None
        current = defaults_of(config, current)
    # HAProxy's own default.
    return "tcp"


def _rules(config: Config, section: Section, kind: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a kind that apply unconditionally, as words."""
    for number in lines_of(config, section, (kind,)):
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


def cohort_map(values: list[str]) -> str | None:
    """The map by which a use_backend sends a cohort elsewhere; None if it is another rule."""
    if not _follows_map(values):
        return None
    target, fetch = _COHORT_TARGET.match(values[1]), _COHORT_FETCH.match(values[4])
    if not target or not fetch or target.groups() != fetch.groups():
        return None
    return target.group(2)


def follows_cohorts(config: Config, section: Section, rule: MapRule) -> bool:
    """Whether an entry FRONTEND/COHORT of the rule's map takes precedence over the rule.

    Expected: a variable with a number from 0 to 99 (``mod(100)``), a later one with the key made
    from it, and a ``use_backend`` that looks the key up.
    """
    variables: dict[str, list[tuple[int, str]]] = {}
    for number, values in _rules(config, section, "http-request"):
        name = _SET_VAR.match(values[1]) if len(values) > 2 else None
        if name:
            variables.setdefault(name.group(1), []).append((number, values[2]))
    for number, values in _rules(config, section, "use_backend"):
        target = _COHORT_TARGET.match(values[1]) if cohort_map(values) == rule.path else None
        if number > rule.line or target is None:
            continue
        for line, expression in variables.get(target.group(1), []):
            source = _COHORT_KEY.match(expression)
            numbers = variables.get(source.group(1), []) if source else []
            if any(before < line and text.endswith(_COHORT) for before, text in numbers):
                return True
    return False


@dataclass(frozen=True)
class OriginRule:
    """The rule that looks up where a page's traffic came from, and its map."""

    path: str
    line: int


def origin_rule(config: Config, section: Section) -> OriginRule | None:
    """``http-request set-var(txn.bookface_origin) fe_name,map(PATH)`` of a frontend."""
    for number, values in _rules(config, section, "http-request"):
        ours = len(values) == 3 and values[1] == f"set-var({_ORIGIN})"
        fetch = _RULE_FETCH.match(values[2]) if ours else None
        if fetch:
            return OriginRule(fetch.group(1), number)
    return None


def pages(config: Config, section: Section) -> tuple[str, ...]:
    """The files that a section answers with."""
    found: list[str] = []
    for kind in ("http-request", "http-error"):
        for _number, values in _rules(config, section, kind):
            at = values.index("file") + 1 if "file" in values else len(values)
            found += values[at : at + 1]
    return tuple(found)


def answers_alone(config: Config, section: Section) -> bool:
    """Whether a backend has no servers and answers every request by itself, as a page does."""
    if section.kind != "backend" or lines_of(config, section, _SERVERS):
        return False
    return any(
        values[1:2] == ["return"] and not {"if", "unless"}.intersection(values)
        for _number, values in _rules(config, section, "http-request")
    )


def binds(config: Config, section: Section) -> tuple[str, ...]:
    """The addresses that a section listens on, as written."""
    found = []
    for number in lines_of(config, section, ("bind",)):
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
