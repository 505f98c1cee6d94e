# SPDX-License-Identifier: GPL-3.0-or-later
"""Several frontends of one site are switched together, or none of them is."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_switch_refusals import UNTOUCHED

from tests.support.ports import free_port

if TYPE_CHECKING:
    from conftest import Lab

BOTH = ["book-face", "second"]


class Site:
    """The laboratory with a second frontend, whose default_backend is another line."""

    def __init__(self, lab: Lab, rules: tuple[bool, bool] = (True, True), second: str = "") -> None:
        self.lab = lab
        self.port = free_port()
        follow = f"fe_name,map({lab.map})"
        rule = f"    use_backend %[{follow}] if {{ {follow} -m found }}\n" if rules[1] else ""
        extra = (
            f"frontend second\n    bind 127.0.0.1:{self.port}\n{rule}"
            f"{second or '    default_backend legacy'}\n"
        )
        lab.config.write_text(lab.text(rule=rules[0], extra=extra))
        lab.start()

    def switch(self, backend: str | None, **more: Any) -> dict[str, Any]:
        return self.lab.switch(backend, **{"frontend": BOTH, **more})  # type: ignore[arg-type]

    def traffic(self) -> tuple[str, str]:
        self.lab.until(self.lab.checked, "the first checks, after a reload")
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/")
        second = connection.getresponse().read().decode()
        connection.close()
        return self.lab.traffic(), second

    def lines(self) -> list[str]:
        text = self.lab.config.read_text().splitlines()
        return [line.split()[1] for line in text if line.split()[:1] == ["default_backend"]]

    def record(self) -> Any:
        return json.loads(Path(f"{self.lab.config}.previous.json").read_text())


@pytest.mark.parametrize("rules", [(True, True), (False, False), (True, False)])
def test_there_and_back(stopped: Lab, rules: tuple[bool, bool]) -> None:
    """Where one has no rule, one reload is for both."""
    site = Site(stopped, rules)
    worker = stopped.pid()
    checked = site.switch("docker", check=True)
    assert (checked["changed"], site.traffic()) == (True, ("legacy", "legacy"))
    done = site.switch("docker")
    assert (done["changed"], done["diff"][0]) == (True, checked["diff"][0])
    assert done["action"] == ("map" if all(rules) else "reload")
    assert (stopped.pid() == worker) == all(rules)
    assert [(one["name"], one["previous_backend"]) for one in done["frontends"]] == [
        ("book-face", "legacy"),
        ("second", "legacy"),
    ]
    assert [one["door"] for one in done["frontends"]] == [
        f"http://127.0.0.1:{port}/" for port in (stopped.port, site.port)
    ]
    assert site.traffic() == ("docker", "docker")
    assert site.lines() == ["docker", "docker"]
    assert site.record() == {name: {"from": "legacy", "to": "docker"} for name in BOTH}
    assert not site.switch("docker")["changed"]
    back = site.switch(None, rollback=True)
    assert (back["backend"], site.traffic()) == ("legacy", ("legacy", "legacy"))
    assert not site.switch(None, rollback=True)["changed"]


def test_one_that_is_there_already(stopped: Lab) -> None:
    """The half of a switch that somebody made by hand is completed."""
    site = Site(stopped)
    assert stopped.switch("docker")["changed"]
    done = site.switch("docker")
    assert [one["changed"] for one in done["frontends"]] == [False, True]
    assert site.traffic() == ("docker", "docker")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("    use_backend legacy\n    default_backend legacy", "would move no traffic"),
        ('    default_backend "${NAME}legacy"', "is computed"),
    ],
)
def test_if_one_cannot_none_is_switched(stopped: Lab, second: str, message: str) -> None:
    site = Site(stopped, second=second)
    before = stopped.config.read_text()
    refused = site.switch("docker")
    assert message in refused["msg"], refused
    assert UNTOUCHED in refused["msg"]
    assert (stopped.config.read_text(), stopped.entry()) == (before, ())
    unknown = site.switch("docker", frontend=["book-face", "nosuch"])
    assert "frontend 'nosuch'" in unknown["msg"]


def test_an_entry_that_cannot_be_written_takes_the_other_back(stopped: Lab) -> None:
    """Both maps exist on disk, and the running HAProxy lacks the second one."""
    site = Site(stopped)
    other = stopped.map.parent / "other.map"
    other.write_text("")
    text = stopped.config.read_text()
    second = text.index("frontend second")
    moved = text[second:].replace(str(stopped.map), str(other))
    stopped.config.write_text(text[:second] + moved)
    before = stopped.config.read_text()
    refused = site.switch("docker", engine="runtime")
    assert "has not loaded the map" in refused["msg"]
    assert (stopped.config.read_text(), site.traffic()) == (before, ("legacy", "legacy"))
    # By itself it reloads, once, for both.
    assert site.switch("docker")["action"] == "reload"
    assert site.traffic() == ("docker", "docker")


def test_a_share_of_both(stopped: Lab) -> None:
    refused = Site(stopped).switch("docker", percent=10)
    assert "has no rules for a gradual shift" in refused["msg"]
