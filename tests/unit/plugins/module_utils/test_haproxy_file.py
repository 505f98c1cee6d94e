# SPDX-License-Identifier: GPL-3.0-or-later
"""Replacing a file as one step, and the lock."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy_file import (
    FileError,
    discard_leftovers,
    locked,
    read_file,
    replace,
    write_candidate,
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "haproxy.cfg"
    path.write_bytes(b"old\xff\r\n")
    path.chmod(0o640)
    return path


def names(config: Path) -> list[str]:
    return sorted(path.name for path in config.parent.iterdir())


def test_replace_keeps_mode_and_bytes(config: Path) -> None:
    original = read_file(str(config))
    assert original.data == b"old\xff\r\n"
    candidate = write_candidate(original, b"new\xfe")
    name = Path(candidate).name
    # HAProxy, given the directory, loads *.cfg and skips names that begin with a dot.
    assert name.startswith(".")
    assert not name.endswith(".cfg")
    assert config.read_bytes() == b"old\xff\r\n"
    assert Path(candidate).stat().st_mode & 0o777 == 0o640
    new = replace(original, candidate)
    assert (new.data, config.read_bytes()) == (b"new\xfe", b"new\xfe")
    assert config.stat().st_mode & 0o777 == 0o640
    assert names(config) == ["haproxy.cfg"]


def test_links_are_followed(config: Path) -> None:
    link = config.parent / "link.cfg"
    link.symlink_to("haproxy.cfg")
    original = read_file(str(link))
    assert original.path == str(config)
    replace(original, write_candidate(original, b"new"))
    assert link.is_symlink()
    assert config.read_bytes() == b"new"


def test_somebody_elses_edit_is_not_overwritten(config: Path) -> None:
    original = read_file(str(config))
    candidate = write_candidate(original, b"new")
    config.write_bytes(b"theirs")
    with pytest.raises(FileError, match="changed by somebody else"):
        replace(original, candidate)
    assert config.read_bytes() == b"theirs"


def test_a_failed_write_leaves_nothing(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = read_file(str(config))

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"cannot write .*No space left"):
        write_candidate(original, b"new")
    assert names(config) == ["haproxy.cfg"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read: No such file"):
        read_file(str(tmp_path / "none"))
    with pytest.raises(FileError, match="is a directory"):
        read_file(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="is not a file"):
        read_file(str(tmp_path / "pipe"))


def test_only_our_own_leftovers_go(config: Path) -> None:
    ours = config.parent / ".haproxy.cfg.bookface-x1.candidate"
    others = [config.parent / name for name in (".haproxy.cfg.swp", ".other.bookface-x.candidate")]
    for path in (ours, *others):
        path.write_text("x")
    discard_leftovers(str(config))
    assert not ours.exists()
    assert all(path.exists() for path in others)


def test_lock_is_bounded_and_names_its_holder(config: Path) -> None:
    with locked(str(config), 1):
        holder = f"process {os.getpid()} holds the lock"
        with pytest.raises(FileError, match=holder), locked(str(config), 0.1):
            pytest.fail("two holders")
        assert names(config) == ["haproxy.cfg"]
    with locked(str(config), 0):
        pass


def test_lock_survives_the_replacement_of_the_file(config: Path) -> None:
    with locked(str(config), 1):
        original = read_file(str(config))
        replace(original, write_candidate(original, b"new"))
        with pytest.raises(FileError, match="another switch"), locked(str(config), 0):
            pass
