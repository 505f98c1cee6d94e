# SPDX-License-Identifier: GPL-3.0-or-later
"""The statistics of a few proxies are those of the whole list, whatever their names."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Lab, WebServer, free_port

EXTRA = """
backend book-face
    server same 127.0.0.1:9
backend follower
    server f1 127.0.0.1:9 track docker/docker1
listen both
    bind 127.0.0.1:{port}
    server b1 127.0.0.1:9
"""


@pytest.fixture(scope="module")
def named(web: dict[str, WebServer]) -> Iterator[Lab]:
    """A running HAProxy with proxies whose names are hard to tell apart."""
    with tempfile.TemporaryDirectory(prefix="hx-") as directory:
        lab = Lab(Path(directory), web)
        lab.config.write_text(lab.text(extra=EXTRA.format(port=free_port())))
        try:
            lab.start()
            yield lab
        finally:
            lab.stop()


@pytest.mark.parametrize("frontend", ["book-face", "both", "nosuch", "docker", "2face"])
@pytest.mark.parametrize(
    "backend",
    [
        "docker",
        "dead",
        "off",
        "both",
        "book-face",
        "follower",
        "nosuch",
        "2nd",
        "99x",
        "-1",
        "json",
    ],
)
def test_few_statistics(named: Lab, frontend: str, backend: str) -> None:
    whole = named.stats.stat(5)
    few = named.stats.stat_of((frontend,), (backend, "legacy", backend), 5)
    assert (frontend in few.frontends) == (frontend in whole.frontends)
    for name in (backend, "legacy"):
        assert (name in few.backend_names) == (name in whole.backend_names)
        mine = [(s.name, s.passed) for s in few.servers_of(name)]
        assert mine == [(s.name, s.passed) for s in whole.servers_of(name)]


def test_few_statistics_are_few(named: Lab) -> None:
    few = named.stats.stat_of(("both",), ("docker", "nosuch"), 5)
    assert (few.frontends, few.backend_names) == (("both",), ("docker",))
    assert [server.name for server in few.servers] == ["docker1", "docker2"]
