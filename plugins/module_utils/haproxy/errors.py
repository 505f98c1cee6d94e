# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base of all errors of the HAProxy modules: a problem, a reason and a remedy."""

from __future__ import annotations

from typing import Any


class HaproxyError(Exception):
    """What is wrong, ``reason`` as the modules return it, and what to do about it.

    ``fields`` are further return values. ``untouched``: nothing was changed.
    """

    reason = "configuration"
    untouched = True

    def __init__(self, problem: str, remedy: str = "", reason: str = "", **fields: Any) -> None:
        super().__init__(problem)
        self.remedy = remedy
        self.reason = reason or self.reason
        self.fields = fields

    def message(self, untouched: str) -> str:
        """Problem, what was left unchanged, and remedy, as sentences."""
        parts = (str(self), untouched if self.untouched else "", self.remedy)
        return " ".join(f"{part.rstrip('.')}." for part in parts if part)
