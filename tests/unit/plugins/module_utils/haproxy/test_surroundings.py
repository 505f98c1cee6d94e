# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy runs with, by its unit and its configuration."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.surroundings import (
    Surroundings,
    base_directory,
    missing,
    of_unit,
    parse_environment,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import parse_files

# As systemd 252 shows Debian's unit, with a line of its own and a directory.
SHOWN = """\
WorkingDirectory=!/srv/site
Environment=CONFIG=/etc/h.cfg "EXTRAOPTS=-S /run/m.sock" "Q=a\\"b \\$c" X=unit
Environment=HAPROXY_PORT=1 HAPROXY_MWORKER=1
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
        "HAPROXY_PORT": "1",
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


@pytest.mark.parametrize(
    ("default_path", "base"),
    [
        ("", "/run/home"),
        ("default-path current", "/run/home"),
        ("default-path config", "/etc/haproxy/conf.d"),
        ("default-path parent", "/etc/haproxy"),
        ("default-path origin /srv", "/srv"),
        ("default-path origin /srv\n  default-path current", "/run/home"),
    ],
)
def test_where_relative_paths_begin(default_path: str, base: str) -> None:
    main = f"global\n  {default_path}\n".encode()
    more = b"frontend f\n  default_backend b\n"
    config = parse_files([("/etc/haproxy/haproxy.cfg", main), ("/etc/haproxy/conf.d/f.cfg", more)])
    line = config.lines.index("frontend f\n")
    assert base_directory(config, line, "/run/home") == base
    known = default_path and "current" not in default_path
    assert base_directory(config, line, None) == (base if known else None)


def test_variables_that_nothing_sets() -> None:
    text = 'global\n  setenv A 1\n  presetenv B 2\n  log "${A}${B}${C}" "${D}" ${D}'
    assert missing([text], Surroundings("x", {"C": ""})) == ("D",)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("HAPROXY_LOCALPEER", True),
        ("HAPROXY_HTTP_LOG_FMT", True),
        ("HAPROXY_HTTPS_LOG_FMT", True),
        ("HAPROXY_TCP_CLF_LOG_FMT", True),
        ("HAPROXY_MASTER_CLI", True),
        ("HAPROXY_MWORKER_REEXEC", True),
        ("HAPROXY_STARTUP_VERSION", True),
        ("HAPROXY_PORT", False),
        ("HAPROXY_CLIENTS", False),
    ],
)
def test_what_haproxy_sets_is_not_missing(name: str, own: bool) -> None:
    assert missing([f'log "${{{name}}}"'], Surroundings("x", {})) == (() if own else (name,))
