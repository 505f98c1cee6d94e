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
    program = f"import sys; sys.path.insert(0, {str(archive)!r}); import ansible.part.deep"
    return subprocess.check_output([sys.executable, *options, "-c", program], text=True)


SOURCES = {
    "ansible/__init__.py": "",
    "ansible/part/__init__.py": "print('source', end=' ')",
    "ansible/part/deep.py": "print('source')",
    "ansible/data.txt": "text",
}


def test_sources_stay_and_their_byte_code_is_what_runs(tmp_path: Path) -> None:
    built = built_modules.with_byte_code(archive_of(SOURCES), [[sys.executable]])
    archive = tmp_path / "built.zip"
    with zipfile.ZipFile(io.BytesIO(built)) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    assert {name: entries[name].decode() for name in list(SOURCES)[1:]} == dict(
        list(SOURCES.items())[1:]
    )
    # Python says what it takes.
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in entries.items():
            code = data.replace(b"source", b"byte c") if name.endswith(".pyc") else data
            file.writestr(name, code)
    assert says(archive) == "byte c byte c\n"


def test_another_python_takes_the_source(tmp_path: Path) -> None:
    script = built_modules.COMPILE.replace("sys.implementation.cache_tag", "'cpython-27'")
    other = [sys.executable, "-c", script]
    archive = tmp_path / "built.zip"
    # What follows the command is an argument of the script.
    archive.write_bytes(built_modules.with_byte_code(archive_of(SOURCES), [other]))
    with zipfile.ZipFile(archive) as file:
        assert "cpython-27/ansible/part/deep.pyc" in file.namelist()
    assert says(archive) == "source source\n"


@pytest.mark.parametrize("change", ["in a file", "a new file", "another name"])
def test_a_change_has_a_name_of_its_own(tmp_path: Path, change: str) -> None:
    (tmp_path / "modules").mkdir()
    file = tmp_path / "modules" / "a.py"
    file.write_text("a = 1\n")
    before = built_modules.digest(tmp_path, ["modules"], [])
    assert built_modules.digest(tmp_path, ["modules"], []) == before

    if change == "in a file":
        file.write_text("a = 2\n")
    elif change == "a new file":
        (tmp_path / "modules" / "b.py").touch()
    else:
        file.rename(file.with_name("c.py"))
    assert built_modules.digest(tmp_path, ["modules"], []) != before


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
