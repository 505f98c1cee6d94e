# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations for the tests of this directory: one of a site, and any at all."""

from __future__ import annotations

from hypothesis import strategies as st

SITE = """\
global
    log /dev/log local0   # frontend nothing
    user haproxy

defaults base
    mode http
    default_backend fallback

defaults
    mode http

frontend bookface
    bind *:80
    bind "[::]:80" v4v6
    acl img path_beg /img
    use_backend images if img
    use_backend %[fe_name,map(/etc/haproxy/maps/d.map)] if { fe_name,map(/etc/haproxy/maps/d.map) -m found }
    # default_backend commented
    default_backend   legacy   # decides

frontend inheriting from base
    bind :81

frontend empty
    bind :82

listen stats
    bind 127.0.0.1:1936
    stats enable

backend legacy
    server web1 192.0.2.1:80 check

backend docker
    server docker1 192.0.2.2:32001 check
    disabled

backend images
    server i 192.0.2.3:80

backend fallback
"""  # noqa: E501

_LINE = st.one_of(
    st.sampled_from(
        [
            "frontend f",
            "frontend other",
            "backend legacy",
            "backend f",
            "listen l",
            "defaults",
            "defaults d",
            "frontend f from d",
            " default_backend legacy",
            "\tdefault_backend  'x y' # note",
            ' "default_backend" "$A"',
            " default_backend",
            " bind :80",
            " # default_backend no",
            ".if A",
            ".else",
            ".endif",
            " disabled",
            "",
        ]
    ),
    st.text(st.characters(codec="latin-1"), max_size=20),
)
TEXTS = st.lists(st.tuples(_LINE, st.sampled_from(["\n", "\r\n", "\n\n", "\r"]))).map(
    lambda lines: "".join(line + end for line, end in lines)
)
NAMES = st.text("abcxyzABC019_.:-", min_size=1, max_size=12)
