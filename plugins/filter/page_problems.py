# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that judges the pages that HAProxy itself serves: each problem with its remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

# HAProxy answers from one buffer (tune.bufsize), in which the headers have to fit, too.
_BUFFER = 16384
_HEADERS = 2048
_BUFSIZE = re.compile(r"^[ \t]*tune\.bufsize[ \t]+(\d+)([kmg]?)", re.MULTILINE | re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

# A byte of a file that is not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")

# Of a zone (fe80::1%eth0) HAProxy knows nothing, and 0.0.0.255 is another mask to it.
_WRITTEN = re.compile(r"[^/%]+(/[0-9]+)?")

Settings = Mapping[str, Any]


def page_problems(settings: Settings) -> list[str]:
    """What is wrong with these variables of the role, a sentence or more each."""
    if settings["haproxy_adopt_state"] == "absent" and settings["haproxy_mode"] == "adopt":
        return []
    checks = (_pages, _retries, _networks, _adopted)
    return [problem for check in checks for problem in check(settings)]


def _true(value: object) -> bool:
    return bool(boolean(value, strict=False))


def largest(settings: Settings) -> int:
    """Bytes of the largest page."""
    buffer = _BUFFER
    if settings["haproxy_mode"] == "manage":
        if _true(settings["haproxy_page_cache"]):
            buffer = int(settings["haproxy_page_cache_kilobytes"]) * 1024
        # The last line counts.
        for number, unit in _BUFSIZE.findall(settings["haproxy_global_extra"])[-1:]:
            buffer = int(number) * _UNITS[unit.lower()]
    return buffer - _HEADERS


def _pages(settings: Settings) -> Iterator[str]:
    pages = {"haproxy_maintenance_page": "maintenance", "haproxy_down_page": "down"}
    for variable, key in pages.items():
        path, text = settings[variable], settings[key]
        size, limit = len(text.encode("utf-8", "surrogateescape")), largest(settings)
        if path and (not text.strip() or _SURROGATE.search(text)):
            yield (
                f"{variable} is {path}; expected the path of a file on this controller with HTML "
                "in UTF-8, which can be read and is not empty."
            )
        elif path and size > limit:
            larger = ", or set a larger tune.bufsize in haproxy_global_extra"
            yield (
                f"{variable}: {path} has {size} bytes; expected at most {limit}, because HAProxy "
                "answers from one buffer. Make the page smaller, such as by leaving out embedded "
                f"pictures{larger if settings['haproxy_mode'] == 'manage' else ''}."
            )


def _retries(settings: Settings) -> Iterator[str]:
    for variable in ("haproxy_maintenance_retry_after", "haproxy_down_retry_after"):
        value = str(settings[variable])
        if not re.fullmatch("[1-9][0-9]{0,8}", value):
            yield f"{variable} is {value}; expected a number of seconds from 1."


def _networks(settings: Settings) -> Iterator[str]:
    for entry in settings["haproxy_maintenance_allow"]:
        try:
            ip_network(entry if _WRITTEN.fullmatch(entry) else "")
        except ValueError:
            yield (
                f"haproxy_maintenance_allow has {entry}; expected an address or a network, such as "
                f"192.0.2.7, 192.0.2.0/24 or 2001:db8::/32{_hint(entry)}."
            )


def _hint(entry: str) -> str:
    try:
        network = ip_network(entry, strict=False)
    except ValueError:
        return ""
    return f". Write {network} instead"


def _adopted(settings: Settings) -> Iterator[str]:
    if settings["haproxy_mode"] != "adopt" or not settings["haproxy_maintenance_allow"]:
        return
    if not settings["has_page"]:
        yield (
            "haproxy_maintenance_allow is set, but this configuration of your own has no page for "
            "maintenance: add maintenance to haproxy_adopt_backends, or remove the addresses."
        )
    elif not _true(settings["haproxy_adopt_rule"]):
        yield (
            "haproxy_maintenance_allow requires the rule, but haproxy_adopt_rule is false. Set it "
            "to true, or remove the addresses."
        )


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"page_problems": page_problems}
