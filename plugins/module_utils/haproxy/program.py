# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HAProxy program, which validates a candidate before it becomes the configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import printable


class ProgramError(HaproxyError):
    """There is no program that could validate."""

    reason = "no_program"


class CandidateError(HaproxyError):
    """HAProxy refused the candidate."""

    reason = "invalid"


def find_haproxy(module: AnsibleModule) -> str:
    """The program of the parameter C(haproxy), else the one that is installed."""
    given = module.params["haproxy"]
    if given:
        if not os.access(given, os.X_OK):
            raise ProgramError(
                f"{given} is not an executable program", "Correct the parameter haproxy"
            )
        return str(given)
    found = module.get_bin_path("haproxy", opt_dirs=["/usr/sbin", "/usr/local/sbin", "/sbin"])
    if not found:
        raise ProgramError(
            "haproxy was not found in PATH or /usr/sbin, so the configuration cannot be validated",
            "Install HAProxy or set the parameter haproxy",
        )
    return str(found)


def validate(
    module: AnsibleModule, files: Sequence[str], candidate: str, path: str, what: str
) -> str:
    """What C(haproxy -c) printed about these files, the candidate named as the file it replaces."""
    # Only in master-worker mode does HAProxy accept a program section.
    command = [find_haproxy(module), "-W", "-c"]
    for file in files:
        command += ["-f", file]
    code, out, err = module.run_command(command, cwd="/", errors="replace")
    printed = printable((out + err).strip().replace(candidate, path))
    if code != 0:
        raise CandidateError(
            f"haproxy -c refuses {path} with {what} (status {code}): {printed}",
            "If it also refuses the file without this change, fix that first",
            validator=printed,
        )
    return printed
