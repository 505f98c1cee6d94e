# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all failures of HAProxy's modules have in common: a problem, a reason and a remedy."""

from __future__ import annotations


class HaproxyError(Exception):
    """What is wrong, ``reason`` as the modules return it, and what to do about it."""

    reason = "configuration"

    def __init__(self, problem: str, remedy: str = "", reason: str = "") -> None:
        super().__init__(problem)
        self.remedy = remedy
        self.reason = reason or self.reason

    def told(self, untouched: str = "") -> str:
        """The whole message, with what was left as it was between problem and remedy."""
        sentences = (str(self), untouched, self.remedy)
        return " ".join(f"{part.rstrip('.')}." for part in sentences if part)
