# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secret that PostgreSQL stores for a password."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

USUAL = 4096
LONG = 20


def scram_secret(password: str, iterations: int, salt: str) -> str:
    """See scram_secret.yml beside this file."""
    rounds = int(iterations)
    if not isinstance(password, str):
        raise AnsibleFilterError(
            f"The password of a database account is of type {type(password).__name__}; expected"
            " text: put it in quotes."
        )
    if rounds < 1:
        raise AnsibleFilterError(
            f"bookface_db_scram_iterations is {rounds}; expected a number from 1."
        )
    if not password.isascii():
        raise AnsibleFilterError(
            "The password of a database account has characters other than ASCII, which"
            " bookface_db_scram_iterations does not support: change it, or set"
            " bookface_db_scram_iterations to 0."
        )
    if rounds < USUAL and len(password) < LONG:
        raise AnsibleFilterError(
            f"bookface_db_scram_iterations is {rounds} for a password of {len(password)}"
            f" characters. Fewer than {USUAL} are safe for a random password of {LONG} characters"
            " or more only: set a longer password, or leave the iterations to PostgreSQL"
            " (bookface_db_scram_iterations: 0)."
        )
    # RFC 5802, section 3
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b64decode(salt), rounds)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = b64encode(hashlib.sha256(client).digest()).decode()
    server = b64encode(hmac.digest(salted, b"Server Key", "sha256")).decode()
    return f"SCRAM-SHA-256${rounds}:{salt}${stored}:{server}"


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"scram_secret": scram_secret}
