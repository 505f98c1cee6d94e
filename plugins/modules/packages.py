#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name, which does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
author:
  - The bookface.platform authors (@bookface-platform)
short_description: Install Debian packages
version_added: 0.1.0
description:
  - Installs packages without their recommendations. If any of them is missing, the package lists
    are refreshed first.
  - Where all are installed, it runs a single C(dpkg-query) on the host.
  - Uses M(ansible.builtin.apt) for the rest.
options:
  name:
    description: Names of the packages.
    type: list
    elements: str
    required: true
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
missing:
  description: Packages that were not installed before.
  type: list
  elements: str
  returned: always
pending:
  description:
    - Whether packages are still missing because this is a check. Tasks that depend on them cannot
      be checked yet.
  type: bool
  returned: always
"""
