# SPDX-License-Identifier: GPL-3.0-or-later
"""The editor of configurations against the judge of configurations: ``haproxy -c``.

HAProxy names each frontend whose default_backend does not exist. So a text that was edited to
such a name shows which line HAProxy obeys, and that the editor meant the same.

The files in ``configurations`` tell in their first lines, for each frontend: the backend that it
has (- for none), and one that it may be switched to.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.edit import (
    Edit,
    set_default_backend,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import default_backend
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    HaproxyConfigError,
    decode,
    encode,
    find_frontend,
    frontend_names,
    parse,
    split_lines,
)
from conftest import haproxy_program
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.paths import ROLES

FILES = sorted((Path(__file__).parent / "configurations").glob("*.cfg"))
EXPECTED = re.compile(r"^# (\S+): (?:refused|(\S+) -> (\S+))\r?$", re.MULTILINE)
COMPLAINT = re.compile(r"[Pp]roxy '([^']*)': unable to find required default_backend: '([^']*)'")

VARIANTS = {
    "as it is": lambda data: data,
    "lines end in CR LF": lambda data: data.replace(b"\n", b"\r\n"),
    "bytes that are no UTF-8": lambda data: b"# caf\xe9 \xff\n" + data,
    "blank lines everywhere": lambda data: data.replace(b"\n", b"\n \t\n"),
}


@dataclass(frozen=True)
class Judgement:
    valid: bool
    complaints: frozenset[tuple[str, str]]
    printed: str


def judge(directory: Path, text: str) -> Judgement:
    """What HAProxy says about a text."""
    path = directory / "candidate"
    path.write_bytes(encode(text))
    done = subprocess.run(
        [haproxy_program(), "-c", "-f", path], check=False, capture_output=True, cwd="/"
    )
    printed = decode(done.stdout + done.stderr)
    return Judgement(done.returncode == 0, frozenset(COMPLAINT.findall(printed)), printed)


def edit(text: str, frontend: str, backend: str) -> Edit:
    config = parse(text)
    return set_default_backend(config, find_frontend(config, frontend), backend)


def switched(text: str, moves: dict[str, str]) -> str:
    """The text with several frontends switched, one after the other."""
    for frontend, backend in moves.items():
        text = edit(text, frontend, backend).text
    return text


def different_lines(before: str, after: str) -> int:
    """How many lines differ, or 1 where one was added; every other byte must be as before."""
    old, new = split_lines(before), split_lines(after)
    assert {line.endswith("\r\n") for line in new} == {line.endswith("\r\n") for line in old}
    if len(new) == len(old):
        return sum(line != other for line, other in zip(new, old, strict=True))
    assert old in [new[:number] + new[number + 1 :] for number in range(len(new))]
    return 1


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_written_by_hand(tmp_path: Path, file: Path, variant: Callable[[bytes], bytes]) -> None:
    text = decode(variant(file.read_bytes()))
    expected = {name: (now, other) for name, now, other in EXPECTED.findall(text)}
    assert judge(tmp_path, text).valid, judge(tmp_path, text).printed
    config = parse(text)
    assert set(frontend_names(config)) == set(expected)

    elsewhere, nowhere = {}, {}
    for name, (now, other) in expected.items():
        if not now:
            with pytest.raises(HaproxyConfigError, match=r"\.if block"):
                edit(text, name, "any")
            continue
        found = default_backend(config, find_frontend(config, name))
        assert found.name == (None if now == "-" else now)
        elsewhere[name] = other
        nowhere[name] = f"no-such.{name}"
        # There and back; where there was no plain line, the line that was added stays.
        there = edit(text, name, other)
        assert different_lines(text, there.text) == 1
        if found.line is not None and not found.variable:
            back = edit(there.text, name, found.name or "")
            assert unquoted(back.text) == unquoted(text)

    moved = judge(tmp_path, switched(text, elsewhere))
    assert moved.valid, moved.printed
    lost = judge(tmp_path, switched(text, nowhere))
    assert not lost.valid
    assert lost.complaints == set(nowhere.items())


def unquoted(text: str) -> str:
    """A name that was quoted needlessly is written without quotes."""
    return re.sub(r"""(default_backend["']?\s+)(["'])([^"']*)\2""", r"\1\3", text)


# Properties

_INDENT = st.sampled_from(["", " ", "    ", "\t", " \t "])
_GAP = st.sampled_from([" ", "  ", "\t", " \t"])
_QUOTED = st.sampled_from(["{}", "'{}'", '"{}"', "{}# close", "{} # default_backend no", "'{}'  "])
_BETWEEN = st.sampled_from(
    ["", " ", "# default_backend b1", "  #frontend f9", "\t# caf\xe9", "#'\"\\"]
)
_RULES = st.sampled_from(
    [
        "option httplog",
        "acl default_backend path_beg /frontend",
        "use_backend b1 if { path /a }",
        "use_backend 'b2' if { hdr(host) -i default_backend b1 }",
        'http-request set-header X-A "default_backend b1 # no \\" end"',
        "http-request set-header X-B it\\'s\\ \\#1",
        "bind 127.0.0.1:8080 name default_backend",
    ]
)
_BACKENDS = ("b1", "b2", "b.3:x", "B-4_")


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """A configuration that HAProxy takes, with frontends f0, f1 ... in all kinds of styles."""

    def line(text: str, indent: str = "") -> list[str]:
        return [*draw(st.lists(_BETWEEN, max_size=1)), indent + text]

    def default(indent: str) -> list[str]:
        word = draw(
            st.sampled_from(["default_backend", "'default_backend'", "default_\\x62ackend"])
        )
        name = draw(_QUOTED).format(draw(st.sampled_from(_BACKENDS)))
        return line(f"{word}{draw(_GAP)}{name}", indent)

    def frontend(number: int) -> list[str]:
        indent = draw(_INDENT)
        lines = line(f"frontend{draw(_GAP)}{draw(_QUOTED).format(f'f{number}')}", draw(_INDENT))
        lines += line("bind 127.0.0.1:8080", indent)
        for _each in range(draw(st.integers(0, 4))):
            rule = line(draw(_RULES), indent)
            if draw(st.booleans()):
                rule = [".if !defined(NO_SUCH)", *rule, ".else", *line("log global"), ".endif"]
            lines += rule
            if draw(st.integers(0, 3)) == 0:
                lines += default(indent)
        return lines + (default(indent) if draw(st.booleans()) else [])

    parts = [frontend(number) for number in range(draw(st.integers(1, 3)))]
    parts += [[f"backend {draw(_QUOTED).format(name)}"] for name in _BACKENDS]
    defaults = ["defaults", "mode http", *(default(" ") if draw(st.booleans()) else [])]
    defaults += [f" timeout {side} 1s" for side in ("connect", "client", "server")]
    lines = [*defaults, *(line for part in draw(st.permutations(parts)) for line in part)]
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    return "".join(f"{line}{ending}" for line in lines)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=configurations(), data=st.data())
def test_the_editor_means_the_line_that_haproxy_obeys(
    tmp_path: Path, text: str, data: st.DataObject
) -> None:
    before = judge(tmp_path, text)
    assert before.valid, before.printed
    frontend = data.draw(st.sampled_from(frontend_names(parse(text))))
    backend = data.draw(st.sampled_from(_BACKENDS))
    edited = edit(text, frontend, backend).text
    assert different_lines(text, edited) <= 1
    after = judge(tmp_path, edited)
    assert after.valid, after.printed
    lost = judge(tmp_path, edit(edited, frontend, "no-such").text)
    assert lost.complaints == {(frontend, "no-such")}


def test_a_program_section_is_valid_after_an_upgrade(tmp_path: Path) -> None:
    """The role's own command accepts what HAProxy runs with."""
    path = tmp_path / "haproxy.cfg"
    path.write_text("global\n    log stdout format raw local0\nprogram other\n    command true\n")
    tasks = yaml.safe_load((ROLES / "haproxy" / "tasks" / "manage.yml").read_text())
    (argv,) = [
        task["ansible.builtin.command"]["argv"]
        for task in tasks
        if task["name"] == "Check the configuration with the new version"
    ]
    command = [haproxy_program(), *argv[1:-1], str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
