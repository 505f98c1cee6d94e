# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of apt have something of Docker's repository in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.docker import repository, sources

MIRROR = "http://mirror.example.org/docker"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory like /etc/apt, with sources of Docker's, of a mirror of it and of others."""
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    mine = "deb http://deb.example.org/debian bookworm main\n"
    docker = "deb https://download.docker.com/linux/debian bookworm stable\n"
    (tmp_path / "sources.list").write_text(mine + docker)
    (parts / "mine.list").write_text(mine)
    (parts / "docker.list").write_text(docker)
    (parts / "mirror.sources").write_text(f"Types: deb\nURIs: {MIRROR}/linux/debian\n")
    (tmp_path / "docker.gpg").write_text("a key")
    monkeypatch.setattr(repository, "OLD_KEYS", (str(tmp_path / "docker.gpg"), "/no/such/key"))
    return tmp_path


def test_entries_go_and_files_without_others(apt: Path) -> None:
    mine = "deb http://deb.example.org/debian bookworm main\n"
    expected = {
        apt / "sources.list": mine,
        apt / "sources.list.d/docker.list": "",
        apt / "docker.gpg": "",
    }
    assert sources.without_docker([], apt) == expected
    assert sources.without_docker([MIRROR], apt) == {
        **expected,
        apt / "sources.list.d/mirror.sources": "",
    }
