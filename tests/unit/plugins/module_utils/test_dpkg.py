"""Packages that an interrupted dpkg has left between two states."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.dpkg import (
    Dpkg,
    DpkgError,
    message,
    unfinished,
)

HALF = "half-configured docker.io"


class Module:
    """A host on which dpkg was interrupted, and whether it can be repaired."""

    def __init__(self, *listing: str, status: int = 0, repaired: bool = True) -> None:
        self.listing = ["installed bash", *listing]
        self.status = status
        self.repaired = repaired

    def get_bin_path(self, name: str) -> str:
        return name

    def run_command(self, command: list[str], **_: Any) -> tuple[int, str, str]:
        if command[0] == "dpkg-query":
            return 0, "\n".join(self.listing), ""
        assert command[:3] == ["dpkg", "--force-confdef", "--force-confold"]
        if self.repaired:
            self.listing = ["installed bash"]
        return self.status, "", "dpkg: error processing package docker.io\n"


@pytest.fixture
def admin(tmp_path: Path) -> Path:
    (tmp_path / "updates").mkdir()
    (tmp_path / "lock-frontend").touch()
    return tmp_path


def dpkg(admin: Path, *listing: str, **outcome: Any) -> Dpkg:
    return Dpkg(Module(*listing, **outcome), admin)  # type: ignore[arg-type]


def test_states_between_two() -> None:
    states = ["half-installed", "unpacked", "half-configured", "triggers-awaited"]
    lines = [f"{state} p" for state in ["installed", "config-files", "not-installed", *states]]
    assert unfinished([*lines, ""]) == [f"p ({state})" for state in states]


def test_a_host_that_is_well(admin: Path) -> None:
    (admin / "updates/tmp.i").touch()
    assert dpkg(admin).interrupted() == (False, [])
    assert Dpkg(Module(), admin / "none").interrupted() == (False, [])  # type: ignore[arg-type]


def test_half_configured_packages_are_named(admin: Path) -> None:
    interrupted, packages = dpkg(admin, HALF).interrupted()
    assert interrupted
    assert message(packages).startswith("dpkg was interrupted: docker.io (half-configured). Run ")


def test_a_journal_stops_apt_as_well(admin: Path) -> None:
    (admin / "updates/0001").touch()
    assert dpkg(admin).interrupted() == (True, [])
    assert "its journal is not empty. Run dpkg --configure -a" in message([])


def test_another_apt_at_work_is_no_interruption(
    admin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: Any) -> None:
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "lockf", held)
    assert dpkg(admin, HALF).interrupted() == (False, [])


def test_repair(admin: Path) -> None:
    there = dpkg(admin, HALF)
    there.repair()
    assert there.interrupted() == (False, [])


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ({"repaired": False, "status": 1}, r"docker\.io \(half-configured\).*error processing"),
        ({"status": 2}, "ends with status 2"),
    ],
)
def test_what_cannot_be_repaired_is_said(admin: Path, outcome: Any, text: str) -> None:
    with pytest.raises(DpkgError, match=text):
        dpkg(admin, HALF, **outcome).repair()
