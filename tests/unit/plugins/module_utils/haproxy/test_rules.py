# SPDX-License-Identifier: GPL-3.0-or-later
"""What the text of a section means."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import (
    answers_alone,
    default_backend,
    is_disabled,
    map_rules,
    mode,
    origin_rule,
    pages,
    parse_map_file,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    find_backend,
    find_frontend,
    parse,
)

from .configurations import SITE

ORIGIN = "http-request set-var(txn.bookface_origin)"


@pytest.mark.parametrize(
    ("frontend", "name", "line", "inherited"),
    [
        ("bookface", "legacy", 18, False),
        ("inheriting", "fallback", None, True),
        ("empty", None, None, False),
        ("stats", None, None, False),
    ],
)
def test_default_backend(frontend: str, name: str | None, line: int, inherited: bool) -> None:
    config = parse(SITE)
    found = default_backend(config, find_frontend(config, frontend))
    assert (found.name, found.line, found.inherited) == (name, line, inherited)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("backend b\n server s :1\n", False),
        ("backend b\n disabled\n", True),
        ("backend b\n disabled # note\n enabled\n", False),
        ("backend b\n # disabled\n server disabled :1\n", False),
        ("defaults\n disabled\nbackend b\n", True),
        ("defaults\n disabled\nbackend b\n enabled\n", False),
        ("defaults off\n disabled\ndefaults\nbackend b\n", False),
        ("defaults off\n disabled\ndefaults\nbackend b from off\n", True),
        ("defaults off\n disabled\ndefaults on from off\nbackend b\n", True),
        ("defaults off\n disabled\ndefaults on\nbackend b\n", False),
        ("backend b\n.if A\n disabled\n.endif\n", None),
    ],
)
def test_disabled(text: str, expected: bool | None) -> None:
    config = parse(text)
    assert is_disabled(config, find_backend(config, "b")) is expected


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("use_backend %[fe_name,map(/m)] if { fe_name,map(/m) -m found }", "/m"),
        ("use_backend '%[fe_name,map(/m)]' if { fe_name,map(/m) -m found } # c", "/m"),
        ("use_backend %[fe_name,map_str(/m)] if { fe_name,map_str(/m) -m found }", "/m"),
        ("use_backend %[fe_name,map(/m)] if { fe_name,map(/n) -m found }", None),
        ("use_backend %[fe_name,map(/m,legacy)]", None),
        ("use_backend %[hdr(host),map(/m)] if { fe_name,map(/m) -m found }", None),
        ("use_backend %[fe_name,map(/m)] if !{ fe_name,map(/m) -m found }", None),
        ("use_backend %[fe_name,map(/m)] if { fe_name,map(/m) -m found } { src :: }", None),
        ("# use_backend %[fe_name,map(/m)] if { fe_name,map(/m) -m found }", None),
    ],
)
def test_map_rule(line: str, path: str | None) -> None:
    config = parse(f"frontend f\n  {line}\n  default_backend x\n")
    rules = map_rules(config, find_frontend(config, "f"))
    assert [rule.path for rule in rules] == ([path] if path else [])


def test_a_rule_in_an_if_block_is_not_relied_on() -> None:
    rule = "use_backend %[fe_name,map(/m)] if { fe_name,map(/m) -m found }"
    config = parse(f"frontend f\n.if A\n {rule}\n.endif\n")
    assert map_rules(config, find_frontend(config, "f")) == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("frontend f\n", "tcp"),
        ("frontend f\n  mode http\n", "http"),
        ("frontend f\n  mode tcp\n  mode http\n", "http"),
        ("defaults\n  mode http\nfrontend f\n", "http"),
        ("defaults d\n  mode http\ndefaults\n  mode tcp\nfrontend f from d\n", "http"),
        ("frontend f\n.if defined(X)\n  mode http\n.endif\n", None),
        ("frontend f\n  mode\n", None),
    ],
)
def test_mode(text: str, found: str | None) -> None:
    config = parse(text)
    assert mode(config, find_frontend(config, "f")) == found


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (f"{ORIGIN} fe_name,map(/o)", "/o"),
        (f"{ORIGIN} fe_name,map(/o) if TRUE", None),
        (f"{ORIGIN} hdr(host),map(/o)", None),
        (f"{ORIGIN} fe_name,concat(/0),map(/o)", None),
        (f".if A\n  {ORIGIN} fe_name,map(/o)\n.endif", None),
        # A map of somebody else's is not ours to change.
        ("http-request set-var(txn.site) fe_name,map(/s)", None),
        (f"http-request set-var(txn.site) fe_name,map(/s)\n  {ORIGIN} fe_name,map(/o)", "/o"),
    ],
)
def test_origin_rule(lines: str, found: str | None) -> None:
    config = parse(f"frontend f\n  {lines}\n  default_backend x\n")
    rule = origin_rule(config, find_frontend(config, "f"))
    assert (rule and rule.path) == found


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("backend b\n  http-request return status 503 file /p", True),
        ("backend b\n  http-request return status 503 string 'x if y'", True),
        ("backend b\n  http-request return status 503 if { path / }", False),
        ("backend b\n  http-request return status 503 unless { path / }", False),
        ("backend b\n  http-request return status 503\n  server s 192.0.2.1:80", False),
        ("backend b\n.if A\n  http-request return status 503\n.endif", False),
        ("backend b\n  http-request deny", False),
        ("backend b", False),
        ("listen b\n  http-request return status 503", False),
    ],
)
def test_a_backend_that_answers_by_itself(text: str, alone: bool) -> None:
    config = parse(f"{text}\n")
    assert answers_alone(config, find_backend(config, "b")) is alone


def test_pages() -> None:
    config = parse(
        "backend b\n  http-request return status 503 file /a hdr X y\n"
        "  http-error status 503 file /b\n  http-request return status 200 string file\n"
    )
    assert pages(config, find_backend(config, "b")) == ("/a", "/b")


def test_map_file() -> None:
    assert parse_map_file("# c\n\n f  a \n g\tb c\n") == (("f", "a"), ("g", "b c"))
    assert parse_map_file("# empty\n") == ()
