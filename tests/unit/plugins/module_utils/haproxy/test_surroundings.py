# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy runs with, by its unit and its configuration."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.surroundings import (
    Surroundings,
    missing,
    of_unit,
    parse_environment,
)

# As systemd 252 shows Debian's unit, with a line of its own and a directory.
SHOWN = """\
WorkingDirectory=!/srv/site
Environment=CONFIG=/etc/h.cfg "EXTRAOPTS=-S /run/m.sock" "Q=a\\"b \\$c" X=unit HAPROXY_X=1
EnvironmentFiles=/etc/default/haproxy (ignore_errors=yes)
EnvironmentFiles=/etc/sysconfig/haproxy (ignore_errors=yes)
LoadState=loaded
"""
FILES = {"/etc/default/haproxy": "# PORT=1\nPORT=8080\nX='file'\n"}


def test_a_unit() -> None:
    found = of_unit("haproxy", SHOWN, FILES.get)
    assert found
    assert (found.source, found.directory) == ("unit haproxy", "/srv/site")
    assert found.environment == {
        "CONFIG": "/etc/h.cfg",
        "EXTRAOPTS": "-S /run/m.sock",
        "Q": 'a"b $c',
        "X": "file",
        "PORT": "8080",
    }


@pytest.mark.parametrize("shown", ["", "LoadState=not-found\nEnvironment=\n"])
def test_no_unit(shown: str) -> None:
    assert of_unit("haproxy", shown, FILES.get) is None


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        (" A = b c ", "b c"),
        ('A="b c"', "b c"),
        ("A='b \"c'", 'b "c'),
        ("A=b\\\nc", "bc"),
        ("A=", ""),
        ('A="b', '"b'),
        ("#A=b", None),
        (";A=b", None),
        ("export A=b", None),
        ("A", None),
    ],
)
def test_a_line_of_an_environment_file(line: str, value: str | None) -> None:
    assert parse_environment(f"{line}\n").get("A") == value


def test_variables_that_nothing_sets() -> None:
    text = (
        'global\n  setenv A 1\n  presetenv B 2\n  log "${A}${B}${C}" "${D}" "${HAPROXY_PID}" ${D}'
    )
    assert missing([text], Surroundings("x", {"C": ""})) == ("D",)
