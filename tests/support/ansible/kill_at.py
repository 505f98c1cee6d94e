"""Kills ansible-playbook with all its children before a task: what a power cut leaves."""

from __future__ import annotations

import os
import signal
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kill_at
type: aggregate
short_description: Kill ansible-playbook before a task
description: Loaded by being in a directory of C(ANSIBLE_CALLBACK_PLUGINS).
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types.
    """Counts the tasks; kills at the one with that number, or with that name."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kill_at"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.at = os.environ.get("BOOKFACE_KILL_AT", "")
        self.tasks = 0

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self.tasks += 1
        if self.at in (str(self.tasks), task.name):
            # No worker runs between two tasks.
            os.kill(os.getpid(), signal.SIGKILL)
