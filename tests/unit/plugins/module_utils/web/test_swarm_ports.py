"""The ports of a swarm: whom to ask before one joins, and what to say."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from ansible_collections.bookface.platform.plugins.filter.swarm_plan import FilterModule

from tests.support.ports import free_ports
from tests.support.waiting import until

FILTERS = FilterModule().filters()
SCRIPT = Path(__file__).resolve().parents[5] / "roles/swarm/files/ports.py"
JOINS = ["tcp/7946", "udp/7946", "udp/4789"]


def said(state: str, number: int, manager: bool = False) -> dict[str, Any]:
    return {"state": state, "manager": manager, "host": f"192.0.2.{number}"}


def test_of_a_new_swarm_all_listen_and_all_ask() -> None:
    seen = {"swarm1": said("inactive", 1), "swarm2": said("inactive", 2)}
    assert FILTERS["swarm_ports"](seen, ["swarm1"]) == {
        "listen": {"swarm1": ["tcp/2377", *JOINS], "swarm2": JOINS},
        "ask": {
            "swarm1": [f"swarm2=192.0.2.2={port}" for port in JOINS],
            "swarm2": [f"swarm1=192.0.2.1={port}" for port in ["tcp/2377", *JOINS]],
        },
    }


def test_members_are_asked_what_they_answer_and_not_by_each_other() -> None:
    seen = {
        "swarm1": said("active", 1, manager=True),
        # To be promoted: it does not listen yet.
        "swarm2": said("active", 2),
        "swarm3": {**said("inactive", 3), "host": "[fd00::3]"},
    }
    found = FILTERS["swarm_ports"](seen, ["swarm1", "swarm2"])
    assert found["listen"] == {"swarm3": JOINS}
    assert found["ask"] == {
        "swarm1": [f"swarm3=fd00::3={port}" for port in JOINS],
        "swarm2": [f"swarm3=fd00::3={port}" for port in JOINS],
        "swarm3": [
            "swarm1=192.0.2.1=tcp/2377",
            "swarm1=192.0.2.1=tcp/7946",
            "swarm2=192.0.2.2=tcp/7946",
        ],
    }


def test_the_pair_and_the_port_are_named() -> None:
    missed = {
        "swarm2": {"swarm1=192.0.2.1=tcp/2377": "no answer in 3 s"},
        "swarm1": {"swarm2=192.0.2.2=udp/4789": "no answer in 3 s"},
    }
    [found] = FILTERS["swarm_closed_ports"](missed, {"swarm2": ["udp/4789"]})
    assert "swarm2 to swarm1 (192.0.2.1) on 2377/tcp: no answer in 3 s." in found
    assert "swarm2 (192.0.2.2)" not in found
    assert FILTERS["swarm_closed_ports"]({"swarm1": {}}, {"swarm1": []}) == []
    [found] = FILTERS["swarm_closed_ports"](missed, {"swarm1": ["tcp/2377"]})
    assert found.startswith("2377/tcp of swarm1 is in use by a program that is not its swarm")


def ports(*arguments: str) -> Any:
    command = [sys.executable, str(SCRIPT), *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_the_script_listens_and_asks() -> None:
    tcp, udp, closed = free_ports(3)
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", closed))
        wanted = [f"tcp/{tcp}", f"udp/{udp}"]
        listening = ports("listen", "127.0.0.1", "60", *wanted, f"udp/{closed}")
        assert listening["busy"] == [f"udp/{closed}"]
        asked = [f"x=127.0.0.1={port}" for port in (*wanted, f"udp/{closed}", f"tcp/{closed}")]
        try:
            assert ports("ask", *asked) == {
                asked[2]: "no answer in 3 s",
                asked[3]: "Connection refused",
            }
        finally:
            os.kill(listening["process"], signal.SIGTERM)
    # As soon as it has ended, the engine can listen.
    until(lambda: not Path(f"/proc/{listening['process']}/fd/3").exists(), "its end", 10)
    with socket.create_server(("127.0.0.1", tcp)):
        pass
