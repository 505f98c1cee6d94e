# SPDX-License-Identifier: GPL-3.0-or-later
"""A load balancer that may not know a server yet, or does not run."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Lab

NOTHING = {"changed": False, "servers": [], "sessions": 0, "waited": 0.0}


def server(lab: Lab, **more: Any) -> Any:
    arguments = lab.arguments(**{"server": "docker1", "state": "drain", **more})
    del arguments["frontend"]
    return lab.end(lab.begin("haproxy_server", arguments))


def told(result: dict[str, Any]) -> dict[str, Any]:
    return {name: result.get(name) for name in NOTHING}


@pytest.mark.parametrize("which", [{"server": "nosuch"}, {"backend": "legacy"}])
def test_a_server_that_is_not_known(lab: Lab, which: dict[str, str]) -> None:
    assert told(server(lab, **{"missing": "ignore", **which})) == NOTHING
    assert server(lab, **which)["reason"] == "no_such_server"


def test_a_known_one_is_drained_all_the_same(lab: Lab) -> None:
    result = server(lab, missing="ignore")
    assert (result["changed"], [one["name"] for one in result["servers"]]) == (True, ["docker1"])


def test_haproxy_that_does_not_run(stopped: Lab) -> None:
    lab = stopped
    began = time.monotonic()
    assert told(server(lab, missing="ignore", config="/nowhere/haproxy.cfg")) == NOTHING
    # It was given the time of a reload.
    assert time.monotonic() - began >= 2
    assert server(lab)["reason"] == "unreachable"


def test_haproxy_that_comes_back_meanwhile(lab: Lab) -> None:
    """Nobody answers at first, as in the moment in which a socket changes hands."""
    away = lab.admin.with_name("away.sock")
    lab.admin.rename(away)
    waiting = lab.begin(
        "haproxy_server",
        {name: value for name, value in lab.arguments().items() if name != "frontend"}
        | {"server": "docker1", "state": "drain", "missing": "ignore"},
    )
    time.sleep(0.7)
    away.rename(lab.admin)
    assert [one["name"] for one in lab.end(waiting)["servers"]] == ["docker1"]


def test_a_socket_of_something_else_is_a_failure(stopped: Lab) -> None:
    lab = stopped
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(lab.admin))
        assert server(lab, missing="ignore")["reason"] == "denied"
