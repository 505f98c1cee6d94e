# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exit status of a playbook that has more to say than whether a task failed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: exit_status
author: The bookface.platform authors (@bookface-platform)
type: aggregate
short_description: End ansible-playbook with the status that a playbook has set
version_added: 0.1.0
description:
  - A playbook sets C(bookface_exit_status) by M(ansible.builtin.set_stats), as C(heal.yml) of this
    collection does, and C(ansible-playbook) ends with it.
  - Without it, or where a task has failed or a machine was not reached that the playbook does not
    ignore, the status is Ansible's own. So a playbook that sets V(1) cannot hide a fault.
requirements:
  - Enable it with C(callbacks_enabled = bookface.platform.exit_status), as the last one, in the
    section C(defaults) of C(ansible.cfg).
seealso:
  - module: ansible.builtin.set_stats
"""

from typing import Any

from ansible.plugins.callback import CallbackBase

NAME = "bookface_exit_status"


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Ansible's interface of a callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "bookface.platform.exit_status"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The last event of a playbook. Ansible lets SystemExit pass, and cleans up."""
        status = stats.custom.get("_run", {}).get(NAME)
        if status is None or stats.failures or stats.dark:
            return
        if int(status):
            raise SystemExit(int(status))
