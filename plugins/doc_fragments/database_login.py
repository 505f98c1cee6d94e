# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Address of the database. Empty for the local socket.
    type: str
    default: ""
  login_port:
    description:
      - Port of the database.
    type: int
    default: 5432
  login_user:
    description:
      - Owner of the tables.
    type: str
    required: true
  login_password:
    description:
      - Password of O(login_user).
    type: str
    default: ""
  login_db:
    description:
      - Name of the database.
    type: str
    required: true
  ssl_mode:
    description:
      - Encryption of the connection, as libpq's C(sslmode).
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
    default: prefer
attributes:
  platform:
    support: full
    platforms: posix
    description:
      - Any host with psycopg2 that reaches the database.
requirements:
  - psycopg2
"""
