#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_ce_info
short_description: What the role docker_ce asks of a machine, in one look
version_added: 0.1.0
description:
  - System, packages, configuration and engine, read in one go. A machine on which nothing is to be
    done is asked once instead of at each step.
  - Changes nothing.
options:
  packages:
    description:
      - Debian packages to look for.
    type: list
    elements: str
    default: []
  path:
    description:
      - The engine's configuration.
    type: path
    default: /etc/docker/daemon.json
extends_documentation_fragment:
  - bookface.platform.reads_only
attributes:
  platform:
    support: full
    platforms: debian
    description:
      - Others are told apart by an empty RV(distribution).
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Look at the machine
  bookface.platform.docker_ce_info:
    packages: [docker-ce, docker.io]
  register: machine
"""

RETURN = r"""
system:
  description: The system's own name.
  returned: always
  type: str
  sample: Debian GNU/Linux 12 (bookworm)
distribution:
  description: V(debian) or V(ubuntu), derivatives included. Empty for others.
  returned: always
  type: str
suite:
  description: Codename of the release; of a derivative, the one that it is made from. Maybe empty.
  returned: always
  type: str
  sample: bookworm
systemd:
  description: Whether systemd runs the machine.
  returned: always
  type: bool
packages:
  description: A line for each known package, name, want, status and version.
  returned: always
  type: list
  elements: str
  sample: [docker-ce install installed 5:28.5.1-1~debian.12~bookworm]
members:
  description: Accounts in the group C(docker).
  returned: always
  type: list
  elements: str
config:
  description: >-
    The content of C(daemon.json), empty where there is no file, null where it cannot be read.
  returned: always
  type: dict
running:
  description: Whether the engine runs.
  returned: always
  type: bool
enabled:
  description: Whether systemd starts it at every boot.
  returned: always
  type: bool
pending:
  description: Whether the running engine still has to be brought to its file.
  returned: always
  type: bool
"""

import grp
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.docker import (
    repository as docker_repository,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.engine import (
    PENDING,
    Engine,
    parse,
)
from ansible_collections.bookface.platform.plugins.module_utils.text_file import read

FORMAT = "${Package} ${db:Status-Want} ${db:Status-Status} ${Version}\\n"


def packages(module: AnsibleModule) -> list[str]:
    """What dpkg knows of them. It fails where some are not there, which is what we want to know."""
    names = module.params["packages"]
    if not names or not module.get_bin_path("dpkg-query"):
        return []
    command = ["dpkg-query", "--show", "--showformat", FORMAT, *names]
    return str(module.run_command(command)[1]).splitlines()


def members() -> list[str]:
    """Accounts in the engine's group."""
    try:
        return list(grp.getgrnam("docker").gr_mem)
    except KeyError:
        return []


def run(module: AnsibleModule) -> dict[str, Any]:
    """All of it."""
    release = docker_repository.os_release(read(Path("/etc/os-release")))
    distribution, suite = docker_repository.machine(release)
    engine = Engine(module)
    return {
        "system": release.get("PRETTY_NAME", "an unknown system"),
        "distribution": distribution,
        "suite": suite,
        "systemd": engine.systemd,
        "packages": packages(module),
        "members": members(),
        "config": parse(read(Path(module.params["path"]))),
        "pending": PENDING.exists(),
        **engine.state(),
    }


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "default": []},
            "path": {"type": "path", "default": "/etc/docker/daemon.json"},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **run(module))


if __name__ == "__main__":
    main()
