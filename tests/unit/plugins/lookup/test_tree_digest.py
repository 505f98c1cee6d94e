"""What changes the digest of a tree, and what does not."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.lookup.tree_digest import tree_digest

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree with a directory."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "index.php").write_text("one")
    (tmp_path / "info").write_text("two")
    return tmp_path


def digest(path: Path) -> str:
    return tree_digest([path], published=True)


def test_a_copy_elsewhere_has_the_same_digest(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "info").write_text("two")
    (other / "code").mkdir()
    (other / "code" / "index.php").write_text("one")
    os.utime(other / "info", (1, 1))
    assert digest(other) == digest(tree)


def test_content_name_mode_and_links_count(tree: Path) -> None:
    seen = {digest(tree)}
    (tree / "info").write_text("three")
    seen.add(digest(tree))
    (tree / "info").rename(tree / "INFO")
    seen.add(digest(tree))
    (tree / "INFO").chmod(0o755)
    seen.add(digest(tree))
    (tree / "link").symlink_to("INFO")
    seen.add(digest(tree))
    (tree / "link").unlink()
    (tree / "link").symlink_to("code")
    seen.add(digest(tree))
    assert len(seen) == 6


def test_of_a_site_what_no_client_may_read_does_not_count(tree: Path) -> None:
    before = digest(tree), tree_digest([tree])
    for name in (".git/HEAD", ".env", "code/dump.sql", "Dockerfile"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("x")
    assert digest(tree) == before[0]
    assert tree_digest([tree]) != before[1]


def test_parts_cannot_run_into_each_other(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.mkdir()
    two.mkdir()
    (one / "ab").write_text("c")
    (two / "a").write_text("bc")
    assert digest(one) != digest(two)


def test_missing_path_is_named(tmp_path: Path) -> None:
    """As Ansible says it."""
    call = f"{{{{ lookup('bookface.platform.tree_digest', '{tmp_path}/nowhere') }}}}"
    done = subprocess.run(
        ["ansible", "localhost", "-m", "ansible.builtin.debug", "-a", f"msg={call}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert f"{tmp_path}/nowhere does not exist on the controller" in " ".join(done.stdout.split())
