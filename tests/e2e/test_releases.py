"""Releases on the web servers without containers, under load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, Platform

from tests.support.commands import killed_at
from tests.support.load import Load

SERVERS = ("web1", "web2")
LIMIT = ("--limit", ",".join(SERVERS))
MARK = "of the next release"


@pytest.fixture(autouse=True)
def load(platform: Platform) -> Load:
    """Clients of these servers."""
    done = platform.switch("legacy")
    assert done.code == 0, done.output
    return Load([platform.url], clients=6, rate=25, at_least=200, expect="Users:")


def release(tmp_path: Path, page: str) -> tuple[str, str]:
    """Arguments for site.yml: the work-alike with another front page."""
    shutil.copytree(ROOT / "examples/bookface/code", tmp_path / "code")
    (tmp_path / "code/index.php").write_text(page)
    source = {"type": "path", "location": str(tmp_path / "code")}
    return "-e", json.dumps({"bookface_source": source})


@pytest.mark.load
def test_a_release_whose_pages_do_not_work_never_goes_live(
    platform: Platform, load: Load, tmp_path: Path
) -> None:
    broken = release(tmp_path, "<?php this is no php (\n")
    with load:
        refused = platform.playbook("site.yml", *LIMIT, *broken)
        after = platform.playbook("site.yml", *LIMIT)
    assert load.summary.failed == 0, load.summary.examples
    assert set(load.summary.by_server) == set(SERVERS)
    assert refused.code != 0
    for name in SERVERS:
        assert f"The release does not go live on {name}: " in refused.text, refused.output
    assert "answers 500, expected 200" in refused.text
    assert "PHP Parse error" in refused.text
    # The next run finds everything as it was.
    assert after.ok().changed == dict.fromkeys(SERVERS, 0), after.changes


@pytest.mark.load
def test_a_release_is_live_or_not(platform: Platform, load: Load, tmp_path: Path) -> None:
    """A run that is killed just before, and a start of the machine: the one before serves."""
    page = (ROOT / "examples/bookface/code/index.php").read_text()
    good = release(tmp_path, page.replace("'Users:' =>", f"'{MARK}' => 1, 'Users:' =>"))
    fronts = [f"curl -sS -m 20 http://{platform.addresses[name]}/" for name in SERVERS]
    killed_at("Make it live", "site.yml", *LIMIT, *good)
    platform.node("web1", "systemctl restart apache2")
    assert not any(MARK in platform.node("lb1", front) for front in fronts)
    try:
        with load:
            platform.playbook("site.yml", *LIMIT, *good).ok()
            assert all(MARK in platform.node("lb1", front) for front in fronts)
    finally:
        platform.playbook("site.yml", *LIMIT).ok()
    assert load.summary.failed == 0, load.summary.examples
