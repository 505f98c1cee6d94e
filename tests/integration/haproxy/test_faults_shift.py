# SPDX-License-Identifier: GPL-3.0-or-later
"""A gradual shift that is killed half-way, or whose HAProxy reloads or dies."""

from __future__ import annotations

from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from faults import go_on, held, killed, on_disk

if TYPE_CHECKING:
    from conftest import Lab

RULES = """\
    acl shifting fe_name,concat(/0),map({map}) -m found
    http-request set-var(txn.cohort) src,xxh32,mod(100) if shifting
    http-request set-var(txn.cohort) req.cook(cohort) if shifting {{ req.cook(cohort) -m int 0:99 }}
    http-request set-var(txn.key) fe_name,concat(/,txn.cohort) if shifting
    use_backend %[var(txn.key),map({map})] if {{ var(txn.key),map({map}) -m found }}
"""


@pytest.fixture
def shifting(stopped: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A frontend whose clients say by cookie which cohort they are in."""
    lab = stopped
    plain = lab.text
    rules = RULES.format(map=lab.map)

    def text(default: str = "legacy") -> str:
        return plain(default=default).replace("    use_backend", f"{rules}    use_backend", 1)

    monkeypatch.setattr(lab, "text", text)
    lab.config.write_text(lab.text())
    lab.start()
    return lab


def moved(lab: Lab) -> set[int]:
    """The cohorts whose requests docker answers; all others get legacy."""
    found = set()
    connection = HTTPConnection("127.0.0.1", lab.port, timeout=10)
    for cohort in range(100):
        connection.request("GET", "/", headers={"Cookie": f"cohort={cohort}"})
        body = connection.getresponse().read().decode()
        assert body in ("legacy", "docker")
        if body == "docker":
            found.add(cohort)
    connection.close()
    return found


def first(percent: int) -> set[int]:
    return set(range(percent))


def shift(lab: Lab, percent: int) -> None:
    """A shift to docker that works, and is then no change any more."""
    done = lab.switch("docker", percent=percent)
    assert done.get("failed") is None, done
    assert lab.switch("docker", percent=percent)["changed"] is False
    assert moved(lab) == first(percent)
    assert on_disk(lab) == ("docker" if percent == 100 else "legacy")


def test_killed_while_it_grows(shifting: Lab) -> None:
    """Nobody is moved by half of a first shift; a larger one moves clients forward only."""
    lab = shifting
    killed(lab, "before=book-face/15", "HaproxySocket.write_entry", "docker", percent=30)
    assert moved(lab) == set()
    shift(lab, 30)
    killed(lab, "before=book-face/40", "HaproxySocket.write_entry", "docker", percent=50)
    assert first(30) <= moved(lab) <= first(50)
    shift(lab, 50)


def test_killed_while_it_shrinks(shifting: Lab) -> None:
    lab = shifting
    shift(lab, 30)
    killed(lab, "before=book-face/20", "HaproxySocket.delete_entry", "docker", percent=10)
    assert first(10) <= moved(lab) <= first(30)
    shift(lab, 10)


@pytest.mark.parametrize(
    ("when", "what", "clients"),
    [
        ("after", "replace", 30),
        ("before=book-face/10", "HaproxySocket.delete_entry", 100),
    ],
)
def test_killed_while_it_ends(shifting: Lab, when: str, what: str, clients: int) -> None:
    """The file is docker's already; the clients are as before, or all moved."""
    lab = shifting
    shift(lab, 30)
    killed(lab, when, what, "docker")
    assert on_disk(lab) == "docker"
    assert moved(lab) == first(clients)
    shift(lab, 100)
    assert dict(lab.stats.map_entries(str(lab.map), 5) or ()) == {"book-face": "docker"}


def test_rollback_of_a_killed_shift(shifting: Lab) -> None:
    lab = shifting
    killed(lab, "after=book-face/0", "HaproxySocket.write_entry", "docker", percent=30)
    done = lab.switch(None, rollback=True)
    assert done.get("failed") is None, done
    assert (moved(lab), on_disk(lab)) == (set(), "legacy")
    assert lab.switch(None, rollback=True)["changed"] is False


def test_reload_by_somebody_else_meanwhile(shifting: Lab) -> None:
    """The map is empty after it; the shift that is being made is made again from the start."""
    lab = shifting
    shift(lab, 10)
    with held(
        lab, "before=book-face/20", "HaproxySocket.write_entry", "docker", percent=30
    ) as program:
        lab.reload()
        assert moved(lab) == set()
        done = go_on(lab, program)
    assert done.get("changed") is True, done
    assert moved(lab) == first(30)
    shift(lab, 30)


def test_haproxy_dies_meanwhile(shifting: Lab) -> None:
    """The file was not touched, so the next start serves everybody as before the shift."""
    lab = shifting
    with held(
        lab, "before=book-face/20", "HaproxySocket.write_entry", "docker", percent=30, wait=0.5
    ) as program:
        lab.stop()
        failed = go_on(lab, program)
    assert failed["failed"] is True
    assert "is unchanged" in failed["msg"]
    assert on_disk(lab) == "legacy"
    lab.start()
    assert moved(lab) == set()
    shift(lab, 30)
