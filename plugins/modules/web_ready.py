#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: web_ready
short_description: Wait until web servers of bookface are ready to serve
version_added: 0.1.0
description:
  - Requests C(/platform/ready) of all servers at the same time. A server that reaches its
    database answers 200.
  - Changes nothing.
options:
  servers:
    description:
      - The web servers, by name. Each as this host reaches it, by scheme, address and port.
    type: dict
    required: true
  timeout:
    description:
      - How long to wait for servers that are not ready, in seconds. V(0) requests the page once.
      - The last request may take half a minute longer.
    type: int
    default: 0
  path:
    description:
      - The readiness page. If empty, none is requested, and every server counts as ready.
    type: str
    default: /platform/ready
  pages:
    description:
      - Pages that each server must serve as well once it is ready, in this order.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - Path of the page. Exactly one of this and O(pages[].link) is required.
        type: str
      link:
        description:
          - Instead of a path, the first link with this text on the last page that has a path, such
            as V(showuser.php?user=). If it has none, this page is not requested.
        type: str
      status:
        description:
          - The expected status. By default V(200) for a path, and anything below 500 for a link,
            since somebody may have no picture.
        type: int
      content:
        description:
          - Text that the page must contain.
        type: str
        default: ""
  network_namespace:
    description:
      - File of the network namespace from which the requests are made, such as
        V(/proc/4711/ns/net), where V(4711) is the process of a container. A container that
        publishes no port can be reached that way, at V(127.0.0.1). Requires root.
    type: path
  network_of:
    description:
      - Instead of that, a socket of Unix. The requests are made from the network of the process
        that listens on it, such as an HAProxy in a container. Requires root.
    type: path
  required:
    description:
      - Whether to fail if a server is not ready in time.
    type: bool
    default: true
extends_documentation_fragment:
  - bookface.platform.reads_only
attributes:
  platform:
    support: full
    platforms: posix
    description:
      - Any host that reaches the servers.
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Wait until a container is ready
  bookface.platform.web_ready:
    servers:
      bookface-web-1: http://192.0.2.31:32001
    timeout: 60
    pages:
      - {path: /, content: "Users:"}
      - {link: "showuser.php?user="}
"""

RETURN = r"""
answers:
  description: The last answer of each server, in the order of O(servers).
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the server.
      type: str
    url:
      description: Where it was requested.
      type: str
    status:
      description: HTTP status, V(0) without an answer.
      type: int
    text:
      description: Body of the answer, or why there is none.
      type: str
    fault:
      description: What is wrong with its pages. Empty if nothing is, or if the server is not ready.
      type: str
    ready:
      description: Whether the status is 200, and all pages are as expected.
      type: bool
reason:
  description:
    - V(not_ready) if a server is not ready in time, V(pages) if all are ready and one of them does
      not serve its pages.
  returned: on failure
  type: str
"""

import ctypes
import os
from dataclasses import asdict
from pathlib import Path
from urllib.error import HTTPError

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.process import opener
from ansible_collections.bookface.platform.plugins.module_utils.web.pages import Page
from ansible_collections.bookface.platform.plugins.module_utils.web.ready import (
    HEADER,
    PATH,
    wait,
)

# Seconds. The readiness page itself waits for its database for 5; a front page may take long.
READY_TIMEOUT = 6
PAGE_TIMEOUT = 30
# Bytes: a front page with a thousand users has a tenth of it.
MOST = 5_000_000
# The kind of namespace, in Linux's sched.h.
CLONE_NEWNET = 0x40000000


def ask(url: str) -> tuple[int, str]:
    """Status and text of a page; status 0 if there is no answer, whatever the cause."""
    try:
        answer = open_url(
            url,
            headers={HEADER: "ansible"},
            timeout=READY_TIMEOUT if url.endswith(PATH) else PAGE_TIMEOUT,
            use_proxy=False,
            follow_redirects="none",
        )
        return int(answer.status), answer.read(MOST).decode(errors="replace")
    except HTTPError as error:
        return int(error.code), (error.read(MOST) or b"").decode(errors="replace")
    # Errors of http.client and ssl have no common class; each means that there is no answer.
    except Exception as error:
        return 0, str(getattr(error, "reason", error)) or type(error).__name__


def enter(namespace: str) -> None:
    """Go into a network namespace, with all threads to come. Python itself can since 3.12."""
    with Path(namespace).open("rb") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), namespace)


def network_of(path: str) -> str:
    """The network namespace of the process that listens on a socket."""
    return f"/proc/{opener(path)}/ns/net"


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "servers": {"type": "dict", "required": True},
            "timeout": {"type": "int", "default": 0},
            "required": {"type": "bool", "default": True},
            "path": {"type": "str", "default": PATH},
            "network_namespace": {"type": "path"},
            "network_of": {"type": "path"},
            "pages": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str"},
                    "link": {"type": "str"},
                    "status": {"type": "int"},
                    "content": {"type": "str", "default": ""},
                },
                "mutually_exclusive": [["path", "link"]],
                "required_one_of": [["path", "link"]],
            },
        },
        supports_check_mode=True,
        mutually_exclusive=[["network_namespace", "network_of"]],
    )
    given = module.params
    servers = {name: str(url).rstrip("/") for name, url in given["servers"].items()}
    pages = [
        Page(page["path"] or "", page["link"] or "", page["status"], page["content"])
        for page in given["pages"]
    ]
    other = "network_of" if given["network_of"] else "network_namespace"
    if given[other]:
        try:
            enter(network_of(given[other]) if other == "network_of" else given[other])
        except OSError as error:
            msg = f"{other} cannot be entered ({error}). Has its process ended?"
            module.fail_json(msg=msg, answers=[])
    answers = wait(servers, given["timeout"], ask, pages=pages, path=given["path"])
    result = {"changed": False, "answers": [asdict(answer) for answer in answers]}
    unready = [answer for answer in answers if not answer.ready]
    if unready and given["required"]:
        pages_only = all(answer.fault for answer in unready)
        what = "Not as expected" if pages_only else f"Not ready within {given['timeout']} s"
        module.fail_json(
            msg=f"{what}: {'; '.join(map(str, unready))}.",
            reason="pages" if pages_only else "not_ready",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
