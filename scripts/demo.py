"""`make demo`: bring the lab up, then move its traffic to containers under load.

Arguments are handed to ansible-playbook, so that the demonstration runs on other inventories too:
    python -m scripts.demo -i molecule/platform/inventory --only-switch
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from tests.support.load import Load
from tests.support.paths import ROOT

AT_LEAST = 2000  # requests of the demonstration
RATE = 80  # requests/s: light for two cores that also run every machine of the lab
SETTLE = 200  # requests before and after each switch
PAGE = "Users:"  # what a front page with a working database holds


def say(text: str) -> None:
    """A line of our own, apart from Ansible's."""
    print(f"\n=== {text}", flush=True)


def playbook(name: str, *arguments: str) -> None:
    """Run one playbook; its failure ends the demonstration."""
    command = ["ansible-playbook", name, *arguments]
    say(" ".join(command))
    result = subprocess.run(command, cwd=ROOT, check=False)
    if result.returncode != 0:
        sys.exit(f"demo: {name} failed, see above; nothing after it was done.")


def front_door(arguments: list[str]) -> str:
    """URL of the lab's site on this machine."""
    command = ["ansible-inventory", "--host", "lb1", *arguments]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return f"http://127.0.0.1:{json.loads(shown)['lab_http_port']}/"


def serving(url: str) -> str:
    """Name of the backend that answers at the front door."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  (http, this machine)
        return str(answer.headers["X-Bookface-Backend"])


def switch(target: str, arguments: list[str]) -> dict[str, Any]:
    """Switch the traffic; what the playbook reports of it."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        options = ["-e", f"target={target}", "-e", f"switch_report={report}"]
        playbook("switch_backend.yml", *options, *arguments)
        reports: dict[str, Any] = json.loads(report.read_text())
    return next(iter(reports.values()))


def demonstrate(arguments: list[str], draw: bool) -> int:
    """Move the traffic from legacy to docker under load. Returns the exit status."""
    url = front_door(arguments)
    say(f"bookface answers on {url} from {serving(url)}; load starts")
    with Load([url], clients=8, rate=RATE, expect=PAGE, at_least=AT_LEAST) as load:

        def settle() -> None:
            if not load.wait_for(load.requests + SETTLE, seconds=60):
                sys.exit(f"demo: the site answers too slowly: {load.requests} requests so far.")

        settle()
        if serving(url) != "legacy":
            switch("legacy", arguments)
            settle()
        report = switch("docker", arguments)
        settle()
    if draw:
        playbook("playbooks/topology.yml", *arguments)
        say(f"the drawing: {ROOT / 'build/topology/topology.svg'}")
    summary = load.summary
    say("what the clients saw")
    print(summary.as_text())
    print(
        f"demo: {summary.requests} requests, {summary.failed} failed, "
        f"{report['before']} -> {report['after']} in {report['elapsed_ms']['total']} ms"
    )
    return 0 if summary.failed == 0 else 1


def main() -> int:
    """Parse the command line and run."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--only-switch", action="store_true", help="the lab is up already")
    known, arguments = parser.parse_known_args()
    if not known.only_switch:
        playbook("playbooks/lab.yml", *arguments)
        playbook("site.yml", *arguments)
    return demonstrate(arguments, draw=not known.only_switch)


if __name__ == "__main__":
    sys.exit(main())
