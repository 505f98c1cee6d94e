# SPDX-License-Identifier: GPL-3.0-or-later
"""The role builds when something changed, brings the image to others, refuses bad values."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from workalike.support import CODE

from .conftest import KINDS, NAME, PLAY, Engine, Registry, Role, other_engine, play

CHOICE = KINDS[0].variables()
BASE = "bookface/debian:trixie"
PACKAGES = "/usr/local/share/bookface-packages"


@pytest.fixture(scope="module")
def second() -> Iterator[Engine]:
    with other_engine("400m") as engine:
        yield engine


def labels(engine: Engine, image: str) -> dict[str, str]:
    found: dict[str, str] = engine.inspect(image)["Config"]["Labels"]
    return found


def test_an_unchanged_source_builds_nothing(role: Role, engine: Engine) -> None:
    image = role.build(KINDS[0])
    before = engine.inspect(image)["Id"]
    again = role.run(**CHOICE).ok()
    assert (again.changed["one"], again.reference) == (0, image)
    assert role.run("--check", **CHOICE).ok().changed["one"] == 0
    assert engine.inspect(image)["Id"] == before
    assert role.leftovers() == []


def test_a_changed_source_is_another_image(role: Role, engine: Engine, tmp_path: Path) -> None:
    """Foretold in check mode, and all but the code comes from before."""
    for path in CODE.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "stylesheet.css").write_text("body { color: red; }")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").write_text("[remote]")
    source = {"type": "path", "location": str(tmp_path)}
    first = role.build(KINDS[0])
    checked = role.run("--check", **CHOICE, bookface_source=source).ok()
    assert checked.changed["one"] == 1
    assert f"{checked.reference} would be built" in checked.output
    assert not engine.has(checked.reference)
    image = role.run(**CHOICE, bookface_source=source).ok().reference
    assert image == checked.reference != first
    old, new = (engine.inspect(name)["RootFS"]["Layers"] for name in (first, image))
    assert old[:-1] == new[:-1]
    assert old[-1] != new[-1]


def test_something_else_with_its_name_is_replaced(
    role: Role, engine: Engine, tmp_path: Path
) -> None:
    """Re-tagged by hand, or gone."""
    image = role.build(KINDS[0])
    content = labels(engine, image)["platform.bookface.content"]
    # Made here, since no other image is sure to be there.
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    other = engine("import", str(tmp_path / "empty.tar"), image)
    assert engine.inspect(image)["Id"] == other
    role.run(**CHOICE).ok()
    engine("rmi", other)
    assert labels(engine, image)["platform.bookface.content"] == content
    engine("rmi", "-f", image)
    assert role.run(**CHOICE).ok().changed["one"] > 0
    assert labels(engine, image)["platform.bookface.content"] == content


@pytest.fixture
def base(role: Role, engine: Engine) -> Iterator[dict[str, str]]:
    """Variables with a base image of this test's own, the same as the others' at first."""
    role.build(KINDS[0])
    name = f"{NAME}-refresh:{time.time_ns()}"
    engine("tag", BASE, name)
    yield {**CHOICE, "base_image_name": name}
    engine("rmi", name)


def derived(engine: Engine, image: str, directory: Path, *lines: str) -> None:
    """The image with something more in it, under its name."""
    (directory / "Dockerfile").write_text("\n".join([f"FROM {image}", *lines]))
    engine("build", "--quiet", "--tag", image, str(directory))


def test_another_base_of_the_same_name_is_another_image(
    role: Role, engine: Engine, base: dict[str, str], tmp_path: Path
) -> None:
    """One that is the same, or gone, is none."""
    first = role.run(**base).ok().reference
    again = role.run(**base).ok()
    assert (again.changed["one"], again.reference) == (0, first)
    name = base["base_image_name"]
    kept = engine("image", "inspect", "--format", "{{.Id}}", name)
    engine("rmi", name)
    again = role.run(**base).ok()
    assert (again.changed["one"], again.reference) == (0, first)
    assert not engine.has(name)
    engine("tag", kept, name)
    (tmp_path / "update").write_text("of a library")
    derived(engine, name, tmp_path, "COPY update /usr/local/lib/")
    checked = role.run("--check", **base).ok()
    assert checked.changed["one"] == 1
    assert checked.reference != first


def test_a_refresh_builds_if_apt_has_newer_packages(
    role: Role, engine: Engine, base: dict[str, str], tmp_path: Path
) -> None:
    """And otherwise nothing. What runs afterwards keeps the new image."""
    refresh = {**base, "bookface_image_refresh": True}
    first = role.run(**refresh).ok().reference
    again = role.run(**refresh).ok()
    assert (again.changed["one"], again.reference) == (0, first)
    # As if tini had been older when the image was built.
    listed = engine("run", "--rm", "--entrypoint=busybox", first, "cat", PACKAGES)
    assert "\ntini " in listed
    old = re.sub("(?m)^tini .*", "tini 0.1", listed)
    (tmp_path / "packages").write_text(f"{old}\n")
    derived(engine, first, tmp_path, f"COPY packages {PACKAGES}")
    checked = role.run("--check", **refresh).ok()
    assert (checked.changed["one"], checked.reference) == (1, first)
    assert "tini 0.1 -> 0." in checked.output
    assert "1 of its packages have updates" in checked.output
    second = role.run(**refresh).ok()
    assert second.reference != first
    listed = engine("run", "--rm", "--entrypoint=busybox", second.reference, "cat", PACKAGES)
    assert "tini 0.1\n" not in listed
    told = labels(engine, second.reference)
    assert told["platform.bookface.date"][:10] == time.strftime("%Y-%m-%d", time.gmtime())
    for variables in (refresh, base):
        again = role.run(**variables).ok()
        assert (again.changed["one"], again.reference) == (0, second.reference)


def test_it_is_built_once_and_carried(role: Role, engine: Engine, second: Engine) -> None:
    image = role.build(KINDS[0])
    engines = (engine, second)
    checked = role.run("--check", engines=engines, **CHOICE).ok()
    assert (checked.changed["one"], checked.changed["two"]) == (0, 1)
    assert f"{image} would be copied from one" in checked.output
    ended = role.run(engines=engines, **CHOICE).ok()
    assert ended.changed["one"] == 0
    assert second.inspect(image)["Id"] == engine.inspect(image)["Id"]
    again = role.run(engines=engines, **CHOICE).ok()
    assert (again.changed["one"], again.changed["two"]) == (0, 0)
    # Whoever has it gives it: nothing is built again for a new first host.
    engine("rmi", "-f", image)
    role.run(engines=engines, **CHOICE).ok()
    assert second.inspect(image)["Id"] == engine.inspect(image)["Id"]
    assert role.leftovers() == []


def test_it_goes_through_a_registry(
    role: Role, engine: Engine, second: Engine, registry: Registry, tmp_path: Path
) -> None:
    engines, choice = (engine, second), {**CHOICE, **registry.variables()}
    ended = role.run(engines=engines, **choice).ok()
    image = ended.reference
    assert image.startswith(f"{registry.address}/{NAME}:")
    assert second.inspect(image)["Id"] == engine.inspect(image)["Id"]
    assert "Copy the image" not in ended.output
    again = role.run(engines=engines, **choice).ok()
    assert (again.changed["one"], again.changed["two"]) == (0, 0)
    # Others with the same base who ask the same registry build nothing.
    saved = tmp_path / "base.tar"
    engine("save", "--output", str(saved), BASE)
    second("load", "--input", str(saved))
    for one in engines:
        one("rmi", "-f", image)
    pulled = role.run(engines=engines[1:], **choice).ok()
    assert "Create the build directory" not in pulled.output
    assert second.has(image)
    # A registry that has lost it gets it again, though the engine of who has it remembers the push.
    registry.lose(NAME)
    assert role.run(engines=engines, **choice).ok().changed["two"] == 1
    assert engine.inspect(image)["Id"] == second.inspect(image)["Id"]
    # Neither shown nor left behind.
    assert registry.password not in ended.output + pulled.output
    assert role.leftovers() == []
    config = Path.home() / ".docker/config.json"
    assert registry.address not in (config.read_text() if config.exists() else "")


# What is given, and what the message says.
BAD: list[tuple[dict[str, Any], str]] = [
    ({"variant": "tiny"}, "value of bookface_image_variant must be one of: minimal, slim"),
    ({"server": "iis"}, "value of bookface_image_server must be one of: apache, nginx"),
    ({"release": "buster"}, "value of bookface_image_release must be one of"),
    ({"code": "outside"}, "value of bookface_image_code must be one of: inside, mounted"),
    ({"name": "Bookface:1"}, "bookface_image_name is Bookface:1; expected lower"),
    ({"code_root": "srv/code"}, "bookface_image_code_root is srv/code; expected an absolute"),
    ({"code_root": "/srv/../etc"}, "bookface_image_code_root is /srv/../etc; expected an absolute"),
    ({"code_root": "/srv/a b"}, "bookface_image_code_root is /srv/a b; expected an absolute"),
    ({"release": "trixie; id"}, "value of bookface_image_release must be one of"),
    (
        {"registry": "https://r.example"},
        "bookface_image_registry is https://r.example; expected host",
    ),
    (
        {"php_extensions": ["pdo", "pdo_pgsql", "a b"]},
        "bookface_image_php_extensions has a b; expected names",
    ),
    ({"php_extensions": ["opcache"]}, "requires pdo and pdo_pgsql: add pdo, pdo_pgsql."),
    ({"packages": ["x; reboot"]}, "bookface_image_packages has x; reboot; expected names"),
    ({"packages": ["apt-"]}, "bookface_image_packages has apt-; expected names"),
    ({"builder": "nobody"}, "bookface_image_builder is nobody, which is not in this run."),
    ({"registry_username": "me"}, "set without bookface_image_registry: set that, too"),
    ({"registry": "r.example", "registry_username": "me"}, "only one is set: set both"),
]


def test_bad_values_are_refused(engine: Engine) -> None:
    """All at once, each on a host of its own, before anything is done."""
    before = engine.images()
    hosts = {
        f"host{number}": {
            "engine": engine.address,
            **{f"bookface_image_{name}": value for name, value in given.items()},
        }
        for number, (given, _) in enumerate(BAD)
    }
    ended = play(PLAY, hosts, "--forks", "2")
    for number, (given, wanted) in enumerate(BAD):
        assert wanted in ended.message(f"host{number}"), given
    assert engine.images() == before
    assert "Fetch the application" not in ended.output


def test_a_commit_of_git_is_its_revision(role: Role, engine: Engine, tmp_path: Path) -> None:
    repository = tmp_path / "bookface.git"
    repository.mkdir()
    for path in CODE.iterdir():
        (repository / path.name).write_bytes(path.read_bytes())
    (repository / "release.txt").write_text("of this repository only")

    def git(*words: str) -> str:
        me = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
        command = ["git", "-C", str(repository), *me, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "all")
    git("tag", "v1")
    location = f"file://{repository}"
    source = {"type": "git", "location": location, "version": "v1"}
    how = {"env": {"HOME": str(tmp_path)}}
    image = role.run(**CHOICE, bookface_source=source, how=how).ok().reference
    told = labels(engine, image)
    assert told["org.opencontainers.image.revision"] == git("rev-parse", "HEAD")
    assert told["org.opencontainers.image.source"] == location
    assert json.dumps(told).count("@") == 0
