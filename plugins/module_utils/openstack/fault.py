# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cloud's refusal means, in one sentence with a way out."""

from __future__ import annotations

import re

# Words of the cloud or of openstacksdk → what it means. The first that is found counts.
_MEANINGS: tuple[tuple[str, str], ...] = (
    (
        r"Cloud \S+ was not found",
        "clouds.yaml has no such cloud. Set openstack_cloud to one that is there; the file is"
        " looked for in this directory, ~/.config/openstack, /etc/openstack, and where"
        " OS_CLIENT_CONFIG_FILE says",
    ),
    (
        r"HTTP 401|\b401\b|Unauthorized|Fernet token|(find|validate) token|"
        r"requires authentication|Missing value .* required for auth",
        "the cloud refused the credentials: a wrong user or password, or a token that has expired."
        " Correct them in clouds.yaml, or get a new token",
    ),
    (
        r"establish (a new )?connection|timed? ?out (while )?connect|Connect(ion|Failure|Timeout)"
        r"|Name or service not known|Could not find versioned identity endpoints|SSL exception",
        "the cloud's endpoint cannot be reached. Look at auth_url in clouds.yaml, and whether a"
        " VPN, a proxy or a certificate is missing",
    ),
    (
        r"[Qq]uota (exceeded|has been met)|exceeded for resources|OverQuota",
        "a quota of the project is used up. Remove what is not needed, or ask the operator",
    ),
    (
        r"No more IP addresses|IpAddressGenerationFailure|ExternalIpAddressExhausted",
        "the pool of addresses is empty. Release floating addresses that nobody uses, or take"
        " floating_ip away from machines that can be reached through another one",
    ),
    (
        r"No valid host",
        "no host of the cloud has room for this flavor (or for one more machine apart from the"
        " others: openstack_swarm_policy). Choose a smaller flavor, or ask the operator",
    ),
    (
        r"HTTP 403|\b403\b|Forbidden",
        "the account may not do that. Ask the operator for a role in the project, usually member",
    ),
)


def explain(message: str) -> str:
    """The cloud's words, with what they mean before them where we know."""
    told = " ".join(str(message).split())
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, told):
            return f"{meaning}. The cloud's own words: {told[:400]}"
    return told or "the cloud gave no reason"
