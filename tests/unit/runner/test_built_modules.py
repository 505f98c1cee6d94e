"""What the tests' Ansible keeps of built modules."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.runner import execute
from tests.runner.ansible import built_modules


def archive_of(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, text in files.items():
            file.writestr(name, text)
    return content.getvalue()


def says(archive: Path, *options: str) -> str:
    program = f"import sys; sys.path.insert(0, {str(archive)!r}); import part"
    return subprocess.check_output([sys.executable, *options, "-c", program], text=True)


def test_sources_stay_and_their_byte_code_is_what_runs(tmp_path: Path) -> None:
    archive = tmp_path / "built.zip"
    sources = {"part/__init__.py": "print('source')", "part/data.txt": "text"}
    archive.write_bytes(built_modules.with_byte_code(archive_of(sources)))

    with zipfile.ZipFile(archive) as file:
        assert {name: file.read(name).decode() for name in sources} == sources
        # Python says what it takes.
        code = file.read("part/__init__.pyc").replace(b"source", b"byte c")
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("part/__init__.py", sources["part/__init__.py"])
        file.writestr("part/__init__.pyc", code)
    assert says(archive) == "byte c\n"


def test_another_python_takes_the_source(tmp_path: Path) -> None:
    archive = tmp_path / "built.zip"
    other = b"\0\0\r\n" + bytes(12)
    archive.write_bytes(archive_of({"part.py": "print('source')"}))
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("part.pyc", other)
    assert says(archive) == "source\n"


@pytest.mark.parametrize("change", ["in a file", "a new file", "another name"])
def test_a_change_has_a_name_of_its_own(tmp_path: Path, change: str) -> None:
    (tmp_path / "modules").mkdir()
    file = tmp_path / "modules" / "a.py"
    file.write_text("a = 1\n")
    before = built_modules.digest(tmp_path, ["modules"])
    assert built_modules.digest(tmp_path, ["modules"]) == before

    if change == "in a file":
        file.write_text("a = 2\n")
    elif change == "a new file":
        (tmp_path / "modules" / "b.py").touch()
    else:
        file.rename(file.with_name("c.py"))
    assert built_modules.digest(tmp_path, ["modules"]) != before


def test_an_ansible_of_the_tests_keeps_what_it_builds(tmp_path: Path) -> None:
    kept = built_modules.kept()
    playbook = tmp_path / "playbook.yml"
    playbook.write_text("[{hosts: localhost, gather_facts: false, tasks: [{ping: }]}]")
    before = {path.name: path.stat().st_mtime_ns for path in kept.glob("*ping*")}
    for _ in range(2):
        subprocess.run(
            ["ansible-playbook", playbook],
            check=True,
            env=execute.environment({"HOME": str(tmp_path), "ANSIBLE_LOCAL_TEMP": str(tmp_path)}),
        )
    after = {path.name: path.stat().st_mtime_ns for path in kept.glob("*ping*")}
    assert after
    assert before in ({}, after)
    # The run's own directory has gone, and not what it was linked to.
    assert not list(tmp_path.glob("ansible-local-*"))
