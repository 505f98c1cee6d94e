# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup with which a role checks variables that its filters compute."""

from __future__ import annotations

DOCUMENTATION = r"""
name: variable_errors
author: The bookface.platform authors (@bookface-platform)
short_description: Why variables cannot be computed
version_added: 0.1.0
description:
  - Evaluates variables of the role, and returns the message of each filter or lookup that rejects
    what the user has set. An empty list means that all of them can be used.
  - A role asserts that the list is empty before it uses the variables. Otherwise Ansible would
    report the message inside its own, with the internals of the task that needs the value.
options:
  _terms:
    description:
      - Names of variables. Those that are not defined are skipped.
    type: list
    elements: str
    required: true
seealso:
  - plugin: bookface.platform.setting_errors
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Check that the rules can be made
  ansible.builtin.assert:
    that: errors | length == 0
    fail_msg: "{{ errors | join(' ') }}"
  vars:
    errors: "{{ query('bookface.platform.variable_errors', 'rules', 'addresses') }}"
"""

RETURN = r"""
_raw:
  description:
    - A message for each variable that cannot be computed, without repetitions.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):  # type: ignore[misc]
    """Ansible's interface of a lookup."""

    def run(self, terms: list[str], variables: Any = None, **_kwargs: Any) -> list[str]:
        """See above."""
        found: dict[str, None] = {}
        for name in terms:
            if name not in variables:
                continue
            try:
                evaluate(self._templar.template(variables[name]))
            except AnsibleError as error:
                found[message(error)] = None
        return list(found)


def evaluate(value: Any) -> None:
    """Ansible may compute what is in a list or a dictionary only when it is read."""
    if isinstance(value, Mapping):
        for one in value.values():
            evaluate(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            evaluate(one)


def message(error: AnsibleError) -> str:
    """What the plugin itself has said: Ansible wraps its error, more than once."""
    # Before ansible-core 2.19 it does not say that the one is the cause of the other.
    while isinstance(cause := error.__cause__ or error.__context__, AnsibleError):
        error = cause
    return str(error)
