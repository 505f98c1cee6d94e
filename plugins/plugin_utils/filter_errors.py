# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a filter says about input of the wrong shape."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from ansible.errors import AnsibleFilterError

Filter = TypeVar("Filter", bound=Callable[..., Any])


def says_which(name: str) -> Callable[[Filter], Filter]:
    """Let a filter name itself in the error that input of the wrong shape leads to.

    Without it a template fails with C(KeyError: 'id'), and nobody knows which filter missed it.
    """

    def decorate(filtered: Filter) -> Filter:
        @wraps(filtered)
        def named(*args: Any, **kwargs: Any) -> Any:
            try:
                return filtered(*args, **kwargs)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                raise AnsibleFilterError(f"{name}: {error!r}") from error

        return named  # type: ignore[return-value]

    return decorate
