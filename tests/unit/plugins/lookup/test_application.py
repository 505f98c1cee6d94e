"""Where the pages are in a directory, and which configuration they read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible_collections.bookface.platform.plugins.lookup.application import application

READS_JSON = "<?php $config = json_decode(file_get_contents('config.json'));"


def files(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(READS_JSON)
    return top


def look(top: Path | str, source: dict[str, Any] | None = None, style: str = "auto") -> Any:
    return application(str(top), source or {"type": "path", "location": str(top)}, style)


@pytest.mark.parametrize(
    ("names", "root"),
    [
        (["index.php"], ""),
        (["index.php", "admin/index.php"], ""),
        (["index.php", "code/index.php"], "code"),
        (["bookface-v17/index.php"], "bookface-v17"),
        (["bookface-v17/code/index.php", "bookface-v17/index.php"], "bookface-v17/code"),
        (["b/index.php", "a/index.php"], "a"),
    ],
)
def test_the_web_root_is_found(tmp_path: Path, names: list[str], root: str) -> None:
    assert look(files(tmp_path, *names))["root"] == str(tmp_path / root)


@pytest.mark.parametrize("names", [[], ["index.html"], ["a/b/c/index.php"], ["my_index.php"]])
def test_what_is_no_bookface_is_refused(tmp_path: Path, names: list[str]) -> None:
    source = {"type": "git", "location": "https://me:secret@example.org/bookface.git"}
    with pytest.raises(AnsibleError) as refused:
        look(files(tmp_path, *names), source=source)
    assert "(git https://example.org/bookface.git) has no index.php" in str(refused.value)


def test_no_location_is_refused() -> None:
    with pytest.raises(AnsibleError, match=r"has no index\.php"):
        look("")


def test_the_style_is_what_config_php_reads(tmp_path: Path) -> None:
    top = files(tmp_path, "index.php")
    assert look(top)["style"] == "php"
    files(tmp_path, "config.php")
    assert look(top)["style"] == "json"
    (top / "config.php").write_text("<?php $dbhost = 'somebody';")
    assert look(top)["style"] == "php"
    assert look(top, style="json")["style"] == "json"


def test_the_origin_shows_no_password(tmp_path: Path) -> None:
    source = {"type": "git", "location": "https://me:secret@example.org/bookface.git"}
    found = look(files(tmp_path, "index.php"), source=source)
    assert found["origin"] == "https://example.org/bookface.git"


def test_what_is_no_part_of_the_site_is_named(tmp_path: Path) -> None:
    """Of the web root alone, which of a checkout with code/ has nothing of it."""
    top = files(tmp_path, "code/index.php", ".git/config", "README.md")
    assert look(top)["withheld"] == []
    files(top, "code/.env", "code/images/.git/config")
    assert look(top)["withheld"] == [".env", "images/.git"]
