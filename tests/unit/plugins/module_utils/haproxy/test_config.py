# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and editing the text of a configuration; every byte that is not meant stays."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.config import (
    HaproxyConfigError,
    UnknownSectionError,
    backend_names,
    binds,
    decode,
    default_backend,
    encode,
    find_backend,
    find_frontend,
    frontend_names,
    is_disabled,
    keep_default_backend,
    keyword,
    map_rules,
    mode,
    parse,
    parse_files,
    parse_map_file,
    printable,
    quote_word,
    set_default_backend,
    split_lines,
    split_words,
)
from hypothesis import given
from hypothesis import strategies as st

SITE = """\
global
    log /dev/log local0   # frontend nothing
    user haproxy

defaults base
    mode http
    default_backend fallback

defaults
    mode http

frontend bookface
    bind *:80
    bind "[::]:80" v4v6
    acl img path_beg /img
    use_backend images if img
    use_backend %[fe_name,map(/etc/haproxy/maps/d.map)] if { fe_name,map(/etc/haproxy/maps/d.map) -m found }
    # default_backend commented
    default_backend   legacy   # decides

frontend inheriting from base
    bind :81

frontend empty
    bind :82

listen stats
    bind 127.0.0.1:1936
    stats enable

backend legacy
    server web1 192.0.2.1:80 check

backend docker
    server docker1 192.0.2.2:32001 check
    disabled

backend images
    server i 192.0.2.3:80

backend fallback
"""  # noqa: E501


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
    with pytest.raises(UnknownSectionError, match="frontends there: none"):
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
    found = default_backend(parse(SITE), frontend)
    assert (found.name, found.line, found.inherited) == (name, line, inherited)


def test_only_the_word_is_replaced() -> None:
    edit = set_default_backend(parse(SITE), "bookface", "docker")
    assert edit.changed
    assert edit.line == 19
    assert edit.before == "    default_backend   legacy   # decides\n"
    assert edit.after == "    default_backend   docker   # decides\n"
    assert edit.text == SITE.replace("default_backend   legacy", "default_backend   docker")


def test_nothing_to_do() -> None:
    for frontend, backend in (("bookface", "legacy"), ("inheriting", "fallback")):
        edit = set_default_backend(parse(SITE), frontend, backend)
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
    edit = set_default_backend(parse(text), "f", "x")
    assert edit.text == expected
    assert default_backend(parse(edit.text), "f").name == "x"
    again = set_default_backend(parse(edit.text), "f", "x")
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
        set_default_backend(parse(text), "f", "z")


def test_a_section_within_a_block_is_edited() -> None:
    text = ".if A\nfrontend f\n default_backend x\n.endif\n"
    assert set_default_backend(parse(text), "f", "z").text == text.replace("x", "z")


def test_the_same_frontend_in_two_branches_is_ambiguous() -> None:
    text = ".if A\nfrontend f\n default_backend x\n.else\nfrontend f\n default_backend y\n.endif\n"
    with pytest.raises(HaproxyConfigError, match="more than once"):
        set_default_backend(parse(text), "f", "z")


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
    edit = set_default_backend(config, "f", "y")
    assert (edit.text, edit.file, edit.line) == ("frontend f\n  default_backend y\n", 1, 2)
    added = set_default_backend(config, "g", "y")
    # The ending is that of its own file, and the other files' lines do not count.
    assert (added.file, added.line, added.after) == (3, 5, "    default_backend y\r\n")
    kept = keep_default_backend(config, "g")
    assert (kept.changed, kept.file, kept.line, kept.before) == (False, 3, 4, "")
    assert kept.text == decode(parts[3][1])
    kept = keep_default_backend(config, "f")
    assert (kept.file, kept.line, kept.before) == (1, 2, "  default_backend x\n")


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


def test_map_file() -> None:
    assert parse_map_file("# c\n\n f  a \n g\tb c\n") == (("f", "a"), ("g", "b c"))
    assert parse_map_file("# empty\n") == ()


def test_printable_survives_any_bytes() -> None:
    assert printable(decode(b"caf\xe9")) == "caf\ufffd"


# Properties

_LINE = st.one_of(
    st.sampled_from(
        [
            "frontend f",
            "frontend other",
            "backend legacy",
            "backend f",
            "listen l",
            "defaults",
            "defaults d",
            "frontend f from d",
            " default_backend legacy",
            "\tdefault_backend  'x y' # note",
            ' "default_backend" "$A"',
            " default_backend",
            " bind :80",
            " # default_backend no",
            ".if A",
            ".else",
            ".endif",
            " disabled",
            "",
        ]
    ),
    st.text(st.characters(codec="latin-1"), max_size=20),
)
_TEXT = st.lists(st.tuples(_LINE, st.sampled_from(["\n", "\r\n", "\n\n", "\r"]))).map(
    lambda lines: "".join(line + end for line, end in lines)
)
_NAME = st.text("abcxyzABC019_.:-", min_size=1, max_size=12)


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    text = decode(data)
    assert encode(text) == data
    assert encode(parse(text).text) == data
    assert "".join(split_lines(text)) == text


@given(_TEXT)
def test_parse_then_render_is_the_identity(text: str) -> None:
    config = parse(text)
    assert config.text == text
    assert len(config.conditions) == len(config.lines)
    for before, after in zip(config.sections, config.sections[1:]):
        assert before.end == after.start


@given(_TEXT, _NAME)
def test_an_edit_touches_one_word_or_adds_one_line(text: str, name: str) -> None:
    config = parse(text)
    try:
        edit = set_default_backend(config, "f", name)
    except HaproxyConfigError:
        return
    found = default_backend(parse(edit.text), "f")
    assert (found.name, found.variable) == (name, False)
    assert set_default_backend(parse(edit.text), "f", name).text == edit.text
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


@given(_TEXT, _NAME, _NAME)
def test_there_and_back(text: str, first: str, second: str) -> None:
    """Once a plain line is there, going to another backend and back gives the same bytes."""
    try:
        start = set_default_backend(parse(text), "f", first).text
        there = set_default_backend(parse(start), "f", second).text
        back = set_default_backend(parse(there), "f", first)
    except HaproxyConfigError:
        return
    assert default_backend(parse(back.text), "f").name == first
    if default_backend(parse(start), "f").line is not None:
        assert set_default_backend(parse(back.text), "f", second).text == there


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_quoted_words_are_read_as_they_were(word: str) -> None:
    line = f"server {quote_word(word)} check"
    assert "\n" not in line
    assert values(line) == ["server", word, "check"]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), max_size=60))
def test_the_quick_way_to_the_first_word_agrees_with_the_whole(line: str) -> None:
    words = values(line)
    assert keyword(line) == (words[0] if words else "")
