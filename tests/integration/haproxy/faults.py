# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold a module at one of its functions, and look at everything that it may touch.

As a program it runs a module that stops itself (SIGSTOP) there, so a test can kill it, change the
world around it, or let it go on: the module's own code, on real files, at a known place. Or it
runs the module as an ordinary user, who need not be able to read this checkout.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import (
    HaproxyRuntimeError,
    HaproxySocket,
)

if TYPE_CHECKING:
    from conftest import Lab

MODULE = "haproxy_default_backend"
UNTOUCHED = "Nothing was changed, neither the file nor the running HAProxy."
NOBODY = 65534


def run_and_stop(when: str, what: str, module: str) -> None:
    """Run a module; ``what`` is a function in its namespace, or one of another: tempfile:mkstemp.

    ``when`` is before or after, the first time, or only when an argument is the word behind a =.
    """
    when, _equals, word = when.partition("=")
    program = importlib.import_module(module)
    other, _colon, path = what.rpartition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(other) if other else program
    for part in owners:
        owner = getattr(owner, part)
    function = getattr(owner, name)
    stopped = False

    def stop(arguments: list[Any]) -> None:
        nonlocal stopped
        if not stopped and (not word or word in arguments):
            stopped = True
            os.kill(os.getpid(), signal.SIGSTOP)

    def instead(*arguments: Any, **named: Any) -> Any:
        values = [*arguments, *named.values()]
        if when == "before":
            stop(values)
        result = function(*arguments, **named)
        if when == "after":
            stop(values)
        return result

    setattr(owner, name, instead)
    program.main()


@contextmanager
def held(
    lab: Lab, when: str, what: str, backend: str, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """A switch that stands still at a function; if the test does not end it, it is killed."""
    program = lab.begin(
        MODULE,
        lab.arguments(backend=backend, **options),
        prefix=[sys.executable, __file__, when, what],
    )
    try:
        lab.until(lambda: halted(program), f"the switch stops {when} {what}", 30)
        yield program
    finally:
        program.kill()
        program.communicate()


def halted(program: subprocess.Popen[str]) -> bool:
    """Whether a process has been stopped. One that has ended instead tells why."""
    state = os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT
    found = os.waitid(os.P_PID, program.pid, state)
    if found and found.si_code != os.CLD_STOPPED:
        raise AssertionError(f"ended without a stop: {program.communicate()}")
    return found is not None


def killed(lab: Lab, when: str, what: str, backend: str, **options: Any) -> None:
    """A switch that is ended by kill -9 at a function."""
    with held(lab, when, what, backend, **options):
        pass


def go_on(lab: Lab, program: subprocess.Popen[str]) -> dict[str, Any]:
    """Let a held switch go on to its end."""
    program.send_signal(signal.SIGCONT)
    return lab.end(program)


class State(NamedTuple):
    """Where the traffic goes, by everybody who has a say."""

    disk: str
    entry: tuple[str, ...] | None
    traffic: str


def on_disk(lab: Lab) -> str:
    """The backend that the file names; the test fails if any other byte has changed."""
    text = lab.config.read_text()
    for name in ("legacy", "docker"):
        if text == lab.text(default=name):
            return name
    raise AssertionError(f"neither the old nor the new file:\n{text}")


def state(lab: Lab) -> State:
    return State(on_disk(lab), lab.entry(), lab.traffic())


def tree(lab: Lab) -> set[str]:
    """All files of a laboratory, hidden ones too, but for the record of where the traffic was."""
    found = (str(path.relative_to(lab.directory)) for path in lab.directory.rglob("*"))
    return {name for name in found if not name.endswith(".previous.json")}


def older_than_a_second(lab: Lab) -> None:
    """HAProxy tells its start in whole seconds; a file changed in the same one looks as old."""
    lab.until(lambda: lab.stats.info(5).uptime >= 2, "a worker older than the edit")


def reload_ended(lab: Lab) -> None:
    """Wait until master and worker are the new ones; the master makes its socket anew, too."""
    master = HaproxySocket(str(lab.master), close=True)

    def settled() -> bool:
        try:
            return master.processes(5).worker == lab.pid()
        except HaproxyRuntimeError:
            return False

    lab.until(settled, "the end of a reload")


def as_nobody(module: str) -> None:
    """Run a module without root's rights; by another ordinary user than root, as that one."""
    program = importlib.import_module(module)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    program.main()


def unprivileged(lab: Lab, backend: str, **options: Any) -> dict[str, Any]:
    """A switch by somebody who is not root."""
    prefix = [sys.executable, __file__, "as-nobody"]
    return lab.end(lab.begin(MODULE, lab.arguments(backend=backend, **options), prefix=prefix))


if __name__ == "__main__":
    # The last words are the command that this one stands in for: python -m MODULE.
    *words, _python, _dash_m, name = sys.argv[1:]
    del sys.argv[1:]
    if words == ["as-nobody"]:
        as_nobody(name)
    else:
        run_and_stop(*words, name)


def reload_by_somebody(lab: Lab) -> None:
    """Ask for a reload until the master takes the request: while it reloads it takes none."""

    def taken() -> bool:
        try:
            lab.reload()
        except (OSError, HaproxyRuntimeError):
            return False
        return True

    lab.until(taken, "a reload by somebody else", 30)
