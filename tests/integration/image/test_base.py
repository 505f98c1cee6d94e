# SPDX-License-Identifier: GPL-3.0-or-later
"""The role base_image: where its image comes from, and what it takes for one of its own."""

from __future__ import annotations

import json
import subprocess
import tarfile
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
  environment: {DOCKER_HOST: "{{ engine }}"}
  roles: [bookface.platform.base_image]
"""


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


def test_another_origin_is_fetched(
    engine: Engine, open_registry: str, base: str, tmp_path: Path
) -> None:
    """And what somebody else has put there under its name stays."""
    for name in ("one", "two"):
        with tarfile.open(tmp_path / "tree.tar", "w") as tree:
            tree.add(tmp_path / "config.yml", name)
        image = f"{open_registry}/{NAME}:{name}"
        engine("import", str(tmp_path / "tree.tar"), image)
        engine("push", "--quiet", image)

    def layers() -> Any:
        return engine.inspect(base)["RootFS"]["Layers"]

    def run(origin: str) -> int:
        """How many tasks changed something."""
        variables = {"base_image_name": base, "base_image_pull": f"{open_registry}/{NAME}:{origin}"}
        return play(PLAY, {"one": {"engine": engine.address, **variables}}).ok().changed["one"]

    assert run("one") > 0
    first = layers()
    assert run("one") == 0
    assert run("two") > 0
    assert layers() != first
    engine("tag", f"{open_registry}/{NAME}:one", base)
    assert run("two") == 0
    assert layers() == first
