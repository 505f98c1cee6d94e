# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the text of a configuration: words, sections, files; every byte comes back."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import (
    binds,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    HaproxyConfigError,
    UnknownSectionError,
    backend_names,
    decode,
    encode,
    find_backend,
    find_frontend,
    frontend_names,
    keyword,
    parse,
    printable,
    quote_word,
    split_lines,
    split_words,
)
from hypothesis import given
from hypothesis import strategies as st

from .configurations import SITE, TEXTS


def values(line: str) -> list[str]:
    return [word.value for word in split_words(line)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("default_backend x#foo", ["default_backend", "x"]),
        ("\v\fdefault_backend\v\\x78", ["default_backend", "x"]),
        ("bind :1\rgarbage", ["bind", ":1"]),
        ("a 'b # c' \"d ' e\"", ["a", "b # c", "d ' e"]),
        (r"log-format \"%t\"\ \#\\", ["log-format", '"%t" #\\']),
        (r"a 'b\' c", ["a", "b\\", "c"]),
        (r'"a\"b" c\td\n', ['a"b', "c\td\n"]),
        ("'' \"\"", ["", ""]),
        ("a\"b\"'c'd", ["abcd"]),
        ("# only a comment", []),
        ("   \t ", []),
        ("", []),
        (r"\xzz", ["xzz"]),
        ("'never closed", ["never closed"]),
        ("end\\", ["end\\"]),
    ],
)
def test_words_are_cut_as_haproxy_cuts_them(line: str, expected: list[str]) -> None:
    assert values(line) == expected
    assert values(line + "\n") == expected
    assert values(line + "\r\n") == expected
    assert keyword(line) == (expected[0] if expected else "")


def test_variables_are_seen_in_double_quotes_only() -> None:
    words = split_words('"${A}" \'$A\' "\\$A" $A')
    assert [word.variable for word in words] == [True, False, False, False]


def test_names_in_the_order_of_the_text() -> None:
    config = parse(SITE)
    assert frontend_names(config) == ("bookface", "inheriting", "empty", "stats")
    assert backend_names(config) == ("stats", "legacy", "docker", "images", "fallback")
    assert binds(config, find_frontend(config, "bookface")) == ("*:80", "[::]:80")


def test_unknown_names_are_told_with_the_choices() -> None:
    config = parse(SITE)
    with pytest.raises(UnknownSectionError, match=r"'nosuch'.*legacy, docker") as error:
        find_backend(config, "nosuch")
    assert error.value.existing == backend_names(config)
    # Such as the page for maintenance after an upgrade.
    assert "if the inventory has nosuch, run site.yml first." in error.value.message("")
    with pytest.raises(UnknownSectionError, match="existing frontends: none"):
        find_frontend(parse(""), "bookface")


def test_a_frontend_may_share_its_name_with_a_backend() -> None:
    config = parse("frontend web\n default_backend web\nbackend web\n")
    assert find_frontend(config, "web").start == 0
    assert find_backend(config, "web").start == 2


@pytest.mark.parametrize("second", ["frontend", "listen"])
def test_two_of_one_name_are_ambiguous(second: str) -> None:
    config = parse(f"frontend web\n default_backend x\n{second} web\n")
    with pytest.raises(HaproxyConfigError, match=r"more than once .lines 1, 3"):
        find_frontend(config, "web")


def test_printable_survives_any_bytes() -> None:
    assert printable(decode(b"caf\xe9")) == "caf\ufffd"


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    text = decode(data)
    assert encode(text) == data
    assert encode(parse(text).text) == data
    assert "".join(split_lines(text)) == text


@given(TEXTS)
def test_parse_then_render_is_the_identity(text: str) -> None:
    config = parse(text)
    assert config.text == text
    assert len(config.conditions) == len(config.lines)
    for before, after in zip(config.sections, config.sections[1:]):
        assert before.end == after.start


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_quoted_words_are_read_as_they_were(word: str) -> None:
    line = f"server {quote_word(word)} check"
    assert "\n" not in line
    assert values(line) == ["server", word, "check"]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), max_size=60))
def test_the_quick_way_to_the_first_word_agrees_with_the_whole(line: str) -> None:
    words = values(line)
    assert keyword(line) == (words[0] if words else "")
