# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that makes the content of daemon.json from the defaults and the user's keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.module_utils.docker import (
    daemon as docker_daemon,
)


def docker_daemon_config(
    defaults: Mapping[str, Any], config: Mapping[str, Any], swarm: bool = False
) -> dict[str, Any]:
    """See docker_daemon_config.yml beside this file."""
    try:
        return docker_daemon.wanted(defaults, config, swarm)
    except docker_daemon.DaemonConfigError as error:
        raise AnsibleFilterError(f"docker_ce_daemon: {error}.") from None


class FilterModule:
    """The filter by its name in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"docker_daemon_config": docker_daemon_config}
