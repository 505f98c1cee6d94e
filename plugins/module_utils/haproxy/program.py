# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HAProxy program, which validates a candidate before it becomes the configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.surroundings import (
    PROPERTIES,
    Surroundings,
    missing,
    of_process,
    of_unit,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import printable

SYSTEMD = Path("/run/systemd/system")
# Without which the program could not be started or read.
_KEPT = {"PATH", "LANG", "LC_ALL", "LC_MESSAGES", "LC_CTYPE", "LANGUAGE"}


class ProgramError(HaproxyError):
    """There is no program that could validate."""

    reason = "no_program"


class CandidateError(HaproxyError):
    """HAProxy refused the candidate."""

    reason = "invalid"


def find_haproxy(module: AnsibleModule, running: str | None = None) -> str:
    """The program of the parameter C(haproxy), else the one that runs, or is installed."""
    given = module.params["haproxy"]
    if given:
        if not os.access(given, os.X_OK):
            raise ProgramError(
                f"{given} is not an executable program", "Correct the parameter haproxy"
            )
        return str(given)
    found = running or module.get_bin_path(
        "haproxy", opt_dirs=["/usr/sbin", "/usr/local/sbin", "/sbin"]
    )
    if not found:
        raise ProgramError(
            "haproxy was not found in PATH or /usr/sbin, so the configuration cannot be validated",
            "Install HAProxy or set the parameter haproxy",
        )
    return str(found)


def find_surroundings(module: AnsibleModule, files: Sequence[str]) -> Surroundings:
    """What the HAProxy that loads these files runs with, or would run with."""
    found = of_process(files)
    if found and found.contained:
        if module.params["haproxy"]:
            # A wrapper that runs the program in its container, with what it has there.
            return Surroundings()
        found = None
    if found is None and SYSTEMD.is_dir():
        service = module.params["service"]
        command = ["systemctl", "show", service, *(f"--property={name}" for name in PROPERTIES)]
        _code, shown, _err = module.run_command(command)
        found = of_unit(service, shown, _read)
    return found or Surroundings()


def _read(path: str) -> str | None:
    with suppress(OSError):
        return Path(path).read_text(encoding="utf-8", errors="replace")
    return None


def validate(
    module: AnsibleModule,
    files: Sequence[str],
    candidate: str,
    path: str,
    what: str,
    loaded: Sequence[str] = (),
) -> str:
    """What C(haproxy -c) printed about these files, the candidate named as the file it replaces.

    It runs as the service does that loads C(loaded).
    """
    around = find_surroundings(module, loaded or [path])
    # Only in master-worker mode does HAProxy accept a program section.
    command = [find_haproxy(module, around.program), "-W", "-c", *around.options]
    for file in files:
        command += ["-f", file]
    environment = around.environment
    if environment is not None:
        environment = {key: value for key, value in environment.items() if key not in _KEPT}
        # By names alone: values may be secrets, and command lines can be read by everybody.
        unset = sorted(os.environ.keys() - environment.keys() - _KEPT)
        if unset:
            command = ["env", *(word for name in unset for word in ("-u", name)), *command]
    code, out, err = module.run_command(
        command, cwd=around.directory, environ_update=environment, errors="replace"
    )
    printed = printable((out + err).strip().replace(candidate, path))
    if code != 0:
        raise CandidateError(
            f"haproxy -c refuses {path} with {what} (status {code}): {printed}",
            _remedy(files, around),
            validator=printed,
        )
    return printed


def _remedy(files: Sequence[str], around: Surroundings) -> str:
    names = missing((_read(file) or "" for file in files), around)
    if not names:
        return "If it also refuses the file without this change, fix that first"
    used = f"It uses {', '.join(f'${{{name}}}' for name in names)}"
    if not around.source:
        return (
            f"{used}, and no HAProxy runs with this file and no unit tells its environment. Start "
            "HAProxy first, or set the variables with the keyword environment of the task"
        )
    return f"{used}, which the environment of {around.source} lacks. Set it and restart HAProxy"
