#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, and the part of it that runs on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
author:
  - The bookface.platform authors (@bookface-platform)
short_description: Install and update Debian packages
version_added: 0.1.0
description:
  - Installs packages without their recommendations. If any of them is missing, the package lists
    are refreshed first.
  - Where all are installed, it runs a single C(dpkg-query) on the host.
  - Where C(dpkg) was interrupted and has left packages half-configured, it fails before it installs
    anything, and names them.
  - Uses M(ansible.builtin.apt) for the rest.
options:
  name:
    description: Names of the packages. If empty, it only looks for an interrupted C(dpkg).
    type: list
    elements: str
    default: []
  upgrade:
    description:
      - Whether to install updates of those that are installed, after refreshing the package lists.
        Packages on hold stay as they are.
    type: bool
    default: false
  repair:
    description:
      - Whether C(dpkg --configure) repairs what an interrupted C(dpkg) has left. Configuration
        files that were changed on the host are kept. This may restart services of these packages.
      - The default is the variable C(bookface_repair_packages), one setting for all roles.
    type: bool
attributes:
  action:
    description:
      - The module is an action plugin, which runs partly on the controller.
    support: full
  check_mode:
    support: full
    description:
      - The package lists are a cache and are refreshed in check mode as well.
  diff_mode:
    support: full
    description:
      - Shows what apt shows.
  platform:
    support: full
    platforms: debian
    description:
      - Debian and its derivatives.
"""

EXAMPLES = r"""
- name: Install memcached
  bookface.platform.packages:
    name: [memcached]
  register: memcached_packages

- name: Start memcached
  ansible.builtin.systemd_service:
    name: memcached
    state: started
  # In check mode on a new host there is no such service yet.
  when: not memcached_packages.pending
"""

RETURN = r"""
repaired:
  description: Packages that an interrupted C(dpkg) had left between two states.
  type: list
  elements: str
  returned: if there was something to repair
missing:
  description: Packages that were not installed before.
  type: list
  elements: str
  returned: always
upgrades:
  description: Updates of installed packages, in check mode those that there are.
  type: list
  elements: str
  returned: always
  sample: ["haproxy 2.6.12-1+deb12u3 -> 2.6.12-1+deb12u4"]
pending:
  description:
    - Whether packages are still missing because this is a check. Tasks that depend on them cannot
      be checked yet.
  type: bool
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.dpkg import (
    Dpkg,
    DpkgError,
    message,
)

# apt waits as long for its lock.
SECONDS = 60


def main() -> None:
    """Look whether dpkg was interrupted, and repair that if wanted."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "list", "elements": "str", "default": []},
            "upgrade": {"type": "bool", "default": False},
            "repair": {"type": "bool"},
        },
        supports_check_mode=True,
    )
    dpkg = Dpkg(module)
    interrupted, packages = dpkg.interrupted(SECONDS)
    if not interrupted:
        module.exit_json(changed=False)
    if not module.params["repair"]:
        module.fail_json(msg=message(packages))
    if not module.check_mode:
        try:
            dpkg.repair()
        except DpkgError as error:
            module.fail_json(msg=str(error))
    module.exit_json(changed=True, repaired=packages)


if __name__ == "__main__":
    main()
