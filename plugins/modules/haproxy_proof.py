#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_proof
short_description: Prove that a backend serves the clients of an HAProxy frontend
version_added: 0.1.0
description:
  - Requests a page through the front door, several times, and checks every answer. No request is
    repeated.
  - Then reads from HAProxy whether the servers of the backend counted these requests, and how many
    of their answers to all clients were errors.
  - Without O(url) the module makes no request, and only watches those of clients.
  - Changes nothing.
options:
  backend:
    description:
      - The backend that must serve. Its backup servers do not count.
    type: str
    required: true
  url:
    description:
      - The page to request. Certificates are not validated, since the URL may have the address of
        the front door instead of its name. Redirects are followed, at the same address.
    type: str
  door:
    description:
      - URL of the frontend on this machine, as
        RV(bookface.platform.haproxy_default_backend#module:door) of the switch. The page is
        requested there if O(url) leads elsewhere, to another machine or to another address with the
        same port. So each of several load balancers that share an address proves itself.
    type: str
  status:
    description:
      - The expected status.
    type: int
    default: 200
  content:
    description:
      - Text that every answer must contain. Required with O(url).
    type: str
  host:
    description:
      - Host name of the site, sent in the C(Host) header and in the TLS handshake. By default the
        one in O(url).
    type: str
  frontend:
    description:
      - The frontend behind O(url). RV(traffic) then shows how much of its traffic the backend got.
    type: str
  headers:
    description:
      - Headers of the requests.
    type: dict
    default: {}
  identified:
    description:
      - Whether answers name their backend in the header C(X-Bookface-Backend), which then must be
        O(backend).
    type: bool
    default: true
  requests:
    description:
      - Number of requests.
    type: int
    default: 5
  seconds:
    description:
      - Seconds over which they are spread, so that servers which fail soon after are noticed, too.
      - Without O(url), seconds to watch. From the third error on, the module fails as soon as
        O(errors_percent) is exceeded.
    type: float
    default: 3
  timeout:
    description:
      - Maximum seconds for one answer.
    type: float
    default: 120
  before:
    description:
      - The counters of the servers before, as
        RV(bookface.platform.haproxy_default_backend#module:counted) of the switch. By default
        everything counts since the worker started.
    type: dict
    suboptions:
      pid:
        description: Process id of the HAProxy worker that counted.
        type: int
        required: true
      sessions:
        description: Sessions.
        type: int
        required: true
      responses:
        description: Answers over HTTP.
        type: int
        required: true
      errors:
        description: Answers that were errors.
        type: int
        required: true
  errors_percent:
    description:
      - Maximum percentage of errors among the answers to all clients. Errors are answers with
        status 5xx, and those that were incomplete or missing.
    type: float
    default: 1
extends_documentation_fragment:
  - bookface.platform.haproxy.socket
  - bookface.platform.reads_only
  - bookface.platform.haproxy.platform
seealso:
  - module: bookface.platform.haproxy_default_backend
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Switch
  bookface.platform.haproxy_default_backend:
    frontend: bookface
    backend: docker
  register: switched

- name: Prove that the containers serve
  bookface.platform.haproxy_proof:
    backend: docker
    url: http://127.0.0.1/
    host: bookface.example.org
    content: "Users:"
    frontend: bookface
    before: "{{ switched.counted }}"

- name: Read the counters
  bookface.platform.haproxy_proof:
    backend: swarm
    seconds: 0
    errors_percent: 100
  register: earlier

- name: Watch the answers to clients after a change
  bookface.platform.haproxy_proof:
    backend: swarm
    before: "{{ earlier.counted }}"
"""

RETURN = r"""
url:
  description: The URL that was requested, see O(door). Null without O(url).
  returned: success
  type: str
  sample: http://127.0.0.1/
counted:
  description: What the servers have counted since O(before).
  returned: success
  type: dict
  contains:
    pid:
      description: Process id of the HAProxy worker that counted.
      type: int
    sessions:
      description: Sessions; in HTTP mode every request is one.
      type: int
    responses:
      description: Answers over HTTP.
      type: int
    errors:
      description: Answers with status 5xx, and those that were incomplete or missing.
      type: int
  sample: {pid: 4711, sessions: 105, responses: 105, errors: 0}
traffic:
  description:
    - The requests of all clients to O(frontend) while the module ran, according to HAProxy's
      counters. In TCP mode, connections.
  returned: success, and if O(frontend) was given
  type: dict
  contains:
    requests:
      description: Requests that the frontend received.
      type: int
    to_backend:
      description: Requests that the backend received, from this or another frontend.
      type: int
    percent:
      description: Share of the backend, in percent.
      type: int
  sample: {requests: 412, to_backend: 412, percent: 100}
reason:
  description:
    - Why the module failed.
    - V(no_answer) means that a request got no complete answer, or HAProxy did not answer in time.
    - V(status), V(content) and V(backend) mean that an answer had another status, lacked the
      content, or came from another backend.
    - V(not_counted) means that the servers counted fewer requests than were made, and V(errors)
      that too many of their answers were errors.
    - V(unreachable) means that no process answers on the socket, V(denied) that permissions forbid
      its use, and V(refused) that HAProxy refused the command.
  returned: failure
  type: str
  sample: backend
"""

import time
from typing import Any
from urllib.error import HTTPError

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.arguments import (
    SOCKET_ARGUMENTS,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.client import ask
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.door import (
    choose_door,
    own_networks,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.proof import (
    Answer,
    Counted,
    Expected,
    ProofError,
    Traffic,
    check_answer,
    check_counted,
    count,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.runtime import HaproxySocket

# Seconds for one reply of HAProxy.
PATIENCE = 5.0
# Seconds between two looks at the counters, and how many errors need no further watching.
PAUSE = 0.2
ENOUGH = 3


def answer(params: dict[str, Any], url: str, which: str) -> Answer:
    try:
        status, body, headers = ask(url, params["host"], params["headers"], params["timeout"])
    except HTTPError as error:
        return Answer(error.code, _text(error.read()), dict(error.headers))
    # urllib and http.client raise exceptions that have no other common type.
    except Exception as error:
        raise ProofError(f"{which}: no complete answer: {error}", reason="no_answer") from None
    return Answer(status, _text(body), headers)


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def measure(haproxy: HaproxySocket, frontend: str | None, backend: str) -> tuple[Counted, Traffic]:
    """What the servers of the backend have counted, and the traffic of the frontend."""
    stat = haproxy.stat_of([frontend] if frontend else [], [backend], PATIENCE)
    pid = haproxy.info(PATIENCE).pid
    received, forwarded = stat.received.get(frontend or "", 0), stat.forwarded.get(backend, 0)
    counted = count(pid, stat.servers_of(backend), forwarded)
    return counted, Traffic(pid, received, forwarded)


def prove(params: dict[str, Any]) -> dict[str, Any]:
    """Ask for the page, if there is one, and count what all clients are answered."""
    url: str | None = params["url"]
    if url:
        url = choose_door(url, params["door"], own_networks())
    requests: int = params["requests"] if url else 0
    backend: str = params["backend"]
    named = backend if params["identified"] else None
    expected = Expected(params["status"], params["content"], named)
    pause = params["seconds"] / max(requests - 1, 1)
    haproxy = HaproxySocket(params["socket"])
    _counted, at_first = measure(haproxy, params["frontend"], backend)
    began = time.monotonic()
    for number in range(requests):
        time.sleep(max(began + number * pause - time.monotonic(), 0))
        which = f"request {number + 1} of {requests} to {url}"
        check_answer(answer(params, url or "", which), expected, which)
    before = Counted(**(params["before"] or {}))
    while True:
        now, at_last = measure(haproxy, params["frontend"], backend)
        counted = now.since(before)
        over = requests > 0 or time.monotonic() - began >= params["seconds"]
        if over or counted.errors >= ENOUGH:
            check_counted(counted, backend, requests, params["errors_percent"])
        if over:
            break
        time.sleep(PAUSE)
    result: dict[str, Any] = {"url": url, "counted": counted.as_dict()}
    if params["frontend"]:
        result["traffic"] = at_last.since(at_first).as_dict()
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SOCKET_ARGUMENTS,
            "backend": {"type": "str", "required": True},
            "url": {"type": "str"},
            "door": {"type": "str"},
            "status": {"type": "int", "default": 200},
            "content": {"type": "str"},
            "host": {"type": "str"},
            "frontend": {"type": "str"},
            "headers": {"type": "dict", "default": {}},
            "identified": {"type": "bool", "default": True},
            "requests": {"type": "int", "default": 5},
            "seconds": {"type": "float", "default": 3.0},
            "timeout": {"type": "float", "default": 120.0},
            "before": {
                "type": "dict",
                "options": {
                    "pid": {"type": "int", "required": True},
                    "sessions": {"type": "int", "required": True},
                    "responses": {"type": "int", "required": True},
                    "errors": {"type": "int", "required": True},
                },
            },
            "errors_percent": {"type": "float", "default": 1.0},
        },
        required_together=[("url", "content")],
        supports_check_mode=True,
    )
    try:
        result = prove(module.params)
    except HaproxyError as error:
        module.fail_json(msg=error.message(""), reason=error.reason)
    else:
        module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
