"""Where a collection is, and what it requires."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible_collections.bookface.platform.plugins.lookup import collection_paths

ROOT = Path(__file__).resolve().parents[4]


def test_what_is_required_is_found_with_ansible_s_own_eyes(tmp_path: Path) -> None:
    """By Ansible itself: collections may be beside Python's packages."""
    done = subprocess.run(
        [
            Path(sys.executable).parent / "ansible",
            "localhost",
            "-m",
            "ansible.builtin.debug",
            "-a",
            "msg={{ lookup('bookface.platform.collection_paths', 'bookface.platform') | to_json }}",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_LOCAL_TEMP": str(tmp_path),
        },
    )
    found = json.loads(json.loads(done.stdout[done.stdout.index("{") :])["msg"])
    assert Path(found["bookface.platform"]).resolve() == ROOT
    # The inventory plugins of community.docker require it, and galaxy.yml does not name it.
    assert "community.library_inventory_filtering_v1" in found
    assert all((Path(path) / "plugins").is_dir() for path in found.values())


def test_dependencies_of_an_installed_collection_and_of_a_checkout(tmp_path: Path) -> None:
    assert collection_paths.dependencies(tmp_path) == []
    (tmp_path / "galaxy.yml").write_text("dependencies: {b.c: '*', a.b: '>=1'}\n")
    assert collection_paths.dependencies(tmp_path) == ["a.b", "b.c"]
    manifest = {"collection_info": {"dependencies": {"d.e": "*"}}}
    (tmp_path / "MANIFEST.json").write_text(json.dumps(manifest))
    assert collection_paths.dependencies(tmp_path) == ["d.e"]


def test_one_that_is_missing_is_named_with_who_requires_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection_paths, "dependencies", lambda _path: ["no.such"])
    with pytest.raises(AnsibleError, match=r"no collection no\.such, which bookface\.platform"):
        collection_paths.paths(["bookface.platform"])
