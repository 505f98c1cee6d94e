"""Kills ansible-playbook with all its children: what a power cut of the controller leaves.

What it has started on a machine is not its child: a module that runs there runs to its end.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.executor.task_executor import TaskExecutor
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kill_at
type: aggregate
short_description: Kill ansible-playbook before a task, or after a change
description: Loaded by being in a directory of C(ANSIBLE_CALLBACK_PLUGINS).
"""

COMMANDS = ("ansible.builtin.command", "ansible.builtin.shell")
NUMBER = multiprocessing.Value("i", 0)


def note(**event: object) -> None:
    """Append to the journal, if there is one."""
    if journal := os.environ.get("BOOKFACE_JOURNAL"):
        with Path(journal).open("a") as stream:
            stream.write(json.dumps(event) + "\n")


def asks(task: Any) -> bool:
    """Whether it changes nothing: in check mode, or a command of which the role says so.

    All other modules know that themselves.
    """
    return task.check_mode or (task.action in COMMANDS and task.changed_when == [False])


def is_new(change: dict[str, str]) -> bool:
    """Whether no run was killed after this change yet. Its file knows it from now on."""
    if not (path := os.environ.get("BOOKFACE_KILL_AFTER_NEW")):
        return False
    known = Path(path)
    line = json.dumps(change)
    if known.exists() and line in known.read_text().splitlines():
        return False
    with known.open("a") as stream:
        stream.write(line + "\n")
    return True


def changed(executor: Any, variables: dict[str, Any]) -> None:
    """Count a change before anybody hears of it; kill, if it is the one."""
    with NUMBER.get_lock():
        NUMBER.value += 1
        task = executor._task
        change = {"task": task.get_name(), "host": executor._host.name}
        note(change=NUMBER.value, **change)
        # Only its digest: it may be a secret.
        of_loop = repr(variables.get(variables.get("ansible_loop_var", "item")))
        change["item"] = hashlib.sha256(of_loop.encode()).hexdigest()[:16]
        if str(NUMBER.value) == os.environ.get("BOOKFACE_KILL_AFTER") or is_new(change):
            main = os.getppid()
            workers = Path(f"/proc/{main}/task/{main}/children").read_text().split()
            for process in (main, *sorted(map(int, workers), key=os.getpid().__eq__)):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


def item(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Let each item of a loop have a change of its own."""

    def begin(executor: Any, *given: Any, **named: Any) -> Any:
        executor.counted = False
        return execute(executor, *given, **named)

    return begin


def counted(get_handler: Callable[..., Any]) -> Callable[..., Any]:
    """Let actions count what they change. Each try of C(until) has an action of its own."""

    def get(executor: Any, *given: Any, **named: Any) -> Any:
        handler, context = get_handler(executor, *given, **named)
        run = handler.run

        def run_and_count(*of_run: Any, task_vars: Any = None, **named: Any) -> Any:
            result = run(*of_run, task_vars=task_vars, **named)
            if result.get("changed") and not executor.counted and not asks(executor._task):
                executor.counted = True
                changed(executor, task_vars or {})
            return result

        handler.run = run_and_count
        return handler, context

    return get


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types.
    """Kills before the task C(BOOKFACE_KILL_AT), or after the change number C(BOOKFACE_KILL_AFTER).

    C(BOOKFACE_KILL_AFTER_NEW) is a file of changes, empty at first: kills after the first change
    that it does not have, and adds this one. Runs one after the other are killed after each change.

    A change is what an action says itself, whatever C(changed_when) makes of it; of a loop each
    item, of several tries the first one. C(BOOKFACE_JOURNAL) is a file for all tasks and changes.
    """

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kill_at"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.at = os.environ.get("BOOKFACE_KILL_AT", "")
        TaskExecutor._execute = item(TaskExecutor._execute)
        TaskExecutor._get_action_handler_with_module_context = counted(
            TaskExecutor._get_action_handler_with_module_context
        )

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        note(task=task.get_name())
        if self.at and self.at == task.name:
            # No worker runs between two tasks.
            os.kill(os.getpid(), signal.SIGKILL)
