"""docs/openstack.md has users put credentials into this directory: they go nowhere from there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["clouds.yaml", "secure.yaml"])
def test_credentials_are_neither_committed_nor_packed(name: str) -> None:
    assert name in (ROOT / ".gitignore").read_text().splitlines()
    assert name in yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]
