"""Releases on the web servers without containers, under load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.load import Load
from tests.support.paths import ROOT
from tests.support.platform import Platform

SERVERS = ("web1", "web2")
LIMIT = ("--limit", ",".join(SERVERS))
MARK = "of the next release"
# Files of that release that Apache serves or would serve, and the test server's.
SERVED = "/var/lib/bookface/live/ /var/www"
LEFT = f"grep -Rl '{MARK}' {SERVED}; ls -d /run/bookface-trial 2> /dev/null; true"


@pytest.fixture(autouse=True)
def load(platform: Platform) -> Load:
    """Clients of these servers."""
    done = platform.switch("legacy")
    assert done.code == 0, done.output
    return Load([platform.url], clients=6, rate=25, at_least=200, expect="Users:")


@pytest.fixture
def fronts(platform: Platform) -> list[str]:
    """Commands that show the front pages of the servers."""
    return [f"curl -sS -m 20 http://{platform.addresses[name]}/" for name in SERVERS]


def release(tmp_path: Path, before: str = "") -> tuple[str, str]:
    """Arguments for site.yml: the work-alike with a mark on its front page."""
    tree = tmp_path / "code"
    shutil.copytree(ROOT / "examples/bookface/code", tree)
    page = (tree / "index.php").read_text().replace("'Users:' =>", f"'{MARK}' => 1, 'Users:' =>")
    (tree / "index.php").write_text(before + page)
    (tree / "broken.php").write_text("<?php this is no php (\n")
    return "-e", json.dumps({"bookface_source": {"type": "path", "location": str(tree)}})


@pytest.mark.load
def test_a_release_whose_pages_do_not_work_never_goes_live(
    platform: Platform, load: Load, fronts: list[str], tmp_path: Path
) -> None:
    """On no server, also if only one of them cannot serve it."""
    broken = release(tmp_path, "<?php if (gethostname() === 'web2') require 'broken.php' ?>\n")
    with load:
        refused = platform.playbook("site.yml", *LIMIT, *broken)
        shown = [platform.node("lb1", front) for front in fronts]
    assert load.summary.failed == 0, load.summary.examples
    assert set(load.summary.by_server) == set(SERVERS)
    assert not any(MARK in page for page in shown)
    assert refused.code != 0
    assert "The release does not go live on web2: " in refused.text, refused.output
    assert "answers 500, expected 200" in refused.text
    assert "PHP Parse error" in refused.text
    # web1, which could serve it, keeps it where the next release will be; it is not served.
    assert [platform.node(name, LEFT) for name in SERVERS] == ["", ""]
