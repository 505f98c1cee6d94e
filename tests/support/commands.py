"""What tests share: Ansible as a user runs it and as it is killed, what it prints, a page."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from typing import Self

    from testinfra.host import Host


@dataclass(frozen=True)
class Run:
    """How a command of Ansible's ended. Messages need results in JSON, see C(failures)."""

    code: int
    stdout: str
    stderr: str = ""

    @classmethod
    def of(cls, done: subprocess.CompletedProcess[str]) -> Self:
        """What a program that has ended left."""
        return cls(done.returncode, done.stdout, done.stderr)

    @property
    def output(self) -> str:
        """All that it printed."""
        return self.stdout + self.stderr

    @property
    def text(self) -> str:
        """The output without line breaks."""
        return " ".join(self.output.split())

    def ok(self) -> Self:
        """Itself, if nothing failed."""
        assert self.code == 0, self.output[-6000:]
        return self

    def count(self, what: str, host: str) -> int:
        """What the recap counts for a host: ok, changed, failed, ..."""
        return recap(self.output)[host][what]

    @property
    def changed(self) -> dict[str, int]:
        """Host → changed tasks, from the recap. The controller counts if it has changed any."""
        return {
            host: counts["changed"]
            for host, counts in recap(self.output).items()
            if host != "localhost" or counts["changed"]
        }

    @property
    def changes(self) -> set[str]:
        """Names of the tasks that changed something."""
        names, task = set(), ""
        for line in self.output.splitlines():
            if found := re.match(r"TASK \[(?:\S+ : )?(.*)\] \*", line):
                task = found[1]
            elif line.startswith("changed: "):
                names.add(task)
        return names

    @property
    def messages(self) -> list[str]:
        """Messages of all failures, in the order of the output."""
        return [message for _host, message in failures(self.output)]

    def message(self, host: str) -> str:
        """Why a host failed in the end, without line breaks."""
        return " ".join(dict(failures(self.output)).get(host, "").split())


# Without the colours that molecule asks for: tests read what is printed.
PLAIN = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_FORCE_COLOR": "0"}


def _on(
    source: str, program: str, arguments: Iterable[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "-i", source, *arguments],
        cwd=ROOT,
        env={**os.environ, **PLAIN, **environment},
        check=False,
        capture_output=True,
        text=True,
    )


def ansible(
    program: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible's in the project's root, on the machines under test."""
    return _on(os.environ["BOOKFACE_INVENTORY"], program, arguments, environment or {})


def playbook_on(hosts: Path, *arguments: str, **environment: str) -> Run:
    """Run ansible-playbook in the project's root, on an inventory of the test's own."""
    program = str(Path(sys.executable).parent / "ansible-playbook")
    return Run.of(_on(str(hosts), program, arguments, environment))


def watched(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook with the plugin kill_at and settings of it."""
    plugins = [os.environ.get("ANSIBLE_CALLBACK_PLUGINS", ""), str(ROOT / "tests/support/ansible")]
    environment = {"ANSIBLE_CALLBACK_PLUGINS": ":".join(filter(None, plugins)), **settings}
    return ansible("ansible-playbook", *arguments, environment=environment)


def killed_at(task: str, *arguments: str) -> None:
    """Run ansible-playbook, killed with SIGKILL before the task of this name begins."""
    done = watched(*arguments, BOOKFACE_KILL_AT=task)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def _killed(*arguments: str, **settings: str) -> bool:
    done = watched(*arguments, **settings)
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode != 0


def killed_after(change: int, *arguments: str) -> bool:
    """The same, killed after the change of this number. False: it ended before, and well."""
    return _killed(*arguments, BOOKFACE_KILL_AFTER=str(change))


def killed_after_new(known: Path, *arguments: str) -> bool:
    """The same, killed after the first change that this file does not have; it has it then."""
    return _killed(*arguments, BOOKFACE_KILL_AFTER_NEW=str(known))


def inventory(source: str) -> dict[str, Any]:
    """An inventory as `ansible-inventory --list` shows it: groups, and variables of hosts."""
    shown = subprocess.run(
        ["ansible-inventory", "-i", source, "--list"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


def kill_tree(process: subprocess.Popen[Any]) -> None:
    """Kill a program and all that it has started, as a power cut would.

    Each worker of Ansible's has a session of its own: a signal to the program's group would leave
    the worker and its module at work. What has a new parent already cannot be found.
    """
    if process.poll() is not None:
        return
    before: dict[int, str] = {}
    # Stopped first: nobody starts another one, or is given to a new parent, while they are counted.
    # A second look that is like the first, with nobody on the move, has found all.
    while (seen := _family(process.pid)) != before or set(seen.values()) & {"R", "S"}:
        _signal(seen, signal.SIGSTOP)
        before = seen
        time.sleep(0.01)
    _signal(seen, signal.SIGKILL)
    process.wait(30)
    deadline = time.monotonic() + 30
    while left := seen.keys() & _alive():
        assert time.monotonic() < deadline, f"still there after SIGKILL: {left}"
        time.sleep(0.01)


def _processes() -> dict[int, tuple[str, int]]:
    """State and parent of each process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # Who ends meanwhile has none.
        with contextlib.suppress(OSError):
            # The name before it may have anything in it.
            state, parent = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            found[int(stat.parent.name)] = (state, int(parent))
    return found


def _family(first: int) -> dict[int, str]:
    """State of a process and of all that descend from it."""
    processes = _processes()
    family = {first}
    while more := {pid for pid, (_, parent) in processes.items() if parent in family} - family:
        family |= more
    return {pid: processes[pid][0] for pid in family if pid in processes}


def _alive() -> set[int]:
    """All processes but those that wait to be reaped."""
    return {pid for pid, (state, _) in _processes().items() if state not in "ZX"}


def _signal(processes: dict[int, str], number: signal.Signals) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def recap(output: str) -> dict[str, dict[str, int]]:
    """Host → what the last lines of ansible-playbook count: ok, changed, failed, ..."""
    found = re.findall(r"^(\S+) +: (ok=\d+ .*)$", output.rpartition("PLAY RECAP")[2], re.MULTILINE)
    return {
        host: {what: int(count) for what, count in re.findall(r"(\w+)=(\d+)", counts)}
        for host, counts in found
    }


def failures(output: str) -> list[tuple[str, str]]:
    """Host and message of every task that failed, of a playbook or of one module on its own.

    Of a loop each item that failed. Wants results in JSON (ANSIBLE_CALLBACK_RESULT_FORMAT).
    """
    task = r"fatal: \[([^]\s]+)[^]]*\]: FAILED!"
    item = r"failed: \[([^]\s]+)[^]]*\] \(item=.*?\)"
    module = r"(\S+) \| FAILED!"
    decoder = json.JSONDecoder()
    return [
        (
            found[1] or found[2] or found[3],
            str(decoder.raw_decode(output, found.end())[0].get("msg", "")),
        )
        for found in re.finditer(rf"^(?:{task}|{item}|{module}) => (?=\{{)", output, re.MULTILINE)
    ]


def ask(host: Host, url: str, *options: str) -> tuple[int, str]:
    """Status (0 where nobody answers) and body of a page, asked by curl on a machine."""
    done = host.run(f"curl -s -m 10 -w '\\n%{{http_code}}' {' '.join(options)} '{url}'")
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body
