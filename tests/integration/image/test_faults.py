# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble while the image is made or brought: one clear message, and a next run that completes."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from workalike.support import CODE, free_port

from .conftest import KINDS, Engine, Registry, Role, Start, other_engine

CHOICE = KINDS[0].variables()


@pytest.fixture
def release(tmp_path: Path) -> dict[str, object]:
    """Variables for a release that no image has been built of."""
    tree = tmp_path / "release"
    tree.mkdir()
    for path in CODE.iterdir():
        (tree / path.name).write_bytes(path.read_bytes())
    (tree / "release.txt").write_text(str(time.time_ns()))
    return {**CHOICE, "bookface_source": {"type": "path", "location": str(tree)}}


@contextmanager
def full(directory: Path, leave: int) -> Iterator[None]:
    """A file system on which only so many bytes are left."""
    filler = directory / "filler"
    room = os.statvfs(directory)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - leave)
    try:
        yield
    finally:
        filler.unlink()


def test_a_build_that_breaks_in_the_middle(
    role: Role, engine: Engine, start: Start, release: dict[str, object]
) -> None:
    """Packages that do not exist: what serves goes on, and the next run builds."""
    web = start(role.build(KINDS[0])).answers()
    images, pid = engine.images(), web.state()["Pid"]
    ended = role.run(**{**release, "bookface_image_packages": ["no-such-package"]})
    assert ended.code != 0
    said = ended.message("one")
    assert f"{ended.reference} could not be built on one: " in said
    assert "Unable to locate package no-such-package" in said
    assert "Images and containers are unchanged. A build requires the packages" in said
    assert engine.images() == images
    assert web.answers().state()["Pid"] == pid
    assert role.leftovers() == []
    role.run(**release).ok()


def test_a_run_that_is_killed_in_the_middle(
    role: Role, engine: Engine, release: dict[str, object]
) -> None:
    """No image has the name of one that was not finished; the next run builds it.

    It has a further extension, and nothing that was not asked for.
    """
    # So often that nothing of an earlier build will do, and that no other one looks like it.
    packages = ["php-gmp"] * random.randint(1, 1000)  # noqa: S311
    more = {
        **release,
        "bookface_image_packages": packages,
        "bookface_image_php_extensions": ["gmp", "opcache", "pdo", "pdo_pgsql"],
    }

    def building() -> bool:
        """In a container that has this build's arguments just these packages are installed."""
        running = engine("ps", "-q").split()
        # One that is gone meanwhile is no failure, and neither is none.
        shown = engine("inspect", "--format", "{{json .Config.Env}}", *running, check=False)
        return json.dumps(f"PACKAGES={' '.join(packages)}") in shown

    killed = role.run(how={"until_it": building}, **more)
    assert killed.code == -signal.SIGKILL
    # What was left is old by now; beside it lie what is not ours and what is not old.
    left = role.leftovers()
    assert left
    names = ("registry-0ld_cr3d", "image-of-mine", "registry-of_other")
    left += [role.tmp / f"bookface-{name}" for name in names]
    for path in left[-3:]:
        path.mkdir(0o700)
    os.chown(left[-1], 65534, 65534)
    for path in left:
        os.utime(path, (1, 1))
    fresh = role.tmp / "bookface-registry-abcdefgh"
    fresh.mkdir(0o700)
    before = engine.images()
    image = role.run(**more).ok().reference
    assert set(role.leftovers()) == {fresh, *left[-2:]}
    for path in role.leftovers():
        path.rmdir()
    assert len(engine.images() - before) == 1
    look = ("sh", "-c", "cd /usr/lib/php/2*; ls *.so; ls /usr/lib/*/libgmp.so*")
    found = engine("run", "--rm", "--entrypoint", "busybox", image, *look).split()
    assert found[:-1] == ["gmp.so", "opcache.so", "pdo.so", "pdo_pgsql.so"]
    assert "libgmp.so" in found[-1]


def test_the_registry_is_away(role: Role, release: dict[str, object]) -> None:
    address = f"127.0.0.1:{free_port()}"
    account = {
        "bookface_image_registry_username": "me",
        "bookface_image_registry_password": "let-me-in",
    }
    for given in ({}, account):
        ended = role.run(**release, bookface_image_registry=address, **given)
        assert ended.code != 0
        said = ended.message("one")
        assert said.startswith(f"{ended.reference}, requested by one: ")
        assert "connection refused" in said
        assert f"Expected a registry at {address} that this host reaches and " in said
        assert "Create the build directory" not in ended.output
        assert "let-me-in" not in ended.output


def test_wrong_credentials(role: Role, registry: Registry, release: dict[str, object]) -> None:
    wrong = registry.variables() | {"bookface_image_registry_password": "wr0ng"}
    ended = role.run(**release, **wrong)
    assert ended.code != 0
    assert "401" in ended.message("one") or "unauthorized" in ended.message("one")
    assert (
        f"that accepts {registry.username} with bookface_image_registry_password."
        in ended.message("one")
    )
    assert "wr0ng" not in ended.output
    none = role.run(**release, bookface_image_registry=registry.address)
    assert none.code != 0
    assert "otherwise set bookface_image_registry_username and _password" in none.message("one")
    assert role.leftovers() == []


def test_the_disk_is_full_where_it_is_loaded(role: Role, engine: Engine) -> None:
    image = role.build(KINDS[0])
    with other_engine("120m") as second:
        assert second.data
        with full(second.data, 8_000_000):
            ended = role.run(engines=(engine, second), **CHOICE)
            assert ended.code != 0
            said = ended.message("two")
            assert said.startswith(f"{image} could not be copied from one to two: ")
            assert "no space left on device" in said
            assert "A copy requires space for the packed image in /var/tmp" in said
            assert not second.has(image)
        assert role.run(engines=(engine, second), **CHOICE).ok().changed["two"] == 1
        assert second.has(image)


def test_the_disk_is_full_where_it_is_built(
    role: Role, engine: Engine, release: dict[str, object]
) -> None:
    """What goes in is gathered in /var/tmp: this run sees one with hardly any room."""
    mount = "mount -t tmpfs -o size=16k tmpfs /var/tmp"
    under = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    ended = role.run(how={"under": under}, **release)
    assert ended.code != 0
    assert f"{ended.reference} could not be built on one: " in ended.message("one")
    assert "No space left on device" in ended.message("one")
    assert "free space in /var/tmp and in Docker's own directory" in ended.message("one")
    assert not engine.has(ended.reference)
    role.run(**release).ok()
