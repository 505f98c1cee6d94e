# SPDX-License-Identifier: GPL-3.0-or-later
"""Replacing a file as one step, and the lock."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.file import (
    FileError,
    all_locked,
    discard_leftovers,
    loaded_files,
    locked,
    read_file,
    replace,
    write_atomically,
    write_backup,
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
    with pytest.raises(FileError, match="changed by another program"):
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
    with pytest.raises(FileError, match="is not a regular file"):
        read_file(str(tmp_path / "pipe"))


def test_files_in_haproxys_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "conf.d"
    conf.mkdir()
    for name in ("b.cfg", "a.cfg", "Z.cfg", "10.cfg", ".h.cfg", "c.cfg~", "d.conf", "\u00e9.cfg"):
        (conf / name).touch()
    (conf / "dir.cfg").mkdir()
    (conf / "link.cfg").symlink_to("d.conf")
    single = tmp_path / "haproxy.txt"
    found = loaded_files([str(single), str(conf), "/nowhere/x.cfg"])
    names = ["10.cfg", "Z.cfg", "a.cfg", "b.cfg", "link.cfg", "\u00e9.cfg"]
    assert found == (str(single), *(str(conf / name) for name in names), "/nowhere/x.cfg")
    monkeypatch.chdir(tmp_path)
    assert loaded_files(["conf.d"]) == found[1:-1]
    (conf / "lost.cfg").symlink_to("nowhere")
    with pytest.raises(FileError, match=r"lost\.cfg cannot be read: No such file"):
        loaded_files(["conf.d"])
    with pytest.raises(FileError, match=r"dir\.cfg has no file that HAProxy would load"):
        loaded_files([str(conf / "dir.cfg")])


def test_a_file_of_our_own(config: Path) -> None:
    path = config.parent / "record"
    old = os.umask(0o077)
    try:
        for data in (b"first", b"second"):
            write_atomically(str(path), data)
            assert path.read_bytes() == data
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o7777 == 0o644
    assert names(config) == ["haproxy.cfg", "record"]
    with pytest.raises(FileError, match=r"cannot write /nowhere/record: No such file"):
        write_atomically("/nowhere/record", b"")
    (config.parent / "taken").mkdir()
    with pytest.raises(FileError, match="Is a directory"):
        write_atomically(str(config.parent / "taken"), b"")
    assert names(config) == ["haproxy.cfg", "record", "taken"]


def test_a_backup_is_a_whole_copy(config: Path) -> None:
    backup = Path(write_backup(read_file(str(config))))
    assert backup.read_bytes() == b"old\xff\r\n"
    assert backup.stat().st_mode & 0o777 == 0o640
    assert backup.name.startswith(f"haproxy.cfg.{os.getpid()}.")
    # HAProxy does not load it where it loads the directory.
    assert backup.name.endswith("~")
    assert len(names(config)) == 2


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
        with pytest.raises(FileError, match="another task"), locked(str(config), 0):
            pass


def test_the_locks_of_several_directories(tmp_path: Path) -> None:
    files = []
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        files += [tmp_path / name / "1.cfg", tmp_path / name / "2.cfg"]
    link = tmp_path / "b" / "3.cfg"
    link.symlink_to("../a/3.cfg")
    with all_locked([str(file) for file in files], 1):
        for path in (*files, link):
            with pytest.raises(FileError, match="another task"), locked(str(path), 0):
                pass
        with locked(str(tmp_path / "free.cfg"), 0):
            pass
    # Always taken in the same order, so two that want the same ones never wait for each other.
    with locked(str(files[0]), 0), locked(str(files[2]), 0):
        for order in (files, files[::-1]):
            with (
                pytest.raises(FileError, match=r"lock on \S*/a\)"),
                all_locked([str(file) for file in order], 0),
            ):
                pass
    # The lock is that of the directory where the file really is.
    with (
        all_locked([str(files[0]), str(link)], 0),
        pytest.raises(FileError, match="another task"),
        locked(str(files[2]), 0),
    ):
        pass
