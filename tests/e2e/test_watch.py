"""A machine watches the others: from its installation to its removal, seen by a receiver."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import docker
from tests.support.paths import ROOT
from tests.support.platform import Platform
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import until

WATCHER, WATCHED = "db1", "lb1"
TOKEN = "SeCrEtToKeN"  # noqa: S105  (of a test)
# This machine may reach PyPI through a proxy of its own.
CERTIFICATES = "/usr/local/share/test-watch.crt"
# A backup of somebody's, which heal.yml watches and cannot mend.
BACKUP = "bookface-test-backup"
UNITS = "/run/systemd/system"
LEFT = "/opt/bookface-watch /etc/bookface-watch /usr/local/bin/bookface-watch"


@dataclass(frozen=True)
class Watch:
    """The lab with a machine that watches, and who is told."""

    lab: Platform
    receiver: Receiver

    def apply(self, *arguments: str) -> dict[str, int]:
        """Run the playbook; returns what it has changed on each machine."""
        return self.lab.playbook("playbooks/watch.yml", *arguments).ok().changed

    def history(self) -> dict[str, Any]:
        shown = self.lab.node(WATCHER, "bookface-watch history --format json")
        found: dict[str, Any] = json.loads(shown)
        return found

    def titles(self) -> list[str]:
        return [got["title"] for got in self.receiver.got]

    def journal(self) -> str:
        return self.lab.node(
            WATCHER, "journalctl --no-pager -u 'bookface-watch*' | tail -n 60; "
            "tail -n 30 /var/lib/bookface-watch/last-run.log"
        )  # fmt: skip

    def until_told(self, title: str) -> None:
        until(lambda: title in self.titles(), lambda: f"{title}: {self.journal()}", 240)


def backup(lab: Platform, program: str) -> None:
    """A timer whose last run ended as this program does."""
    for suffix, text in (
        ("service", f"[Service]\\nType=oneshot\\nExecStart={program}\\n"),
        ("timer", "[Timer]\\nOnActiveSec=1d\\n"),
    ):
        lab.node(WATCHED, f"printf '{text}' > {UNITS}/{BACKUP}.{suffix}")
    lab.node(
        WATCHED,
        f"systemctl daemon-reload; systemctl start {BACKUP}.timer; systemctl start {BACKUP}; true",
    )


@pytest.fixture
def watch(platform: Platform, tmp_path: Path) -> Iterator[Watch]:
    directory = tmp_path / "inventory"
    (directory / "group_vars").mkdir(parents=True)
    shown = subprocess.run(
        ["ansible-inventory", "-i", platform.inventory, "--list", "--yaml"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    (directory / "hosts.yml").write_text(shown.stdout)
    (directory / "watchers.yml").write_text(f"watchers: {{hosts: {{{WATCHER}: }}}}\n")
    lab = Platform.of(str(directory))
    gateway = lab.addresses[WATCHER].rpartition(".")[0] + ".1"
    certificates = ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().capath
    docker("cp", "-L", str(certificates), f"{lab.name}-{WATCHER}:{CERTIFICATES}")
    with receiving(gateway) as receiver:
        settings = {
            "watch_notify_urls": [f"json://user:{TOKEN}@{receiver.address}/{TOKEN}"],
            "watch_interval": 10,
            "watch_pip_environment": {"PIP_CERT": CERTIFICATES},
        }
        (directory / "group_vars/watchers.yml").write_text(json.dumps(settings))
        made = Watch(lab, receiver)
        try:
            yield made
        finally:
            made.apply("-e", "watch_state=absent", "-e", "watch_keep_history=false")
            lab.node(WATCHER, f"rm -rf {CERTIFICATES}")
            lab.node(
                WATCHED,
                f"systemctl stop {BACKUP}.timer; rm -f {UNITS}/{BACKUP}.*;"
                f" systemctl daemon-reload; systemctl reset-failed {BACKUP}; true",
            )


@pytest.mark.long
def test_a_machine_watches_mends_and_tells(watch: Watch) -> None:
    lab = watch.lab
    checked = lab.playbook("playbooks/watch.yml", "--check", "--diff").ok()
    assert TOKEN not in checked.output
    assert lab.node(WATCHER, f"ls -d {LEFT} 2> /dev/null; true") == ""

    installed = lab.playbook("playbooks/watch.yml", "--diff").ok()
    assert TOKEN not in installed.output
    assert not any(watch.apply().values())
    assert not any(watch.apply("--check").values())
    lab.node(WATCHER, "bookface-watch test-notify")
    assert watch.titles() == ["bookface: a test of the watch"]
    watch.receiver.got.clear()
    until(lambda: watch.history()["looks"]["last"] == "healthy", watch.journal, 240)
    assert watch.history()["active"] == {"lb1": lab.backend()}

    # What it mends it tells at once; what it cannot, when two looks have seen it.
    lab.node(WATCHED, "systemctl stop bookface-firewall")
    backup(lab, "/bin/false")
    watch.until_told(f"bookface: timer {BACKUP} on {WATCHED} has failed")
    assert "active" in lab.node(WATCHED, "systemctl is-active bookface-firewall; true").split()
    # A receiver that is broken meanwhile gets its message later.
    watch.receiver.answer = 500
    backup(lab, "/bin/true")
    again = f"bookface: timer {BACKUP} on {WATCHED} is up again"
    watch.until_told(again)
    watch.receiver.answer = 200
    until(lambda: watch.history()["messages"]["waiting"] == 0, watch.journal, 240)
    told = [title for title in watch.titles() if title != again]
    assert sorted(told) == [
        f"bookface: service bookface-firewall on {WATCHED} was mended",
        f"bookface: timer {BACKUP} on {WATCHED} has failed",
    ]
    incidents = {one["part"]: one for one in watch.history()["incidents"]}
    assert incidents[f"{WATCHED}/service/bookface-firewall"]["actions"] == ["started"]
    assert incidents[f"{WATCHED}/timer/{BACKUP}"]["end"] is not None

    # The URL is in its file and in the copy of the inventory, and nowhere else.
    assert TOKEN not in lab.node(WATCHER, "journalctl --no-pager; ps axww")
    assert lab.node(WATCHER, f"grep -rl {TOKEN} /var/lib/bookface-watch /opt; true") == ""
    assert lab.node(WATCHER, "find /etc/bookface-watch -perm /077 -type f ! -name '*.pub'") == ""

    watch.apply("-e", "watch_state=absent")
    assert lab.node(WATCHER, f"ls -d {LEFT} 2> /dev/null; true") == ""
    assert "bookface-watch" not in lab.node(WATCHER, "systemctl list-units --all 'bookface-watch*'")
    keys = "/home/*/.ssh/authorized_keys"
    assert lab.node(WATCHED, f"grep -l bookface-watch@ {keys}; true") == ""
    assert lab.node(WATCHER, "ls /var/lib/bookface-watch").startswith("history.db")
    assert not any(watch.apply("-e", "watch_state=absent").values())
