# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration of several files: HAProxy loads a directory, or files one after the other."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import haproxy_program
from test_process import in_another_namespace

if TYPE_CHECKING:
    from conftest import Lab

FILES = ("10-global.cfg", "20-defaults.cfg", "30-front.cfg", "40-back.cfg")


class Tree:
    """The laboratory's configuration cut into files, in a directory that HAProxy loads."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        text = lab.text()
        cuts = [text.index(word) for word in ("defaults", "# the public", "backend legacy\n")]
        self.directory = lab.directory / "conf.d"
        self.directory.mkdir()
        for name, start, end in zip(FILES, [0, *cuts], [*cuts, len(text)]):
            self.path(name).write_text(text[start:end])
        lab.config.unlink()
        lab.config = self.directory
        self.front = self.path("30-front.cfg")

    def path(self, name: str) -> Path:
        return self.directory / name

    def texts(self) -> dict[str, str]:
        return {p.name: p.read_text() for p in self.directory.iterdir()}

    def expected(self, backend: str, **others: str) -> dict[str, str]:
        """What lies in the directory after a switch, by the files before."""
        record = f"{self.front.name}.previous.json"
        front = self.front.read_text().replace("d\tlegacy ", f"d\t{backend} ")
        texts = {**self.texts(), self.front.name: front, **others}
        return {name: text for name, text in texts.items() if name != record}

    def is_valid(self) -> bool:
        done = subprocess.run([haproxy_program(), "-c", "-f", str(self.directory)], check=False)
        return done.returncode == 0


@pytest.fixture
def tree(stopped: Lab) -> Tree:
    """Files for a HAProxy that has not been started."""
    return Tree(stopped)


def named(tree: Tree, how: str) -> Any:
    """The parameter config: the directory, or what lies in it in the same order."""
    paths = [str(tree.path(name)) for name in FILES]
    return {
        "directory": str(tree.directory),
        "files": paths,
        "commas": ",".join(paths),
    }[how]


@pytest.mark.parametrize("engine", ["runtime", "reload"])
@pytest.mark.parametrize("how", ["directory", "files", "commas"])
def test_check_then_real_then_repeat(tree: Tree, how: str, engine: str) -> None:
    lab = tree.lab
    lab.start()
    options = {"config": named(tree, how), "engine": engine}
    before, after = tree.texts(), tree.expected("docker")
    checked = lab.switch("docker", check=True, **options)
    assert (checked["changed"], checked["config"]) == (True, str(tree.front))
    assert (tree.texts(), lab.traffic()) == (before, "legacy")
    done = lab.switch("docker", **options)
    assert (done["changed"], done["engine"]) == (True, engine)
    assert done["diff"][0] == checked["diff"][0]
    # The number is that of the file's own line.
    number = before[tree.front.name].split("\n").index("    default_backend\tlegacy  # decides") + 1
    assert done["diff"][0]["after_header"].endswith(
        f"30-front.cfg (frontend book-face, line {number})"
    )
    assert tree.expected("docker") == after
    assert (tree.path("30-front.cfg.previous.json").exists(), lab.traffic()) == (True, "docker")
    assert lab.switch("docker", **options)["changed"] is False
    # Whatever has been left there, HAProxy loads what it shall.
    lab.reload()
    assert lab.traffic() == "docker"
    found = lab.info(config=options["config"])["frontends"]["book-face"]
    assert (found["default_backend"], found["rollback_to"]) == ("docker", "legacy")
    back = lab.switch(None, rollback=True, require_healthy=0, **options)
    assert (back["changed"], back["backend"], lab.traffic()) == (True, "legacy", "legacy")
    assert tree.expected("legacy") == before


def test_the_order_is_the_given_one(tree: Tree) -> None:
    """A defaults section reaches over the border of its file, but not back."""
    lab = tree.lab
    for name, old, new in (
        ("20-defaults.cfg", "defaults\n", "defaults base\n"),
        ("30-front.cfg", "frontend book-face ", "frontend book-face from base "),
    ):
        tree.path(name).write_text(tree.path(name).read_text().replace(old, new))
    lab.start()
    paths = named(tree, "files")
    late = [paths[0], paths[2], paths[1], paths[3]]
    assert "haproxy -c refuses" in lab.switch("docker", config=late)["msg"]
    assert lab.switch("docker", config=paths)["changed"] is True


def test_a_default_that_stands_in_another_file(tree: Tree) -> None:
    lab = tree.lab
    defaults = tree.path("20-defaults.cfg")
    defaults.write_text(defaults.read_text() + "    default_backend legacy\n")
    front = tree.front.read_text().replace("    default_backend\tlegacy  # decides\n\n", "")
    tree.front.write_text(front)
    lab.start()
    assert lab.traffic() == "legacy"
    assert lab.switch("legacy")["diff"][0]["after"] == ""
    done = lab.switch("docker")
    assert (done["previous_backend"], done["diff"][0]["before"]) == ("legacy", "")
    assert tree.front.read_text() == f"{front}    default_backend docker\n"
    assert defaults.read_text().endswith("default_backend legacy\n")
    lab.reload()
    assert lab.traffic() == "docker"


def test_haproxys_order_is_that_of_bytes(tree: Tree) -> None:
    """Capital letters come first, whatever the locale: no defaults reach this frontend."""
    early = tree.path("Z-early.cfg")
    tree.front.rename(early)
    for name in ("10-global.cfg", "20-defaults.cfg", "40-back.cfg"):
        tree.path(name).rename(tree.path(f"a-{name}"))
    text = early.read_text().replace("    bind", "    mode http\n    bind", 1)
    early.write_text(text.replace("    default_backend\tlegacy  # decides\n", ""))
    defaults = tree.path("a-20-defaults.cfg")
    defaults.write_text(defaults.read_text() + "    default_backend docker\n")
    tree.path(".hidden.cfg").write_text("junk\n")
    tree.path("readme.txt").write_text("junk\n")
    tree.path("nested.cfg").mkdir()
    assert tree.is_valid()
    lab = tree.lab
    lab.start()
    assert lab.traffic() == "status 503"
    done = lab.switch("docker")
    assert (done["config"], done["previous_backend"]) == (str(early), None)
    assert lab.traffic() == "docker"
    lab.reload()
    assert lab.traffic() == "docker"


def test_what_is_refused(tree: Tree) -> None:
    lab = tree.lab
    lab.start()
    before = tree.texts()

    def refused(backend: str, *words: str, **more: Any) -> None:
        for check in (True, False):
            result = lab.switch(backend, check=check, **more)
            assert result.get("failed") is True, result
            for word in (*words, "Nothing was changed"):
                assert word in result["msg"]

    refused(
        "nosuch",
        "existing backends: legacy, docker, dead, slow, unchecked, off",
        str(tree.directory),
    )
    refused("docker", "existing frontends: book-face", frontend="nosuch")
    refused("off", f"{tree.path('40-back.cfg')}:12")
    refused("docker", "existing backends: none", config=str(tree.front))
    missing = [str(tree.front), str(tree.path("90.cfg"))]
    refused("docker", "90.cfg cannot be read", config=missing)
    empty = lab.directory / "maps"
    refused("docker", "has no file that HAProxy would load", config=[str(tree.front), str(empty)])
    assert tree.texts() == before

    # Valid as it is, but not with this target: it is the candidate that HAProxy judges.
    other = tree.path("60-other.cfg")
    other.write_text("backend other\n    mode tcp\n    server any 127.0.0.1:9\n")
    assert tree.is_valid()
    refused("other", "haproxy -c refuses", "30-front.cfg with default_backend other", engine="file")
    other.unlink()

    twice = tree.path("50-twice.cfg")
    twice.write_text("# again\nfrontend book-face\n    bind 127.0.0.1:1\n")
    refused("docker", "defined more than once", f"{tree.front}:2, {twice}:2")
    twice.write_text("backend more\n    nonsense\n")
    refused("docker", "haproxy -c refuses", "50-twice.cfg:2")
    twice.unlink()
    assert tree.texts() == before
    twice.symlink_to("nowhere")
    refused("docker", "50-twice.cfg cannot be read")
    twice.unlink()
    assert (lab.entry(), lab.traffic()) == ((), "legacy")


def test_links_lead_to_the_files(tree: Tree) -> None:
    """As people do it who keep what is available apart from what is enabled."""
    lab = tree.lab
    available = lab.directory / "available"
    available.mkdir()
    real = available / "front"
    tree.front.rename(real)
    tree.front.symlink_to("../available/front")
    lab.start()
    done = lab.switch("docker")
    assert (done["changed"], done["config"]) == (True, str(real))
    assert tree.front.is_symlink()
    assert "d\tdocker " in real.read_text()
    assert sorted(p.name for p in available.iterdir()) == ["front", "front.previous.json"]
    assert sorted(tree.texts()) == list(FILES)
    lab.reload()
    assert lab.traffic() == "docker"


def test_all_directories_are_locked(tree: Tree) -> None:
    lab = tree.lab
    more = lab.directory / "more"
    more.mkdir()
    tree.path("40-back.cfg").rename(more / "40-back.cfg")
    config = [str(tree.directory), str(more)]
    lab.config = more
    for directory in (more, tree.directory):
        handle = os.open(directory, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        refused = lab.switch("docker", config=config, engine="file", lock_timeout=0.1)
        assert f"holds the lock on {directory})" in refused["msg"]
        assert "waited" in refused["msg"]
        os.close(handle)
    assert lab.switch("docker", config=config, engine="file")["changed"] is True


def test_a_killed_run_leaves_nothing_that_haproxy_loads(tree: Tree) -> None:
    lab = tree.lab
    lab.start()
    waiting = lab.directory / "waiting"
    program = lab.directory / "slow-haproxy"
    program.write_text(
        f"#!/bin/sh\necho $$ >{waiting}.new\nmv {waiting}.new {waiting}\nexec sleep 60\n"
    )
    program.chmod(0o755)
    running = lab.begin(
        "haproxy_default_backend", lab.arguments(backend="docker", haproxy=str(program))
    )
    lab.until(waiting.exists, "the validation of the candidate")
    running.kill()
    running.communicate()
    os.kill(int(waiting.read_text()), signal.SIGKILL)
    left = set(tree.texts()) - set(FILES)
    assert len(left) == 1
    # Were it loaded, the frontend would be there twice.
    assert tree.is_valid()
    assert "d\tdocker " in tree.path(left.pop()).read_text()
    lab.reload()
    assert lab.traffic() == "legacy"
    assert lab.switch("docker", require_healthy=0)["changed"] is True
    assert set(tree.texts()) == {*FILES, "30-front.cfg.previous.json"}


def drain(lab: Lab, **more: Any) -> dict[str, Any]:
    arguments = lab.arguments(backend="legacy", server="web1", state="drain", wait=3, **more)
    del arguments["frontend"]
    return lab.end(lab.begin("haproxy_server", arguments))


@pytest.mark.parametrize("proved", [True, False])
def test_the_last_server_stays_where_a_file_is_not_named(tree: Tree, proved: bool) -> None:
    """Its frontend is in the file that was not named, so it looks as if nobody needed it."""
    lab = tree.lab
    lab.start()
    named_files = [str(tree.path(name)) for name in FILES if name != "30-front.cfg"]
    if proved:
        refused = drain(lab, config=named_files)
        assert f"also loads {tree.front}, which config does not name" in refused["msg"], refused
        assert f"Set config to [{tree.directory}]" in refused["msg"]
    else:
        # As seen from another PID namespace: only the socket says what is running.
        with in_another_namespace(lab, 2**22) as path:
            refused = drain(lab, config=named_files, socket=path, master_socket="")
        assert "runs frontend book-face, which no file of config has" in refused["msg"], refused
        assert "Set config to the files and directories" in refused["msg"]
    assert (refused["reason"], lab.traffic()) == ("too_few_servers", "legacy")
    # Named, it is known that nobody needs these.
    assert lab.switch("docker")["changed"]
    assert drain(lab)["changed"]


def test_a_file_that_haproxy_does_not_load(tree: Tree) -> None:
    lab = tree.lab
    lab.start()
    copy = lab.directory / "copy.cfg"
    copy.write_text("".join(tree.path(name).read_text() for name in FILES))
    refused = lab.switch("docker", config=str(copy))
    assert f"the running HAProxy does not load {copy}" in refused["msg"], refused
    assert f"Set config to [{tree.directory}]" in refused["msg"]
    files = [str(tree.path(name)) for name in FILES]
    extra = tree.path("50-extra.cfg")
    extra.write_text("backend extra\n")
    done = lab.switch("docker", config=files)
    assert (done["changed"], lab.traffic()) == (True, "docker")
    assert f"also loads {extra}" in str(done["warnings"])
