"""Kill the first set-up of bare machines after each of its changes, until it is whole; compare."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from tests.killed.journal import Journal
from tests.killed.machines import Machines
from tests.killed.table import RESULTS, Result, Row, say
from tests.support.commands import Run, ansible, killed_after_new, watched
from tests.support.errors import HarnessError
from tests.support.paths import ROOT

NAME = "first_setup"
# What has been killed after; its last line is the last one.
KILLED = RESULTS / "killed-after"
JOURNAL = RESULTS / "journal"


def parts() -> Iterator[Path]:
    """The plays of site.yml as playbooks of their own: what is before each is complete.

    Plays of the same hosts stay together: one may use what another one has set.
    """
    plays: list[dict[str, Any]] = yaml.safe_load((ROOT / "playbooks/site.yml").read_text())
    RESULTS.mkdir(parents=True, exist_ok=True)
    for _hosts, together in groupby(plays, lambda play: play.get("hosts")):
        part = list(together)
        for play in part:
            if file := play.pop("ansible.builtin.import_playbook", None):
                play["ansible.builtin.import_playbook"] = str(ROOT / "playbooks" / file)
        path = RESULTS / f"part-{part[0]['name'].replace(' ', '-').lower()}.yml"
        path.write_text(yaml.safe_dump(part))
        yield path


@dataclass(frozen=True)
class FirstSetup:
    """Two labs one after the other: one killed all the time, one undisturbed, which stays."""

    machines: Machines

    def bare(self) -> None:
        """Recreate the lab."""
        for state in ("absent", "present"):
            done = ansible("ansible-playbook", "playbooks/lab.yml", "-e", f"lab_state={state}")
            if done.returncode:
                raise HarnessError(done.stdout[-3000:] + done.stderr)

    def undisturbed(self) -> Journal:
        """The journal of an undisturbed run."""
        JOURNAL.unlink(missing_ok=True)
        done = watched("site.yml", BOOKFACE_JOURNAL=str(JOURNAL))
        if done.returncode:
            raise HarnessError(done.stdout[-3000:] + done.stderr)
        return Journal.read(JOURNAL)

    def kills(self) -> Iterator[str]:
        """The tasks after whose changes runs were killed, one after the other."""
        KILLED.unlink(missing_ok=True)
        for part in parts():
            while killed_after_new(KILLED, str(part)):
                change = yaml.safe_load(KILLED.read_text().splitlines()[-1])
                say(f"{change['host']}: {change['task']}")
                yield change["task"]

    def result(self) -> Result:
        """What became of it; an error if an undisturbed run leads to something else."""
        began = time.monotonic()
        self.bare()
        kills = Counter(self.kills())
        last = Run.of(ansible("ansible-playbook", "site.yml"))
        if last.code or any(last.changed.values()):
            raise HarnessError(f"{last.changed}, expected no changes: {last.output[-3000:]}")
        repaired = self.machines.settled()
        say("complete; now the same undisturbed")
        self.bare()
        journal = self.undisturbed()
        if difference := self.machines.differ(repaired):
            raise HarnessError(difference)
        tasks: Counter[str] = Counter()
        for change in journal.changes:
            tasks[change.task] += change.tasks
        rows = [Row(task, count, tasks[task], count) for task, count in kills.items()]
        minutes = round((time.monotonic() - began) / 60)
        date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        return Result(NAME, date, minutes, len(journal.changes), journal.before, rows)
