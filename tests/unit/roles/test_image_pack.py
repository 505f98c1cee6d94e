"""How the role bookface_image packs what it builds from."""

from __future__ import annotations

import gzip
import runpy
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.web import published

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def pack() -> Callable[..., None]:
    found: Callable[..., None] = runpy.run_path(
        str(ROOT / "roles/bookface_image/files/pack.py")
    )["main"]  # fmt: skip
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A release as somebody may have checked it out."""
    tree = tmp_path / "tree"
    (tree / ".git").mkdir(parents=True)
    (tree / ".git/config").write_text("history")
    (tree / "images").mkdir()
    for name, mode in (("index.php", 0o600), ("tool", 0o700), ("config.json", 0o644)):
        (tree / name).write_text(name)
        (tree / name).chmod(mode)
    (tree / "images/a.jpg").write_text("a")
    return tree


def members(archive: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(archive) as packed:
        return {str(Path(member.name)): member for member in packed.getmembers()}


def test_files_arrive_as_root_s_and_readable(
    pack: Callable[..., None], tree: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a.tar.gz"
    pack(str(archive), f"code={tree}", "code!^[.]git(/|$)")
    found = members(archive)
    assert set(found) == {"code"} | {
        f"code/{name}" for name in ("index.php", "tool", "config.json", "images", "images/a.jpg")
    }
    modes = {name: member.mode for name, member in found.items()}
    assert modes["code/index.php"] == 0o644
    assert modes["code/tool"] == modes["code/images"] == 0o755
    assert {(member.uid, member.gid, member.uname) for member in found.values()} == {(0, 0, "root")}
    assert int(found["code/index.php"].mtime) == int((tree / "index.php").stat().st_mtime)


@pytest.mark.parametrize("place", [".", "code", "code/"])
def test_a_link_takes_the_place_of_a_file(
    pack: Callable[..., None], tree: Path, tmp_path: Path, place: str
) -> None:
    """Which is nowhere in it: one of the same name further down is."""
    (tree / "config.json").write_text("secret of the site")
    (tree / "images/config.json").write_text("a picture's")
    archive, target = tmp_path / "a.tar.gz", tmp_path / "out"
    link = str(Path(place) / "config.json")
    pack(str(archive), f"{place}={tree}", f"{link}->/etc/bookface/config.json", "empty=")
    assert b"secret" not in gzip.decompress(archive.read_bytes())
    target.mkdir()
    subprocess.run(["tar", "-xzf", archive, "-C", target], check=True)
    assert (target / link).readlink() == Path("/etc/bookface/config.json")
    assert (target / place / "images/config.json").read_text() == "a picture's"
    assert (target / place / "index.php").read_text() == "index.php"
    assert list((target / "empty").iterdir()) == []


@pytest.mark.parametrize("place", [".", "code", "code/"])
def test_what_is_left_out_is_left_out_below_its_place_alone(
    pack: Callable[..., None], tree: Path, tmp_path: Path, place: str
) -> None:
    (tree / "images/.env").write_text("secret of the site")
    (tree / "Dockerfile").write_text("secret of the build")
    archive = tmp_path / "a.tar.gz"
    pack(str(archive), f"{place}={tree}", f"{place}!{published.PATH}", f"beside={tree}/images")
    found = set(members(archive))
    assert {str(Path(place) / name) for name in ("index.php", "tool", "images/a.jpg")} < found
    hidden = {name for name in found if Path(name).name in ("Dockerfile", ".env", ".git", "config")}
    assert hidden == (set() if place == "." else {"beside/.env"})
    assert b"history" not in gzip.decompress(archive.read_bytes())


def test_a_text_becomes_a_file(pack: Callable[..., None], tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    pack(str(archive), 'etc/rule:location ~* "a=b!c->d:é" { }')
    with tarfile.open(archive) as packed:
        file = packed.extractfile("etc/rule")
        assert file
        assert file.read().decode() == 'location ~* "a=b!c->d:é" { }\n'
    assert members(archive)["etc/rule"].mode == 0o644
