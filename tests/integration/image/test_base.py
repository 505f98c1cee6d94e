# SPDX-License-Identifier: GPL-3.0-or-later
"""The role base_image: where its image comes from, and what it takes for one of its own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from workalike.support import LOOPBACK, accepts, end, free_port, program

from tests.support.waiting import until

from .conftest import NAME, Engine, play

PLAY = """
- hosts: all
  connection: local
  gather_facts: false
  vars: {base_image_docker_host: "{{ engine }}"}
  roles: [bookface.platform.base_image]
"""

PLAY_RENEWAL = PLAY.replace(
    "roles: [bookface.platform.base_image]",
    """tasks:
    - ansible.builtin.include_role: {name: bookface.platform.base_image, tasks_from: name.yml}
    - ansible.builtin.include_role: {name: bookface.platform.base_image, tasks_from: renew.yml}""",
)


def wait_past(created: str) -> None:
    """Until what is made now has a later date: of dates only the seconds count."""
    second = created[: len("2026-01-01T00:00:00")]
    until(lambda: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) > second, "a later second")


@pytest.fixture
def open_registry(tmp_path: Path) -> Iterator[str]:
    """A registry that asks for no account."""
    address = f"{LOOPBACK}:{free_port()}"
    config = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "data")}},
        "http": {"addr": address},
    }
    (tmp_path / "config.yml").write_text(json.dumps(config))
    command = [program("docker-registry", "docker-registry"), "serve", tmp_path / "config.yml"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    host, _, port = address.partition(":")
    until(lambda: accepts(host, int(port)), (tmp_path / "log").read_text)
    yield address
    end(process)


@pytest.fixture
def base(engine: Engine, open_registry: str) -> Iterator[str]:
    """A name that the engine has no image of; what has it then goes with all of these tests'."""
    name = f"{NAME}-base:{open_registry.rpartition(':')[2]}"
    assert not engine.has(name)
    yield name
    # An image that another one was made from cannot go before it.
    for origin in ("one", "two"):
        label = f"label=platform.bookface.base={open_registry}/{NAME}:{origin}"
        for image in engine("images", "-q", "--filter", label).split():
            engine("rmi", "-f", image)


@pytest.fixture
def origins(engine: Engine, open_registry: str, tmp_path: Path) -> dict[str, str]:
    """Two images of the registry by name."""
    made = {name: f"{open_registry}/{NAME}:{name}" for name in ("one", "two")}
    for name, image in made.items():
        with tarfile.open(tmp_path / "tree.tar", "w") as tree:
            tree.add(tmp_path / "config.yml", name)
        engine("import", str(tmp_path / "tree.tar"), image)
        engine("push", "--quiet", image)
    return made


def test_another_origin_is_fetched(engine: Engine, origins: dict[str, str], base: str) -> None:
    """And what somebody else has put there under its name stays."""

    def layers() -> Any:
        return engine.inspect(base)["RootFS"]["Layers"]

    def run(origin: str) -> int:
        """How many tasks changed something."""
        variables = {"base_image_name": base, "base_image_pull": origins[origin]}
        return play(PLAY, {"one": {"engine": engine.address, **variables}}).ok().changed["one"]

    assert run("one") > 0
    first = layers()
    assert run("one") == 0
    assert run("two") > 0
    assert layers() != first
    engine("tag", origins["one"], base)
    assert run("two") == 0
    assert layers() == first


def test_an_archive_is_loaded_if_it_holds_the_image(
    engine: Engine, origins: dict[str, str], base: str, tmp_path: Path
) -> None:
    """Any other is reported and not used, and the registry is asked."""
    cases = ("good", "old", "several", "damaged", "text")
    hosts = {
        case: {
            "engine": engine.address,
            "base_image_name": f"{base}-{case}",
            "base_image_pull": origins["one"],
            "base_image_archive": str(tmp_path / f"{case}.tar"),
        }
        for case in cases
    }
    saved = cases[:3]
    none_yet = play(PLAY, {case: hosts[case] for case in saved}).ok()
    assert "is not used" not in none_yet.output
    first = engine.inspect(f"{base}-good")["Id"]
    other = f"{base}-other"
    engine("tag", origins["one"], other)
    for case in saved:
        names = [f"{base}-{case}", *([other] if case == "several" else [])]
        engine("save", "--output", str(tmp_path / f"{case}.tar"), *names)
    engine("rmi", *(f"{base}-{case}" for case in saved))
    engine("tag", origins["two"], other)
    hosts["old"]["base_image_pull"] = origins["two"]
    (tmp_path / "text.tar").write_text("no archive")
    with tarfile.open(tmp_path / "damaged.tar", "w") as tree:
        lost = [{"Config": "lost.json", "RepoTags": [f"{base}-damaged"], "Layers": []}]
        (tmp_path / "manifest.json").write_text(json.dumps(lost))
        tree.add(tmp_path / "manifest.json", "manifest.json")

    ended = play(PLAY, hosts).ok()
    reported = {host for host in hosts if f"{tmp_path}/{host}.tar is not used" in ended.output}
    assert reported == {"old", "several", "damaged", "text"}
    # Loading is one change; pulling and naming are two.
    changes = {case: ended.changed[case] for case in cases}
    assert changes == {"good": 1, "old": 3, "several": 2, "damaged": 2, "text": 2}
    assert engine.inspect(f"{base}-good")["Id"] == first
    assert engine.inspect(other)["Id"] == engine.inspect(origins["two"])["Id"]
    for case, given in hosts.items():
        labels = engine.inspect(str(given["base_image_name"]))["Config"]["Labels"]
        assert labels["platform.bookface.base"] == given["base_image_pull"], case


def test_an_archive_is_newer_than_layers_that_were_renewed_after_it(
    engine: Engine, origins: dict[str, str], base: str, tmp_path: Path
) -> None:
    """A renewal dates the image, not what is in it. One with older layers is not loaded."""
    archive, away = tmp_path / "newer.tar", f"{origins['one']}-gone"
    given = {"base_image_name": base, "base_image_pull": away, "base_image_refresh": True}
    host = {"one": {"engine": engine.address, **given, "base_image_archive": str(archive)}}

    def layers() -> Any:
        return engine.inspect(base)["RootFS"]["Layers"]

    wait_past(engine.inspect(origins["one"])["Created"])
    with tarfile.open(tmp_path / "tree.tar", "w") as tree:
        tree.add(tmp_path / "config.yml", "newer")
    engine("import", str(tmp_path / "tree.tar"), base)
    newer, made = layers(), engine.inspect(base)["Created"]
    engine("save", "--output", str(archive), base)
    engine("tag", origins["one"], base)
    older = layers()
    wait_past(made)
    assert play(PLAY_RENEWAL, host).ok().changed["one"] == 1
    assert layers() == older
    # To the second: without a fraction the text is shorter.
    assert engine.inspect(base)["Created"][:19] > made[:19]
    assert play(PLAY, host).ok().changed["one"] == 1
    assert layers() == newer
    assert play(PLAY, host).ok().changed["one"] == 0
    # The other way round.
    engine("tag", origins["one"], f"{base}-kept")
    try:
        engine("tag", origins["one"], base)
        engine("save", "--output", str(archive), base)
        engine("import", str(tmp_path / "tree.tar"), base)
        assert play(PLAY, host).ok().changed["one"] == 0
        assert layers() == newer
    finally:
        engine("rmi", f"{base}-kept", base)


def test_packages_that_nobody_can_verify_make_no_image(tmp_path: Path) -> None:
    """Unless somebody wants that: then a mirror without a signature is good enough."""
    mirror = tmp_path / "mirror"
    machine = subprocess.check_output(["dpkg", "--print-architecture"], text=True).strip()
    listed = f"main/binary-{machine}/Packages"
    for suite in ("bookworm", "bookworm-updates"):
        packages = mirror / "dists" / suite / listed
        packages.parent.mkdir(parents=True)
        packages.touch()
        entry = f"{hashlib.sha256(b'').hexdigest()} 0 {listed}"
        (mirror / "dists" / suite / "Release").write_text(f"Suite: {suite}\nSHA256:\n {entry}\n")
    there = "/usr/share/keyrings/debian-archive-keyring.gpg"
    hosts = {
        name: {
            "engine": f"unix://{tmp_path}/none",
            "base_image_mirror": f"file:{mirror}",
            "base_image_verify": verify,
            "keyring": keyring,
        }
        for name, keyring, verify in (
            ("unsigned", there, True),
            ("lacking", f"{tmp_path}/none.gpg", True),
            ("wanted", f"{tmp_path}/none.gpg", False),
        )
    }
    # One after the other: apt can be used by one only.
    ended = play(PLAY, hosts, "--forks", "1", "-e", "__base_image_keyring={{ keyring }}")
    said = ended.message("lacking")
    assert f"lacking has no {tmp_path}/none.gpg. Install the package debian-archive-keyring" in said
    assert f"set base_image_verify to false if you trust file:{mirror}" in said
    unsigned, _, wanted = ended.output.partition("fatal: [wanted]")
    refusal = f"The repository 'copy:{mirror} bookworm Release' is not signed."
    assert (refusal in unsigned, refusal in wanted) == (True, False)
    # Which is as far as one gets with a mirror that is empty.
    empty = "apt-get update did not find any indices"
    assert (empty in unsigned, empty in wanted) == (False, True)
