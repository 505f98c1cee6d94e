# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install Debian packages. See plugins/modules/packages.py for its documentation."""

from __future__ import annotations

import shlex
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.bookface.platform.plugins.module_utils import apt

QUERY = ["dpkg-query", "--show", "--showformat", r"${db:Status-Status} ${Package}\n"]
# Prints something if dpkg was interrupted, or is at work: a package in an intermediate state, or a
# file of its journal. The module on the host tells these apart.
UNFINISHED = (
    f"{shlex.join(QUERY)} | grep --extended-regexp '^(half-|unpacked|triggers-)';"
    " ls /var/lib/dpkg/updates | grep --extended-regexp '^[0-9]+$'"
)
REPAIR = "bookface_repair_packages"


class ActionModule(ActionBase):  # type: ignore[misc]
    """One cheap command where nothing is missing, which is every run but the first."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look, and install what is missing."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(
            {
                "name": {"type": "list", "elements": "str", "default": []},
                "upgrade": {"type": "bool", "default": False},
                "repair": {"type": "bool"},
            }
        )
        names, upgrade = arguments["name"], arguments["upgrade"]
        missing = self._missing(names) if names else []
        result |= {"changed": False, "missing": missing, "upgrades": [], "pending": False}
        if missing or upgrade or not names:
            result |= self._repair(arguments["repair"], task_vars)
        if missing and not result.get("failed"):
            repaired = result["changed"]
            result |= self._install(missing, task_vars)
            result["pending"] = self._task.check_mode and result["changed"]
            result["changed"] |= repaired
        installed = [name for name in names if name not in missing]
        if upgrade and installed and not result.get("failed"):
            before = result["changed"]
            result |= self._upgrade(installed, task_vars)
            result["changed"] |= before
        return result

    def _repair(self, repair: bool | None, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Let the module on the host look if there is something to see."""
        answer = self._low_level_execute_command(UNFINISHED)
        if not answer["stdout"].strip():
            return {}
        if repair is None:
            repair = self._templar.template((task_vars or {}).get(REPAIR, False))
        done: dict[str, Any] = self._execute_module(
            module_name="bookface.platform.packages",
            module_args={"repair": repair},
            task_vars=task_vars,
        )
        done.pop("invocation", None)
        return done

    def _missing(self, names: list[str]) -> list[str]:
        """Those of the packages that are not installed."""
        answer = self._low_level_execute_command(shlex.join([*QUERY, *names]))
        # 1: it does not know some of them, so the output decides.
        if answer["rc"] not in (0, 1):
            raise AnsibleActionFail(
                f"dpkg-query failed with status {answer['rc']}: {answer['stderr'].strip()}."
                " Expected a host with Debian's packages. Nothing was changed."
            )
        known = {line.strip() for line in answer["stdout"].splitlines()}
        return [name for name in names if f"installed {name}" not in known]

    def _install(self, names: list[str], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Package lists are a cache: without fresh ones not even a check finds the packages."""
        refreshed = self._apt({"update_cache": True}, False, task_vars)
        if refreshed.get("failed"):
            return refreshed
        wanted = {"name": names, "install_recommends": False}
        return self._apt(wanted, self._task.check_mode, task_vars)

    def _upgrade(self, names: list[str], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """Updates of installed packages. Those that are held stay."""
        held = self._low_level_execute_command(shlex.join(["apt-mark", "showhold", *names]))
        wanted = {
            "name": [name for name in names if name not in held["stdout"].split()],
            "state": "latest",
            "only_upgrade": True,
            "install_recommends": False,
        }
        refreshed = self._apt({"update_cache": True}, False, task_vars)
        if refreshed.get("failed") or not wanted["name"]:
            return {**refreshed, "changed": False}
        done = self._apt(wanted, True, task_vars)
        upgrades = apt.changes(str(done.get("stdout", "")).splitlines())
        if upgrades and not self._task.check_mode:
            done = self._apt(wanted, False, task_vars)
        return {**done, "upgrades": [one.as_data()["text"] for one in upgrades]}

    def _apt(
        self, arguments: dict[str, Any], check: bool, task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        given = self._task.check_mode
        self._task.check_mode = check
        try:
            done: dict[str, Any] = self._execute_module(
                module_name="ansible.builtin.apt", module_args=arguments, task_vars=task_vars
            )
        finally:
            self._task.check_mode = given
        return done
