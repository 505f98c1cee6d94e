# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explanations of errors from a cloud: what is wrong, and what to do.

For people only; nothing is decided by them. An error is recognized by its status and type where the
API gives them, and by its message where it gives nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """An error. C(status): of HTTP, 0 if unknown. C(kind): its type in the API or the SDK."""

    message: str
    status: int = 0
    kind: str = ""


@dataclass(frozen=True)
class Meaning:
    """An explanation, and the errors that it is for."""

    text: str
    words: str
    status: int = -1
    kinds: frozenset[str] = field(default_factory=frozenset)

    def explains(self, fault: Fault) -> bool:
        return (
            fault.kind in self.kinds
            or fault.status == self.status
            or bool(re.search(self.words, fault.message))
        )


# The first one that explains an error counts: a quota is also a status 403.
MEANINGS = (
    Meaning(
        "there are no credentials in the environment. Source the openrc file of your project in"
        " this shell, such as: source project-openrc.sh",
        r"Cloud envvars was not found",
    ),
    Meaning(
        "clouds.yaml has no such cloud. Set openstack_cloud to one of its clouds. The file is"
        " searched in this directory, ~/.config/openstack, /etc/openstack, and at"
        " OS_CLIENT_CONFIG_FILE",
        r"Cloud \S+ was not found",
    ),
    Meaning(
        "the cloud refused the credentials: a wrong user or password, or an expired token or"
        " application credential. Correct them in clouds.yaml, or get new ones",
        # Keystone answers 404 to a token that it cannot read, and to a credential that was removed.
        r"HTTP 401|\b401\b|Unauthorized|Fernet token|(find|validate) token|"
        r"find Application Credential|"
        r"requires authentication|Missing value .* required for auth",
        401,
    ),
    Meaning(
        "the cloud does not answer in time. It hangs or is overloaded, or something on the way"
        " drops requests, such as a firewall. Run this again later, or check auth_url in"
        " clouds.yaml, and whether a VPN or a proxy is missing",
        r"Request to \S+ timed out",
        kinds=frozenset({"ConnectTimeout"}),
    ),
    Meaning(
        "the cloud's endpoint cannot be reached. Check auth_url in clouds.yaml, and whether a VPN,"
        " a proxy or a certificate is missing",
        r"establish (a new )?connection|timed? ?out (while )?connect|Connect(ion|Failure|"
        r"Timeout)|Name or service not known|Could not find versioned identity endpoints|"
        r"SSL exception",
        kinds=frozenset({"ConnectFailure", "SSLFailure", "DiscoveryFailure"}),
    ),
    Meaning(
        "what answers at the cloud's endpoint is not OpenStack, perhaps a proxy or the login page"
        " of a network. Check auth_url in clouds.yaml, and the network that you are in",
        r"JSONDecodeError",
        kinds=frozenset({"JSONDecodeError"}),
    ),
    Meaning(
        "a quota of the project is used up. Remove what is not needed, or ask the operator for"
        " more",
        r"[Qq]uota (exceeded|has been met)|exceeded for resources|OverQuota",
        413,
        frozenset({"OverQuota"}),
    ),
    Meaning(
        "the pool of addresses is empty. Release unused floating addresses, or remove floating_ip"
        " from machines that can be reached through another one",
        r"No more IP addresses|IpAddressGenerationFailure|ExternalIpAddressExhausted",
        kinds=frozenset({"IpAddressGenerationFailure", "ExternalIpAddressExhausted"}),
    ),
    Meaning(
        "no host of the cloud has room for this flavor, or for one more machine on a host of its"
        " own (openstack_swarm_policy). Choose a smaller flavor, or ask the operator",
        r"No valid host",
        kinds=frozenset({"NoValidHost"}),
    ),
    Meaning(
        "the cloud limits how many requests it answers, and still did after several attempts. Run"
        " this again later",
        r"HTTP 429|\b429\b|Too Many Requests",
        429,
        frozenset({"TooManyRequests"}),
    ),
    Meaning(
        "the cloud is overloaded or under maintenance, and still was after several attempts. Run"
        " this again later",
        r"HTTP 50[234]|\b50[234]\b|Service Unavailable|Bad Gateway|Gateway Time-?out",
        503,
        frozenset({"ServiceUnavailable", "BadGateway", "GatewayTimeout"}),
    ),
    Meaning(
        "the account is not allowed to do that. Ask the operator for a role in the project,"
        " usually member",
        r"HTTP 403|\b403\b|Forbidden",
        403,
    ),
)


def explain(fault: Fault) -> str:
    """The message of the cloud, after an explanation if there is one."""
    message = " ".join(fault.message.split())
    for meaning in MEANINGS:
        if meaning.explains(fault):
            return f"{meaning.text}. Message of the cloud: {message[:400]}"
    return message or "the cloud gave no reason"


def of_result(result: Mapping[str, Any]) -> Fault:
    """The error in the result of a failed task of openstack.cloud; of a loop, the first."""
    items = result.get("results") or [result]
    failed = next((item for item in items if item.get("failed")), items[0])
    message = str(failed.get("msg") or "failed")
    body = _body((failed.get("extra_data") or {}).get("response"))
    code = body.get("code")
    return Fault(message, code if isinstance(code, int) else 0, str(body.get("type") or ""))


def _body(response: Any) -> Mapping[str, Any]:
    """The error in an answer of Nova or Neutron, such as C({"NeutronError": {"type": ...}})."""
    try:
        answer = json.loads(response)
    except (TypeError, ValueError):
        return {}
    inside = next(iter(answer.values()), None) if isinstance(answer, dict) else None
    return inside if isinstance(inside, dict) else {}
