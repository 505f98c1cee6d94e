"""How the role watch packs what a host gets a copy of, and what it installs there."""

from __future__ import annotations

import os
import re
import runpy
import tarfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.watch import program, run
from ansible_collections.bookface.platform.plugins.module_utils.watch.config import Config

ROOT = Path(__file__).resolve().parents[3]
FILES = ROOT / "roles/watch/files"


@pytest.fixture
def pack() -> Callable[..., None]:
    found: Callable[..., None] = runpy.run_path(str(FILES / "pack.py"))["main"]
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A collection as somebody may have checked it out."""
    tree = tmp_path / "tree"
    for name in ("plugins/a.py", "plugins/__pycache__/a.pyc", ".venv/big", "tests/b.py", "script"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    (tree / "script").chmod(0o755)
    (tree / "elsewhere").symlink_to(tmp_path / "linked.yml")
    (tmp_path / "linked.yml").write_text("linked")
    return tree


def members(archive: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(archive) as opened:
        return {os.path.normpath(one.name): one for one in opened}


def test_only_what_runs_is_packed(pack: Callable[..., None], tree: Path, tmp_path: Path) -> None:
    pack(str(tmp_path / "a.tar.gz"), "--only=plugins,meta,galaxy.yml", f"c/d={tree}")
    assert set(members(tmp_path / "a.tar.gz")) == {"c/d/plugins", "c/d/plugins/a.py"}


def test_an_inventory_is_packed_whole_and_for_root_only(
    pack: Callable[..., None], tree: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a.tar.gz"
    pack(str(archive), f".={tree}")
    found = members(archive)
    assert {"script", "elsewhere", "tests/b.py"} < set(found)
    assert found["elsewhere"].isfile()
    assert found["script"].mode == 0o700
    assert all((one.uid, one.gid, one.mode & 0o077) == (0, 0, 0) for one in found.values())
    assert archive.stat().st_mode & 0o077 == 0


def test_the_same_content_makes_the_same_archive(
    pack: Callable[..., None], tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(str(tmp_path / "a.tar.gz"), f".={tree}")
    os.utime(tree / "script", (1, 1))
    (tree / "plugins/__pycache__/b.pyc").write_text("new")
    pack(str(tmp_path / "b.tar.gz"), f".={tree}")
    (tree / "script").write_text("other")
    pack(str(tmp_path / "c.tar.gz"), f".={tree}")
    first, second, third = capsys.readouterr().out.split()
    assert first == second != third
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


def versions(path: Path) -> set[str]:
    return {
        line.partition(";")[0].strip()
        for line in path.read_text().splitlines()
        if line and not line.startswith("#")
    }


@pytest.mark.parametrize("name", ["requirements.txt", "openstack.txt"])
def test_a_watch_runs_with_the_versions_that_are_tested(name: str) -> None:
    # Ubuntu 22.04 has no Python for the tested ones.
    older = {"ansible-core==2.17.14", "pycparser==3.11", "resolvelib==1.0.1"}
    assert versions(FILES / name) - older <= versions(ROOT / "requirements.lock")


def test_the_settings_that_the_role_writes_are_those_that_the_program_reads() -> None:
    text = (ROOT / "roles/watch/vars/main.yml").read_text()
    block = text.partition("__watch_config:\n")[2].partition("\n# ")[0]
    assert set(re.findall(r"^  (\w+):", block, re.MULTILINE)) == {
        one.name for one in fields(Config)
    }


def test_the_units_run_commands_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["--help"])
    known = capsys.readouterr().out
    units = {path.name: path.read_text() for path in FILES.parent.glob("templates/*.service.j2")}
    commands = {
        name: re.findall(r"^ExecStart=.*/bin/bookface-watch (\S+)$", text, re.MULTILINE)
        for name, text in units.items()
    }
    assert len(commands) == 3
    assert all(len(found) == 1 and f" {found[0]} " in known for found in commands.values())
    # What keeps a look from being remembered is told by a unit of its own; what was told is not.
    look = units["bookface-watch.service.j2"]
    assert "\nOnFailure=bookface-watch-blind.service\n" in look
    assert f"\nSuccessExitStatus={program.BUSY} {run.BLIND}\n" in look
