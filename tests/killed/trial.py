"""Kill runs of one role where they have changed something, run again, and compare."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from tests.killed.journal import Journal
from tests.killed.machines import Machines
from tests.killed.subjects import Subject
from tests.killed.table import Result, Row, say
from tests.support.commands import ansible, killed_after, watched
from tests.support.errors import HarnessError


@dataclass(frozen=True)
class Trial:
    """Runs of a playbook on the machines of a subject."""

    subject: Subject
    playbook: Path
    machines: Machines

    def arguments(self, side: int) -> tuple[str, ...]:
        """What ansible-playbook is run with to reach one of the settings."""
        return (str(self.playbook), "-e", json.dumps(self.subject.settings[side]))

    def make_room(self) -> None:
        """Undo what a run would find done."""
        for machine, command in self.subject.first.items():
            self.machines.said(machine, command)

    def run(self, side: int) -> None:
        """Run it to its end."""
        done = ansible("ansible-playbook", *self.arguments(side))
        if done.returncode:
            raise HarnessError(done.stdout[-3000:] + done.stderr)

    def watch(self, side: int) -> tuple[Journal, str]:
        """The same, undisturbed: its journal, and what it leaves."""
        self.make_room()
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "journal"
            done = watched(*self.arguments(side), BOOKFACE_JOURNAL=str(path))
            if done.returncode:
                raise HarnessError(done.stdout[-3000:] + done.stderr)
            return Journal.read(path), self.machines.settled()

    def fault(self, side: int, wanted: str) -> str:
        """What a run that follows a killed one does not repair; empty if it does."""
        try:
            self.run(side)
        except HarnessError as error:
            return str(error)
        return self.machines.differ(wanted)

    def undisturbed(self) -> list[tuple[Journal, str]]:
        """Journals, and what is left, of runs to each of the settings."""
        self.make_room()
        self.run(0)
        there = self.watch(1)
        back = self.watch(0)
        if there[1] == back[1]:
            raise HarnessError(f"{self.subject.name}: the settings make no difference")
        return [back, there]

    def results(self) -> Iterator[Result]:
        """To and fro: killed after the first change there, after the second one back. So far."""
        began = time.monotonic()
        undisturbed = self.undisturbed()
        count = max(len(journal.changes) for journal, _ in undisturbed)
        before = undisturbed[1][0].before
        rows: dict[str, Row] = {}
        for number in range(1, count + 1):
            side = number % 2
            if number > len(undisturbed[side][0].changes):
                side = 1 - side
            journal, wanted = undisturbed[side]
            self.make_room()
            if not killed_after(number, *self.arguments(side)):
                # One that depends on the moment; the page shows one kill less than changes.
                say(f"{number}/{count} not reached: the run ended with fewer changes")
                continue
            change = journal.changes[number - 1]
            fault = self.fault(side, wanted)
            say(f"{number}/{count} {change.task}: {fault or 'repaired'}")
            rows[change.task] = rows.get(change.task, Row(change.task)).plus(
                change.tasks, not fault
            )
            minutes = round((time.monotonic() - began) / 60)
            date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
            yield Result(self.subject.name, date, minutes, count, before, list(rows.values()))
            if fault:
                self.go_on(side, wanted)

    def go_on(self, side: int, wanted: str) -> None:
        """After a fault: from where an undisturbed run leads."""
        self.run(1 - side)
        self.make_room()
        self.run(side)
        if self.machines.settled() != wanted:
            raise HarnessError(f"{self.subject.name}: cannot go on from what is left")
