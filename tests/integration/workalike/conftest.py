"""Fixtures of the work-alike's tests."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from .support import CODE, Cluster, Database, Site, memcached

# Writes a configuration into a web root, or leaves it without.
Configure = Callable[[Path], None]


@pytest.fixture
def database(cluster: Cluster) -> Database:
    return Database.fresh(cluster)


def complaint(log: str) -> str:
    """What PHP complains about, or nothing."""
    found = re.search(r"PHP (Warning|Notice|Deprecated|Fatal|Parse).*", log)
    return found[0] if found else ""


class Sites:
    """Starts sites and, when the test is over, looks whether PHP complained about the code."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sites: list[Site] = []
        self.may_warn = False

    def start(
        self,
        configure: Configure,
        env: Mapping[str, str] | None = None,
        php_options: list[str] | None = None,
    ) -> Site:
        root = self._directory / f"site{len(self._sites)}" / "html"
        shutil.copytree(CODE, root)
        configure(root)
        site = Site(root, env or {}, php_options or [])
        self._sites.append(site)
        return site

    def stop(self) -> None:
        for site in self._sites:
            site.stop()
        for site in self._sites:
            assert self.may_warn or not complaint(site.log()), complaint(site.log())


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    sites = Sites(tmp_path)
    yield sites
    sites.stop()


@pytest.fixture
def cache() -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(memcached())
