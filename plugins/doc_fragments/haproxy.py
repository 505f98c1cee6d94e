# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  config:
    description:
      - The configuration file, or the files and directories that HAProxy is started with (C(-f)),
        in the same order. From a directory HAProxy loads the files that end in C(.cfg), in the
        order of their names.
      - A frontend is found in whichever file has it. Two frontends of the same name are an error.
      - A symbolic link is followed and stays a link.
    type: list
    elements: path
    default: [/etc/haproxy/haproxy.cfg]
"""

    SOCKET = r"""
options:
  socket:
    description:
      - HAProxy's statistics socket. Modules that change something require C(level admin).
      - The path of a socket, or an address such as C(ipv4@127.0.0.1:9999) if HAProxy offers that.
        The process behind an address cannot be examined, so no signal is sent to it.
    type: path
    default: /run/haproxy/admin.sock
"""

    MAP = r"""
options:
  map:
    description:
      - The map file whose live entry selects the backend, as written in the frontend's rule.
      - By default it is taken from the rule V(use_backend %[fe_name,map(FILE\)] if {
        fe_name,map(FILE\) -m found }) in the frontend.
    type: str
"""

    MASTER = r"""
options:
  master_socket:
    description:
      - Socket of the HAProxy master process (C(-S)), which knows all its workers. Used if it
        exists. An empty string means that it is not used.
    type: path
    default: /run/haproxy-master.sock
  lock_timeout:
    description:
      - Seconds to wait for another change of a file in the same directories.
    type: float
    default: 30
"""

    PLATFORM = r"""
options: {}
attributes:
  platform:
    support: full
    platforms: posix
    description:
      - Linux with HAProxy 2.4 or later.
"""
