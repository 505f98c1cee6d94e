# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  config:
    description:
      - The HAProxy configuration file that has the frontend.
      - A symbolic link is followed and stays a link.
    type: path
    default: /etc/haproxy/haproxy.cfg
  socket:
    description:
      - HAProxy's statistics socket.
    type: path
    default: /run/haproxy/admin.sock
  map:
    description:
      - The map file whose live entry decides, as it is written in the frontend's rule.
      - By default it is taken from the rule C(use_backend %[fe_name,map(FILE\)] if {
        fe_name,map(FILE\) -m found }) in the frontend.
    type: str
"""
