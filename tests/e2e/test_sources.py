"""Any bookface runs unmodified: here an older release, whose site brings a config.php."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.platform import Platform


@pytest.fixture
def older(tmp_path: Path) -> list[str]:
    """Arguments for site.yml: the work-alike as an archive, flat and without a config.php."""
    tree = tmp_path / "bookface-v17"
    shutil.copytree(ROOT / "examples/bookface/code", tree)
    (tree / "config.php").unlink()
    archive = shutil.make_archive(str(tmp_path / "v17"), "gztar", tmp_path, tree.name)
    source = {"bookface_source": {"type": "archive", "location": archive}}
    return ["-e", json.dumps(source)]


@pytest.mark.long
def test_older_release_on_machines_and_in_containers(platform: Platform, older: list[str]) -> None:
    """Both ways of serving take over to it and back again."""
    limit = ["--limit", "web1,docker_hosts"]
    run = platform.playbook("site.yml", *limit, *older)
    assert run.code == 0, run.output
    try:
        assert "dbhost" in platform.node("web1", "cat /var/www/html/config.php")
        containers = platform.node(
            "docker1",
            "for c in bookface-web-1 bookface-web-2;"
            " do docker exec $c busybox readlink /var/www/html/config.php; done",
        )
        assert containers.split() == ["/etc/bookface/config.php"] * 2
        servers = [f"{platform.addresses['web1']}:80"]
        servers += [f"{platform.addresses['docker1']}:{port}" for port in (32001, 32002)]
        for server in servers:
            assert "Users:" in platform.node("lb1", f"curl -sS -m 20 http://{server}/")
    finally:
        run = platform.playbook("site.yml", *limit)
    assert run.code == 0, run.output
