# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a frontend can be asked, by its binds."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.door import (
    choose_door,
    find_doors,
    is_here,
    local_networks,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    find_frontend,
    parse,
)

ENVIRONMENT = {"IP": "192.0.2.7", "PORT": "81", "BOTH": "192.0.2.7:81,192.0.2.8:81"}


@pytest.mark.parametrize(
    ("binds", "doors"),
    [
        (["*:80"], ["http://127.0.0.1:80/"]),
        ([":8080"], ["http://127.0.0.1:8080/"]),
        (["0.0.0.0:80"], ["http://127.0.0.1:80/"]),
        (["192.0.2.1:80,192.0.2.2:80"], ["http://192.0.2.1:80/", "http://192.0.2.2:80/"]),
        (["ipv4@192.0.2.1:80"], ["http://192.0.2.1:80/"]),
        (["[::]:80 v4v6"], ["http://[::1]:80/"]),
        ([":::80 v4v6"], ["http://[::1]:80/"]),
        (["ipv6@2001:db8::1:80"], ["http://[2001:db8::1]:80/"]),
        (["*:80", "*:443 ssl crt /x.pem"], ["https://127.0.0.1:443/", "http://127.0.0.1:80/"]),
        (["*:81 accept-proxy", "*:80"], ["http://127.0.0.1:80/"]),
        (["*:443 ssl crt /x ca-file /y verify required", "*:80"], ["http://127.0.0.1:80/"]),
        (["unix@/run/x.sock", "abns@x:80"], []),
        (['"${NONE}:80"', '"*:${NONE}"'], []),
        (['"${IP}:${PORT}"', "'${IP}:82'"], ["http://192.0.2.7:81/"]),
        (['"${BOTH}"'], ["http://192.0.2.7:81/", "http://192.0.2.8:81/"]),
        (["fd@3", "*:80-85"], []),
        ([], []),
    ],
)
def test_binds(binds: list[str], doors: list[str]) -> None:
    config = parse("frontend f\n" + "".join(f"  bind {bind}\n" for bind in binds))
    found = find_doors(config, find_frontend(config, "f"), lambda: ENVIRONMENT)
    assert list(found) == doors


ROUTES = """\
Main:
  +-- 0.0.0.0/0 3 0 4
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.7
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
        |-- 127.0.0.0
           /8 host LOCAL
           /31 link UNICAST
        |-- 198.51.100.0
           /24 host LOCAL
"""
ADDRESSES6 = """\
20010db8000000000000000000000007 02 40 00 82     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""
HERE = local_networks(ROUTES, ADDRESSES6)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("192.0.2.255", False),
        ("127.0.0.9", True),
        ("198.51.100.9", True),
        ("[2001:db8::7]", True),
        ("[2001:db8::8]", False),
        ("[::1]", True),
        ("localhost", True),
        ("no-such-name.invalid", True),
    ],
)
def test_addresses_of_the_machine(host: str, here: bool) -> None:
    assert is_here(f"http://{host}:80/", HERE) is here


def test_a_machine_that_does_not_tell_has_every_address() -> None:
    assert is_here("http://192.0.2.8/", local_networks("", ""))


@pytest.mark.parametrize(
    ("url", "door", "asked"),
    [
        ("http://192.0.2.7:80/x", None, "http://192.0.2.7:80/x"),
        ("http://192.0.2.8:80/x", None, "http://192.0.2.8:80/x"),
        # A port that a container publishes, a proxy beside it.
        ("http://127.0.0.1:8080/x", "http://127.0.0.1:80/", "http://127.0.0.1:8080/x"),
        # The address of a pair, which the other one has, or another frontend here.
        ("http://192.0.2.8:8080/x?y=1", "http://192.0.2.7:80/", "http://192.0.2.7:80/x?y=1"),
        ("http://192.0.2.7", "http://198.51.100.9:80/", "http://198.51.100.9:80/"),
        ("https://192.0.2.7/x", "https://198.51.100.9:443/", "https://198.51.100.9:443/x"),
        # A frontend on all addresses, which may answer on one of them alone (interface).
        ("http://192.0.2.7", "http://127.0.0.1:80/", "http://192.0.2.7"),
        ("https://[2001:db8::7]/x", "https://[::1]:443/", "https://[2001:db8::7]/x"),
        ("http://192.0.2.8/x", "http://127.0.0.1:80/", "http://127.0.0.1:80/x"),
    ],
)
def test_the_door_that_is_asked(url: str, door: str | None, asked: str) -> None:
    assert choose_door(url, door, HERE) == asked
