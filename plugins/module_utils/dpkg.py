# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether dpkg was interrupted, and its repair."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterable
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

ADMIN = Path("/var/lib/dpkg")
REMEDY = "dpkg --configure -a"
_BETWEEN = {"half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending"}
_QUERY = ["dpkg-query", "--show", "--showformat", r"${db:Status-Status} ${Package}\n"]
_CONFIGURE = ["dpkg", "--force-confdef", "--force-confold", "--configure", "--pending"]


class DpkgError(Exception):
    """Packages that are neither installed nor not."""


def unfinished(listing: Iterable[str]) -> list[str]:
    """Packages between two states, with their state, from lines of status and name."""
    pairs = [line.split() for line in listing]
    return [f"{pair[1]} ({pair[0]})" for pair in pairs if len(pair) == 2 and pair[0] in _BETWEEN]


def message(packages: list[str]) -> str:
    """What is wrong, and what to do."""
    return (
        f"dpkg was interrupted: {', '.join(packages) or 'its journal is not empty'}. Run {REMEDY}"
        " on the host, or set bookface_repair_packages: true to have that done. Then try again."
        " If it fails, apt-get --fix-broken install may help. Nothing was changed."
    )


class Dpkg:
    """The packages of this host."""

    def __init__(self, module: AnsibleModule, admin: Path = ADMIN) -> None:
        self.module = module
        self.admin = admin

    def interrupted(self, seconds: float = 0) -> tuple[bool, list[str]]:
        """Whether it was, and which packages are between two states.

        While another program installs packages they are so for good reason: waits for its end, and
        says no if it goes on.
        """
        end = time.monotonic() + seconds
        while True:
            packages, journal = self.packages(), self.journal()
            if not packages and not journal:
                return False, []
            if not self.locked():
                return True, packages
            if time.monotonic() >= end:
                return False, []
            time.sleep(0.5)

    def packages(self) -> list[str]:
        if not self.module.get_bin_path(_QUERY[0]):
            return []
        code, out, _err = self.module.run_command(_QUERY)
        return unfinished(out.splitlines()) if code == 0 else []

    def journal(self) -> bool:
        """Whether apt would refuse to work: dpkg has notes that it has not yet worked in."""
        try:
            return any(path.name.isdigit() for path in (self.admin / "updates").iterdir())
        except OSError:
            return False

    def locked(self) -> bool:
        """Whether another program installs packages just now."""
        for name in ("lock-frontend", "lock"):
            try:
                with (self.admin / name).open("r+b") as lock:
                    fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            except OSError:
                continue
        return False

    def repair(self) -> None:
        """Configure what is unpacked; configuration files of the administrator stay."""
        code, out, err = self.module.run_command(
            _CONFIGURE, environ_update={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        )
        packages = self.packages()
        if code or packages:
            said = (err + out).strip().splitlines()[-6:]
            raise DpkgError(
                f"dpkg was interrupted, and {REMEDY} does not repair that:"
                f" {', '.join(packages) or f'it ends with status {code}'}. Repair it on the host;"
                f" apt-get --fix-broken install may help. Its last lines: {' / '.join(said)}"
            )
