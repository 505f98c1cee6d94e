# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for the variables of a role, and what breaks them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean


def errors(rules: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each rule that is broken, in the order of the rules."""
    return [sentence for rule in rules for sentence in _broken(rule)]


def _broken(rule: Mapping[str, Any]) -> list[str]:
    """Sentences about one rule: either C(error) with C(when), or a C(pattern) for a C(value).

    The value of a C(secret) is not shown, and no number.
    """
    if "error" in rule:
        return [" ".join(str(rule["error"]).split())] if boolean(rule["when"], strict=False) else []
    name, value = rule["name"], rule["value"]
    if rule.get("secret"):
        # YAML reads 0123 as 83: what was meant cannot be told any more.
        number = isinstance(value, (bool, int, float))
        if not number and _matches(value, rule["pattern"]):
            return []
        what = "is not text" if number else "has a line break or another control character"
        return [f"{name} {what}; expected {rule['expected']}."]
    several = isinstance(value, (list, tuple))
    wrong = [one for one in (value if several else [value]) if not _matches(one, rule["pattern"])]
    return [
        f"{name} {'has' if several else 'is'} {_shown(one)}; expected {rule['expected']}."
        for one in wrong
    ]


def _matches(value: object, pattern: str) -> bool:
    """Whether all of a value is as the pattern says."""
    return not isinstance(value, (dict, list)) and re.fullmatch(pattern, str(value)) is not None


def _shown(value: object) -> str:
    """An empty text can be seen, too."""
    return "empty" if value in ("", None) else str(value)
