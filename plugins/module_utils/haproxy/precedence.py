# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a frontend that decide before its default_backend, so that a switch moves nothing.

Conditions are judged by what the text alone shows: ``TRUE``, ``{ path_beg / }``, ``{ ssl_fc }`` in
a frontend without TLS. Anything else may hold or not. A rule and its opposite, such as ``if shop``
and ``unless shop``, cover all requests together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import (
    ORIGIN_TARGET,
    MapRule,
    cohort_map,
    defaults_of,
    mode,
    origin_rule,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    Config,
    Section,
    backend_names,
    keyword,
    lines_of,
    printable,
    split_words,
)

# What answers or ends a request without a backend; cache-use only if the cache has the answer.
_ANSWERS = frozenset(
    ("auth", "deny", "redirect", "reject", "return", "silent-drop", "tarpit", "use-service")
)
_PERHAPS = frozenset(("cache-use",))
# What ends the evaluation of the rules of its kind, but lets the request pass.
_PASSES = frozenset(("accept", "allow"))
_RULES = ("http-request", "redirect", "tcp-request", "use_backend")
_KNOWN = re.compile(r"#\s*not switched\b")
# More opposites than this are not compared with each other.
_COMPARED = 10

_SUFFIX = re.compile(r"([a-z._]+?)_(beg|end|sub|reg|str|dir|dom|len)(?=\(|\Z)")
_HARMLESS = frozenset(("lower", "upper", "url_dec"))
# Every request has these.
_PRESENT = frozenset(("fe_name", "hdr(host)", "method", "path", "pathq", "req.hdr(host)", "url"))
_ANY_TEXT = re.compile(r"(\^?/?(\.\*\$?)?|\^?\.(\+\$?)?)\Z")
_ANY_ADDRESS = frozenset(("0/0", "0.0.0.0/0", "::/0"))
_CONSTANTS = {
    "TRUE": True,
    "FALSE": False,
    "WAIT_END": True,
    "always_true": True,
    "always_false": False,
    "bool(1)": True,
    "bool(true)": True,
    "bool(0)": False,
    "bool(false)": False,
}
_DYNAMIC_DEFAULT = re.compile(r"%\[.*,map(?:_\w+)?\([^(),]+,([^(),]+)\)\]\Z")
_DYNAMIC_CHOICE = re.compile(r"%\[.*,iif\(([^(),]+),([^(),]+)\)\]\Z")
_DYNAMIC_TEXT = re.compile(r"%\[str\(([^(),]+)\)\]\Z")

# A term of a condition: its text, and whether it is to hold or not.
Literal = tuple[str, bool]


@dataclass(frozen=True)
class Condition:
    """``if`` (or, ``negated``, ``unless``) one of these conjunctions holds."""

    alternatives: tuple[frozenset[Literal], ...] = (frozenset(),)
    negated: bool = False

    def holds(self, values: Mapping[str, bool]) -> bool:
        found = any(
            all(values[name] == expected for name, expected in terms) for terms in self.alternatives
        )
        return found != self.negated

    def opposite(self) -> Condition:
        return Condition(self.alternatives, not self.negated)


@dataclass(frozen=True)
class DecidingRule:
    """A rule that decides before default_backend.

    ``backend``: where it sends the traffic, None if it answers by itself or that depends on the
    request. ``always``: by itself it decides for every request. ``sure``: where its condition
    holds, it decides. ``ends``: no later use_backend is evaluated, whether it decides or not.
    ``known``: its line says ``# not switched``.
    """

    line: int
    place: str
    text: str
    backend: str | None
    condition: Condition
    sure: bool
    known: bool

    @property
    def always(self) -> bool:
        return self.sure and _cover([self.condition])

    @property
    def is_use(self) -> bool:
        return keyword(self.text) == "use_backend"

    @property
    def ends(self) -> bool:
        return self.is_use and _cover([self.condition])

    @property
    def title(self) -> str:
        return f"line {self.place} ({self.text})"

    def as_dict(self) -> dict[str, object]:
        return {
            "line": self.place,
            "text": self.text,
            "backend": self.backend,
            "always": self.always,
        }


@dataclass(frozen=True)
class _Facts:
    """What conditions are judged by. ``tls``: of all binds, of none (False), or mixed (None)."""

    name: str
    tls: bool | None
    acls: Mapping[str, list[list[str]]]


def deciding_rules(
    config: Config, section: Section, follows: MapRule | None
) -> tuple[DecidingRule, ...]:
    """The rules of a frontend that may decide before default_backend, without the switch's own.

    Those after the switch's rule count, too: at the next reload the map is empty.
    """
    sections = _with_defaults(config, section)
    facts = _Facts(section.name, _tls(config, section), _acls(config, sections))
    tcp = mode(config, section) == "tcp"
    # While a page has the traffic, some clients go where it came from: the switch's own rule.
    aside = ORIGIN_TARGET if origin_rule(config, section) else ""
    passing: set[tuple[str, ...]] = set()
    found = []
    for scope, number, words in _lines(config, sections):
        if (tcp and words[0] in ("http-request", "redirect")) or len(words) < 2:
            continue
        at = next((n for n, word in enumerate(words) if n and word in ("if", "unless")), None)
        condition = Condition() if at is None else _condition(words[at:], facts)
        if _cover([condition.opposite()]):
            continue
        # Of tcp-request, connection, session and content are rules of their own.
        kind = tuple(words[: 2 if words[0] == "tcp-request" else 1])
        action = words[len(kind)] if len(words) > len(kind) else ""
        if action in _PASSES:
            passing.add(kind)
        backend, sure = None, kind not in passing
        if words[0] == "use_backend":
            own = follows and (number == follows.line or cohort_map(words) == follows.path)
            if own or words[1] == aside:
                continue
            backend, resolves = _target(config, words[1])
            sure = resolves
        elif words[0] != "redirect" and action not in _ANSWERS | _PERHAPS:
            continue
        found.append(
            DecidingRule(
                number,
                config.place(number),
                _without_comment(config.lines[number]),
                backend,
                condition,
                sure and action not in _PERHAPS and config.conditions[number] == scope.condition,
                bool(_KNOWN.search(config.lines[number])),
            )
        )
    return tuple(found)


def all_deciding(rules: Sequence[DecidingRule]) -> tuple[DecidingRule, ...]:
    """The rules that leave nothing to default_backend: one, or several together. Empty if none."""
    sure = tuple(rule for rule in rules if rule.sure)
    alone = tuple(rule for rule in sure if rule.always)
    return alone[:1] or (sure if _cover([rule.condition for rule in sure]) else ())


def _cover(conditions: Sequence[Condition]) -> bool:
    """Whether one of the conditions holds for every request, whatever its terms are."""
    uses: dict[str, set[bool]] = {}
    for condition in conditions:
        for terms in condition.alternatives:
            for name, expected in terms:
                uses.setdefault(name, set()).add(expected != condition.negated)
    # A term that is used in one way only is set against all of them.
    values = {name: ways == {False} for name, ways in uses.items()}
    both = [name for name, ways in uses.items() if len(ways) > 1]
    if len(both) > _COMPARED:
        return False
    return all(
        any(condition.holds({**values, **dict(zip(both, chosen))}) for condition in conditions)
        for chosen in product((False, True), repeat=len(both))
    )


def _with_defaults(config: Config, section: Section) -> tuple[Section, ...]:
    """The section, after the named defaults whose rules it inherits."""
    defaults = defaults_of(config, section)
    return (defaults, section) if defaults and section.parent else (section,)


def _lines(config: Config, sections: Iterable[Section]) -> Iterator[tuple[Section, int, list[str]]]:
    for section in sections:
        for number in lines_of(config, section, _RULES):
            yield section, number, [word.value for word in split_words(config.lines[number])]


def _without_comment(line: str) -> str:
    return printable(line[: split_words(line)[-1].end].strip())


def _acls(config: Config, sections: Iterable[Section]) -> dict[str, list[list[str]]]:
    """The definitions of each acl; several of one name are alternatives."""
    found: dict[str, list[list[str]]] = {}
    for section in sections:
        for number in lines_of(config, section, ("acl",)):
            words = [word.value for word in split_words(config.lines[number])]
            # One in an .if block may be missing, so that it proves nothing.
            certain = config.conditions[number] == section.condition
            found.setdefault(words[1] if len(words) > 1 else "", []).append(
                words[2:] if certain else []
            )
    return found


def _tls(config: Config, section: Section) -> bool | None:
    found = set()
    for number in lines_of(config, section, ("bind",)):
        if config.conditions[number] != section.condition:
            return None
        found.add("ssl" in [word.value for word in split_words(config.lines[number])])
    return found.pop() if len(found) == 1 else None


def _target(config: Config, text: str) -> tuple[str | None, bool]:
    """Where a use_backend sends the traffic, and whether it surely finds a backend.

    Without one HAProxy takes the default_backend, and evaluates no further rule.
    """
    if "%[" not in text:
        return text, True
    names = backend_names(config)
    constant = _DYNAMIC_TEXT.match(text)
    if constant:
        return constant.group(1), constant.group(1) in names
    found = _DYNAMIC_DEFAULT.match(text) or _DYNAMIC_CHOICE.match(text)
    return None, found is not None and set(found.groups()) <= set(names)


def _condition(words: list[str], facts: _Facts) -> Condition:
    """``if TERM TERM or !TERM`` as alternatives, without the terms that are known to hold."""
    alternatives: list[set[Literal] | None] = [set()]
    negated = words[0] == "unless"
    at = 1
    while at < len(words):
        word, expected = words[at], True
        at += 1
        if word in ("or", "||"):
            alternatives.append(set())
            continue
        while word.startswith("!"):
            word, expected = word[1:], not expected
            if not word and at < len(words):
                word, at = words[at], at + 1
        if word == "{":
            end = words.index("}", at) if "}" in words[at:] else len(words)
            name, value = " ".join(words[at:end]), _truth(words[at:end], facts)
            at = end + 1
        else:
            name, value = f"acl {word}", _acl(word, facts)
        terms = alternatives[-1]
        if value is None:
            if terms is not None:
                terms.add((name, expected))
                if (name, not expected) in terms:
                    alternatives[-1] = None
        elif value != expected:
            alternatives[-1] = None
    return Condition(
        tuple(frozenset(terms) for terms in alternatives if terms is not None), negated
    )


def _acl(name: str, facts: _Facts) -> bool | None:
    if name not in facts.acls:
        return _CONSTANTS.get(name)
    values = [_truth(words, facts) for words in facts.acls[name]]
    if True in values:
        return True
    return None if None in values else False


def _truth(words: list[str], facts: _Facts) -> bool | None:
    """Whether ``FETCH [-m METHOD] PATTERN ...`` holds for every request, or for none."""
    if not words:
        return None
    fetch, converters = _split(words[0])
    if not _HARMLESS.issuperset(converters):
        return None
    found = _SUFFIX.match(fetch)
    if found:
        fetch = found.group(1) + fetch[found.end() :]
    way, patterns = _patterns(words[1:], found.group(2) if found else "str")
    if not patterns and way == "str":
        return facts.tls if fetch == "ssl_fc" else _CONSTANTS.get(fetch)
    if way == "str" and fetch == "fe_name":
        return facts.name in patterns
    if way == "found":
        return True if fetch in _PRESENT or fetch.startswith("str(") else None
    if fetch == "src":
        return True if _ANY_ADDRESS.intersection(patterns) else None
    if fetch not in _PRESENT:
        return None
    rooted = fetch in ("path", "pathq", "url")
    everything = (
        (way == "reg" and any(_ANY_TEXT.match(one) for one in patterns if rooted or "/" not in one))
        or (way in ("beg", "sub") and rooted and "/" in patterns)
        or (way in ("beg", "sub", "end") and "" in patterns)
    )
    return True if everything else None


def _split(expression: str) -> tuple[str, list[str]]:
    """``fetch(arguments),converter`` in two; commas in parentheses separate arguments."""
    name, *converters = re.split(r",(?![^(]*\))", expression)
    return name.lower() if "hdr" in name else name, converters


def _patterns(words: list[str], way: str) -> tuple[str, list[str]]:
    """The method that compares, and the patterns; those of a file are unknown."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        flag = words[at]
        at += 1
        if flag == "--":
            break
        if flag in ("-m", "-f", "-u"):
            if flag == "-m" and at < len(words):
                way = words[at]
            elif flag == "-f":
                words = [*words, "\0"]
            at += 1
    return way, words[at:]
