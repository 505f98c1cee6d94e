# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble with the file: rights, a full disk, links, and somebody else who edits it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from faults import (
    NOBODY,
    UNTOUCHED,
    State,
    go_on,
    held,
    killed,
    reload_ended,
    state,
    tree,
    unprivileged,
)

if TYPE_CHECKING:
    from conftest import Lab

LEGACY = State("legacy", (), "legacy")
DOCKER = State("docker", ("docker",), "docker")


@pytest.fixture
def apart(stopped: Lab) -> Lab:
    """The configuration in a directory of its own, and sockets that everybody may use."""
    lab = stopped
    etc = lab.directory / "etc"
    etc.mkdir()
    lab.config = lab.config.rename(etc / "haproxy.cfg")
    lab.start()
    # The master makes its socket once more after the first start.
    reload_ended(lab)
    lab.directory.chmod(0o755)
    lab.admin.chmod(0o666)
    lab.master.chmod(0o666)
    return lab


def then_it_works(lab: Lab, **options: Any) -> None:
    """The cause is gone: the same task does it, and leaves nothing beside."""
    names = tree(lab)
    done = lab.switch("docker", **options)
    assert done.get("failed") is None, done
    assert state(lab) == DOCKER
    assert tree(lab) == names
    assert lab.switch("docker", **options)["changed"] is False


# rights


@pytest.mark.parametrize(
    ("what", "mode", "message"),
    [
        ("config", 0o000, "haproxy.cfg cannot be read: Permission denied"),
        ("etc", 0o555, "cannot write into "),
        ("etc", 0o333, "etc cannot be opened: Permission denied"),
        ("etc", 0o000, "etc cannot be opened: Permission denied"),
        ("admin", 0o600, "Run the task with become"),
        ("master", 0o600, "Run the task with become"),
        ("sockets", 0o600, "Run the task with become"),
    ],
)
def test_what_an_ordinary_user_may_not(apart: Lab, what: str, mode: int, message: str) -> None:
    lab = apart
    names = tree(lab)
    options = {}
    if what == "sockets":
        # A directory that only root may enter.
        closed = lab.directory / "maps"
        (closed / "master.sock").symlink_to(lab.master)
        options["master_socket"] = str(closed / "master.sock")
    place = {
        "config": lab.config,
        "etc": lab.config.parent,
        "admin": lab.admin,
        "master": lab.master,
        "sockets": lab.map.parent,
    }[what]
    before = place.stat().st_mode
    place.chmod(mode)
    try:
        refused = unprivileged(lab, "docker", **options)
    finally:
        place.chmod(before)
        for path in options.values():
            Path(path).unlink()
    assert refused.get("failed") is True
    assert message in refused["msg"]
    assert UNTOUCHED in refused["msg"]
    assert state(lab) == LEGACY
    assert tree(lab) == names
    then_it_works(lab)


def test_a_file_that_cannot_be_given_to_its_owner(apart: Lab) -> None:
    """The candidate would belong to somebody else than the file: better none."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    lab = apart
    lab.config.parent.chmod(0o777)
    lab.config.chmod(0o644)
    refused = unprivileged(lab, "docker")
    assert "cannot write" in refused["msg"]
    assert "Operation not permitted" in refused["msg"]
    assert UNTOUCHED in refused["msg"]
    assert state(lab) == LEGACY
    # The file is one's own: no need to be root.
    os.chown(lab.config, NOBODY, NOBODY)
    names = tree(lab)
    assert unprivileged(lab, "docker")["changed"] is True
    assert (state(lab), tree(lab)) == (DOCKER, names)


# a full disk


@contextmanager
def mounted(directory: Path, *options: str) -> Iterator[Path]:
    """A small file system of its own on a directory."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    directory.mkdir(exist_ok=True)
    choice = ",".join(("mode=755", *options))
    subprocess.run(["mount", "-t", "tmpfs", "-o", choice, "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def fill(directory: Path, spare: int = 0) -> Callable[[], None]:
    """Use up the space but for some bytes; what comes back frees it."""
    filler = directory / "filler"
    space = os.statvfs(directory)
    filler.write_bytes(b"x" * (space.f_bavail * space.f_frsize - spare))
    return filler.unlink


@pytest.fixture
def small(stopped: Lab) -> Iterator[Lab]:
    """The configuration on a disk of 64 KiB."""
    lab = stopped
    with mounted(lab.directory / "etc", "size=64k") as etc:
        lab.config.unlink()
        lab.config = etc / "haproxy.cfg"
        lab.config.write_text(lab.text())
        lab.start()
        yield lab


@pytest.mark.parametrize("check", [True, False])
def test_full_disk(small: Lab, check: bool) -> None:
    lab = small
    names = tree(lab)
    free = fill(lab.config.parent)
    refused = lab.switch("docker", check=check)
    free()
    assert refused["failed"] is True
    assert f"cannot write {lab.config.parent}/" in refused["msg"]
    assert "No space left on device" in refused["msg"]
    assert UNTOUCHED in refused["msg"]
    assert (state(lab), tree(lab)) == (LEGACY, names)
    then_it_works(lab)


def test_no_room_for_another_name(stopped: Lab) -> None:
    """A disk can run out of files, too."""
    lab = stopped
    with mounted(lab.directory / "etc", "nr_inodes=2") as etc:
        lab.config.unlink()
        lab.config = etc / "haproxy.cfg"
        lab.config.write_text(lab.text())
        lab.start()
        refused = lab.switch("docker")
        assert f"cannot write into {etc}: No space left on device" in refused["msg"]
        assert UNTOUCHED in refused["msg"]
        assert state(lab) == LEGACY
        subprocess.run(["mount", "-o", "remount,nr_inodes=9", etc], check=True)
        then_it_works(lab)


def test_room_for_some_of_what_is_written(small: Lab) -> None:
    """However many pages are left: all that has to be written fits, or nothing has changed."""
    lab = small
    names = tree(lab)
    failures = 0
    for pages in range(8):
        free = fill(lab.config.parent, spare=4096 * pages)
        result = lab.switch("docker", backup=True)
        free()
        if not result.get("failed"):
            break
        failures += 1
        assert "No space left on device" in result["msg"]
        assert UNTOUCHED in result["msg"]
        assert (state(lab), tree(lab)) == (LEGACY, names)
    # A candidate, and a backup.
    assert failures >= 2
    assert state(lab) == DOCKER
    assert Path(result["backup_file"]).read_text() == lab.text()


@pytest.mark.parametrize("engine", ["runtime", "reload"])
def test_disk_that_fills_up_before_the_way_back(small: Lab, engine: str) -> None:
    """The worst case: HAProxy is gone after the rename, and the old file cannot be written."""
    lab = small
    with held(lab, "after", "replace", "docker", engine=engine, wait=0.5) as program:
        free = fill(lab.config.parent)
        away = (lab.admin.rename(lab.directory / "a"), lab.master.rename(lab.directory / "m"))
        failed = go_on(lab, program)
        lab.admin, lab.master = away[0].rename(lab.admin), away[1].rename(lab.master)
    free()
    assert "could NOT be restored" in failed["msg"]
    assert "No space left on device" in failed["msg"]
    assert "names docker" in failed["msg"]
    assert UNTOUCHED not in failed["msg"]
    assert state(lab) == State("docker", (), "legacy")
    done = lab.switch("docker")
    assert (done["changed"], state(lab)) == (True, DOCKER)


# links


def test_a_chain_of_links_to_another_disk(stopped: Lab) -> None:
    """Links stay links; the candidate lies beside the real file, and is tidied up there."""
    lab = stopped
    with mounted(lab.directory / "other") as other:
        real = lab.config.rename(lab.directory / "moved")
        (other / "real.cfg").write_bytes(real.read_bytes())
        real.unlink()
        (lab.directory / "middle.cfg").symlink_to(other / "real.cfg")
        lab.config.symlink_to("middle.cfg")
        lab.start()
        names = tree(lab)
        killed(lab, "before", "replace", "docker")
        assert len(list(other.glob(".real.cfg.*.candidate"))) == 1
        # Whoever names the real file waits for the same lock.
        with held(lab, "before", "replace", "docker"):
            refused = lab.switch("docker", config=str(other / "real.cfg"), lock_timeout=0)
            assert f"holds the lock on {other}" in refused["msg"]
        done = lab.switch("docker")
        assert (done["changed"], done["config"]) == (True, str(other / "real.cfg"))
        assert (state(lab), tree(lab)) == (DOCKER, names)
        assert lab.config.readlink() == Path("middle.cfg")
        assert (lab.directory / "middle.cfg").readlink() == other / "real.cfg"


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("target", "message"), [("nowhere", "No such file"), ("haproxy.cfg", "symbolic links")]
)
def test_links_that_lead_nowhere(lab: Lab, target: str, message: str, check: bool) -> None:
    real = lab.config.rename(lab.directory / "real.cfg")
    link = lab.config
    link.symlink_to(target)
    refused = lab.switch("docker", check=check)
    assert refused["failed"] is True
    assert message in refused["msg"]
    assert UNTOUCHED in refused["msg"]
    assert link.readlink() == Path(target)
    lab.config = real
    then_it_works(lab)


# somebody else edits it


def test_edit_by_hand_during_the_switch(lab: Lab) -> None:
    """Their edit stays, and the same task again builds on it."""
    with held(lab, "before", "replace", "docker") as program:
        theirs = lab.text() + "# a note\n"
        lab.config.write_text(theirs)
        refused = go_on(lab, program)
    assert "was changed by another program since it was read" in refused["msg"]
    assert UNTOUCHED in refused["msg"]
    assert lab.config.read_text() == theirs
    assert (lab.entry(), lab.traffic(), lab.files()) == ((), "legacy", ["haproxy.cfg"])
    assert lab.switch("docker")["changed"] is True
    assert lab.config.read_text() == lab.text(default="docker") + "# a note\n"
    assert lab.traffic() == "docker"


def test_file_that_is_removed_during_the_switch(lab: Lab) -> None:
    with held(lab, "before", "replace", "docker") as program:
        lab.config.unlink()
        refused = go_on(lab, program)
    assert f"cannot replace {lab.config}: No such file" in refused["msg"]
    assert UNTOUCHED in refused["msg"]
    assert (lab.files(), lab.entry(), lab.traffic()) == ([], (), "legacy")
    lab.config.write_text(lab.text())
    then_it_works(lab)


def test_edit_by_hand_before_the_way_back(lab: Lab) -> None:
    """What somebody has written after us is not overwritten, and the message says so."""
    with held(lab, "after", "replace", "docker", wait=0.3) as program:
        theirs = lab.text(default="docker") + "# a note\n"
        lab.config.write_text(theirs)
        lab.admin.rename(lab.directory / "away")
        failed = go_on(lab, program)
        (lab.directory / "away").rename(lab.admin)
    assert "could NOT be restored" in failed["msg"]
    assert "changed by another program" in failed["msg"]
    assert lab.config.read_text() == theirs
    assert (lab.entry(), lab.traffic()) == ((), "legacy")
    assert lab.switch("docker")["changed"] is True
    assert (lab.config.read_text(), lab.traffic()) == (theirs, "docker")


def test_edit_by_hand_that_the_worker_has_not_read(lab: Lab) -> None:
    """A backend that only the file has gets no traffic before its servers have been seen."""
    extra = f"backend new\n    server n 127.0.0.1:{lab.web['docker'].port} check\n"
    lab.config.write_text(lab.text(extra=extra))
    for engine, message in (("auto", "Reload HAProxy first"), ("runtime", "has no backend")):
        refused = lab.switch("new", engine=engine)
        assert message in refused["msg"]
        assert UNTOUCHED in refused["msg"]
        assert lab.config.read_text() == lab.text(extra=extra)
        assert (lab.entry(), lab.traffic()) == ((), "legacy")
    lab.reload()
    done = lab.switch("new")
    assert (done["changed"], done["engine"]) == (True, "runtime")
    assert lab.config.read_text() == lab.text(default="new", extra=extra)
    assert (lab.entry(), lab.traffic()) == (("new",), "docker")


def test_edit_by_hand_that_nobody_asked_for(lab: Lab) -> None:
    """The file says docker since somebody's edit; the task wants what the traffic does anyway."""
    lab.config.write_text(lab.text(default="docker"))
    done = lab.switch("legacy")
    assert (done["changed"], done["previous_backend_on_disk"]) == (True, "docker")
    assert state(lab) == State("legacy", ("legacy",), "legacy")
