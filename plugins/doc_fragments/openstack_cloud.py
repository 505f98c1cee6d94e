# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  cloud:
    description:
      - Name of the cloud in C(clouds.yaml), or V(envvars).
    type: str
    required: true
  region:
    description:
      - Region of the cloud. Empty uses that of C(clouds.yaml).
    type: str
    default: ""
requirements:
  - openstacksdk >= 4.10, < 4.15
attributes:
  platform:
    support: full
    platforms: posix
    description:
      - Runs on the controller.
"""
