# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a frontend can be asked, by its binds."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.door import find_door
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    find_frontend,
    parse,
)


@pytest.mark.parametrize(
    ("binds", "door"),
    [
        (["*:80"], "http://127.0.0.1:80/"),
        ([":8080"], "http://127.0.0.1:8080/"),
        (["0.0.0.0:80"], "http://127.0.0.1:80/"),
        (["192.0.2.1:80,192.0.2.2:80"], "http://192.0.2.1:80/"),
        (["ipv4@192.0.2.1:80"], "http://192.0.2.1:80/"),
        (["[::]:80 v4v6"], "http://[::1]:80/"),
        ([":::80 v4v6"], "http://[::1]:80/"),
        (["ipv6@2001:db8::1:80"], "http://[2001:db8::1]:80/"),
        (["*:80", "*:443 ssl crt /x.pem"], "https://127.0.0.1:443/"),
        (["*:81 accept-proxy", "*:80"], "http://127.0.0.1:80/"),
        (["*:443 ssl crt /x ca-file /y verify required", "*:80"], "http://127.0.0.1:80/"),
        (["unix@/run/x.sock", "abns@x:80"], None),
        (['"${IP}:80"'], None),
        (["fd@3", "*:80-85"], None),
        ([], None),
    ],
)
def test_binds(binds: list[str], door: str | None) -> None:
    config = parse("frontend f\n" + "".join(f"  bind {bind}\n" for bind in binds))
    assert find_door(config, find_frontend(config, "f")) == door
