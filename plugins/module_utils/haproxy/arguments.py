# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments that HAProxy's modules share; documented in the doc fragment haproxy."""

from __future__ import annotations

from typing import Any

Spec = dict[str, dict[str, Any]]

SOCKET_ARGUMENTS: Spec = {"socket": {"type": "path", "default": "/run/haproxy/admin.sock"}}
HAPROXY_ARGUMENTS: Spec = {
    "config": {"type": "list", "elements": "path", "default": ["/etc/haproxy/haproxy.cfg"]},
    **SOCKET_ARGUMENTS,
}
MAP_ARGUMENTS: Spec = {"map": {"type": "str"}}
MASTER_ARGUMENTS: Spec = {
    "master_socket": {"type": "path", "default": "/run/haproxy-master.sock"},
    "lock_timeout": {"type": "float", "default": 30.0},
}
