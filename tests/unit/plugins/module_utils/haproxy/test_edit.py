# SPDX-License-Identifier: GPL-3.0-or-later
"""Editing the text of a configuration; every byte that is not meant stays."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.edit import (
    Edit,
    keep_default_backend,
    set_default_backend,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import (
    DefaultBackend,
    default_backend,
    mode,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    HaproxyConfigError,
    decode,
    encode,
    find_frontend,
    parse,
    parse_files,
    split_lines,
    split_words,
)
from hypothesis import given

from .configurations import NAMES, SITE, TEXTS


def switched(text: str, frontend: str, backend: str) -> Edit:
    config = parse(text)
    return set_default_backend(config, find_frontend(config, frontend), backend)


def found(text: str, frontend: str) -> DefaultBackend:
    config = parse(text)
    return default_backend(config, find_frontend(config, frontend))


def test_only_the_word_is_replaced() -> None:
    edit = switched(SITE, "bookface", "docker")
    assert edit.changed
    assert edit.line == 19
    assert edit.before == "    default_backend   legacy   # decides\n"
    assert edit.after == "    default_backend   docker   # decides\n"
    assert edit.text == SITE.replace("default_backend   legacy", "default_backend   docker")


def test_nothing_to_do() -> None:
    for frontend, backend in (("bookface", "legacy"), ("inheriting", "fallback")):
        edit = switched(SITE, frontend, backend)
        assert (edit.changed, edit.text) == (False, SITE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("frontend f\n", "frontend f\n    default_backend x\n"),
        ("frontend f\n\tbind :1\n", "frontend f\n\tbind :1\n\tdefault_backend x\n"),
        ("frontend f\r\n  bind :1\r\n", "frontend f\r\n  bind :1\r\n  default_backend x\r\n"),
        ("frontend f\n  bind :1", "frontend f\n  bind :1\n  default_backend x"),
        ("frontend f", "frontend f\n    default_backend x"),
        (
            "frontend f\n  bind :1\n  # end\n\nbackend x\n  mode http\n",
            "frontend f\n  bind :1\n  default_backend x\n  # end\n\nbackend x\n  mode http\n",
        ),
        (
            "frontend f\n  bind :1\n.if A\n  bind :2\n.endif\n\n.if B\nbackend x\n.endif\n",
            "frontend f\n  bind :1\n.if A\n  bind :2\n.endif\n  default_backend x\n\n"
            ".if B\nbackend x\n.endif\n",
        ),
        (
            ".if A\nfrontend f\n  bind :1\n.endif\nbackend x\n",
            ".if A\nfrontend f\n  bind :1\n  default_backend x\n.endif\nbackend x\n",
        ),
        ("frontend f\n default_backend\n", "frontend f\n default_backend x\n"),
        ("frontend f\n default_backend #c\n", "frontend f\n default_backend x #c\n"),
        ('frontend f\n default_backend "${T}"\n', "frontend f\n default_backend x\n"),
        ("frontend f\n 'default_backend' 'y'#c\n", "frontend f\n 'default_backend' x#c\n"),
        (
            "frontend f\n default_backend y\n default_backend z\n",
            "frontend f\n default_backend y\n default_backend x\n",
        ),
        (
            "defaults\n default_backend y\nfrontend f\n bind :1\n",
            "defaults\n default_backend y\nfrontend f\n bind :1\n default_backend x\n",
        ),
    ],
)
def test_edits(text: str, expected: str) -> None:
    edit = switched(text, "f", "x")
    assert edit.text == expected
    assert found(edit.text, "f").name == "x"
    again = switched(edit.text, "f", "x")
    assert (again.changed, again.text) == (False, edit.text)


@pytest.mark.parametrize(
    "text",
    [
        "frontend f\n.if A\n default_backend x\n.else\n default_backend y\n.endif\n",
        "frontend f\n.if A\n default_backend x\n.endif\n",
        "frontend f\n default_backend x\n.if A\n.if B\n default_backend y\n.endif\n.endif\n",
        ".if A\nfrontend f\n.endif\n default_backend x\n",
    ],
)
def test_lines_in_if_blocks_are_refused(text: str) -> None:
    with pytest.raises(HaproxyConfigError, match=r"inside an \.if block \(lines"):
        switched(text, "f", "z")


def test_a_section_within_a_block_is_edited() -> None:
    text = ".if A\nfrontend f\n default_backend x\n.endif\n"
    assert switched(text, "f", "z").text == text.replace("x", "z")


def test_the_same_frontend_in_two_branches_is_ambiguous() -> None:
    text = ".if A\nfrontend f\n default_backend x\n.else\nfrontend f\n default_backend y\n.endif\n"
    with pytest.raises(HaproxyConfigError, match="more than once"):
        switched(text, "f", "z")


def test_several_files() -> None:
    """Sections end with their file; defaults reach over the border; lines keep their numbers."""
    parts = [
        ("a", b"defaults\n  mode http"),
        ("b", b"frontend f\n  default_backend x\n"),
        ("c", b""),
        ("d", b"  server outside\ndefaults\n  mode tcp\nfrontend g\r\n"),
    ]
    config = parse_files(parts)
    assert encode(config.text) == b"".join(data for _name, data in parts)
    f, g = find_frontend(config, "f"), find_frontend(config, "g")
    assert (config.place(f.start), config.place(g.start)) == ("b:1", "d:4")
    assert (mode(config, f), mode(config, g)) == ("http", "tcp")
    assert f.end == 4
    assert [config.file_of(line) for line in range(8)] == [0, 0, 1, 1, 3, 3, 3, 3]
    edit = set_default_backend(config, f, "y")
    assert (edit.text, edit.file, edit.line) == ("frontend f\n  default_backend y\n", 1, 2)
    added = set_default_backend(config, g, "y")
    # The ending is that of its own file, and the other files' lines do not count.
    assert (added.file, added.line, added.after) == (3, 5, "    default_backend y\r\n")
    kept = keep_default_backend(config, g)
    assert (kept.changed, kept.file, kept.line, kept.before) == (False, 3, 4, "")
    assert kept.text == decode(parts[3][1])
    kept = keep_default_backend(config, f)
    assert (kept.file, kept.line, kept.before) == (1, 2, "  default_backend x\n")


@given(TEXTS, NAMES)
def test_an_edit_touches_one_word_or_adds_one_line(text: str, name: str) -> None:
    try:
        edit = switched(text, "f", name)
    except HaproxyConfigError:
        return
    decided = found(edit.text, "f")
    assert (decided.name, decided.variable) == (name, False)
    assert switched(edit.text, "f", name).text == edit.text
    old, new = split_lines(text), split_lines(edit.text)
    if len(new) == len(old):
        different = [n for n in range(len(old)) if old[n] != new[n]]
        assert different == ([edit.line - 1] if edit.changed else [])
        words = split_words(old[edit.line - 1])
        if edit.changed:
            kept = old[edit.line - 1]
            line = new[edit.line - 1]
            if len(words) > 1:
                assert line == kept[: words[1].start] + name + kept[words[1].end :]
            else:
                assert line == f"{kept[: words[0].end]} {name}{kept[words[0].end :]}"
    else:
        assert len(new) == len(old) + 1
        rest = [line for number, line in enumerate(new) if number != edit.line - 1]
        assert [line.rstrip("\r\n") for line in rest] == [line.rstrip("\r\n") for line in old]
        assert rest[:-1] == list(old[:-1])


@given(TEXTS, NAMES, NAMES)
def test_there_and_back(text: str, first: str, second: str) -> None:
    """Once a plain line is there, going to another backend and back gives the same bytes."""
    try:
        start = switched(text, "f", first).text
        there = switched(start, "f", second).text
        back = switched(there, "f", first)
    except HaproxyConfigError:
        return
    assert found(back.text, "f").name == first
    if found(start, "f").line is not None:
        assert switched(back.text, "f", second).text == there
