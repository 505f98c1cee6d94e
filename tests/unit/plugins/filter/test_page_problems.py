# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages and addresses of the role haproxy that cannot be: what was given, and what to do."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.filter.page_problems import page_problems

GIVEN: dict[str, Any] = {
    "haproxy_maintenance_page": "files/page.html",
    "haproxy_maintenance_retry_after": 300,
    "haproxy_maintenance_allow": ["192.0.2.7", "198.51.100.0/24", "2001:db8::/32", "::1"],
    "haproxy_down_page": "files/down.html",
    "haproxy_down_retry_after": "30",
    "haproxy_mode": "manage",
    "haproxy_adopt_rule": True,
    "haproxy_adopt_state": "present",
    "haproxy_page_cache": False,
    "haproxy_page_cache_kilobytes": 64,
    "haproxy_global_extra": "maxconn 5000",
    "has_page": True,
    "maintenance": "x" * 14336,
    "down": "ä" * 7168,
}
LARGE = {"maintenance": "x" * 14337}
ADOPTED = {"haproxy_mode": "adopt"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            "haproxy_maintenance_page": "",
            "maintenance": "ours",
            "haproxy_down_page": "",
            "down": "",
        },
        LARGE | {"haproxy_page_cache": "true"},
        LARGE | {"haproxy_global_extra": "tune.bufsize 1\n  tune.bufsize 32768"},
        LARGE | {"haproxy_global_extra": "tune.bufsize 32k"},
        {"haproxy_global_extra": "tune.bufsize 1M"},
        ADOPTED | {"haproxy_global_extra": "tune.bufsize 1024"},
        ADOPTED | {"has_page": False, "haproxy_maintenance_allow": []},
        ADOPTED | {"haproxy_adopt_state": "absent", "has_page": False},
    ],
)
def test_good_input(settings: dict[str, Any]) -> None:
    assert page_problems(GIVEN | settings) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"maintenance": " \n"}, "haproxy_maintenance_page is files/page.html; expected the path"),
        ({"down": ""}, "haproxy_down_page is files/down.html; expected the path of a file"),
        (
            {"down": "caf\udce9"},
            "haproxy_down_page is files/down.html; expected the path of a file",
        ),
        (LARGE, "files/page.html has 14337 bytes; expected at most 14336"),
        ({"down": "ä" * 7169}, "files/down.html has 14338 bytes; expected at most 14336"),
        (
            LARGE | {"haproxy_page_cache": True, "haproxy_global_extra": "tune.bufsize 16384"},
            "or set a larger tune.bufsize in haproxy_global_extra.",
        ),
        (LARGE | ADOPTED, "such as by leaving out embedded pictures."),
        ({"haproxy_maintenance_retry_after": 0}, "haproxy_maintenance_retry_after is 0; expected"),
        ({"haproxy_down_retry_after": "1m"}, "haproxy_down_retry_after is 1m; expected a number"),
        (
            {"haproxy_maintenance_allow": ["192.0.2.300"]},
            "haproxy_maintenance_allow has 192.0.2.300",
        ),
        (
            {"haproxy_maintenance_allow": ["192.0.2.7/24"]},
            "Write 192.0.2.0/24 instead.",
        ),
        (
            {"haproxy_maintenance_allow": ["192.0.2.0/0.0.0.255"]},
            "has 192.0.2.0/0.0.0.255; expected an address or a network, such as 192.0.2.7, "
            "192.0.2.0/24 or 2001:db8::/32. Write 192.0.2.0/24 instead.",
        ),
        (
            {"haproxy_maintenance_allow": ["192.0.2.0/255.255.255.0"]},
            "Write 192.0.2.0/24 instead.",
        ),
        ({"haproxy_maintenance_allow": ["office.example.org"]}, "expected an address or a network"),
        ({"haproxy_maintenance_allow": ["fe80::1%eth0"]}, "has fe80::1%eth0; expected an address"),
        (ADOPTED | {"has_page": False}, "add maintenance to haproxy_adopt_backends"),
        (ADOPTED | {"haproxy_adopt_rule": "false"}, "but haproxy_adopt_rule is false"),
    ],
)
def test_bad_input(settings: dict[str, Any], words: str) -> None:
    problems = page_problems(GIVEN | settings)
    assert len(problems) == 1
    assert words in problems[0]


def test_all_problems_are_found_at_once() -> None:
    assert len(page_problems(GIVEN | LARGE | {"haproxy_maintenance_allow": ["a", "b"]})) == 3
