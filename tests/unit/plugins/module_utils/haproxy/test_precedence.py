# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rules decide before default_backend, and whether they leave anything to it."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.precedence import (
    DecidingRule,
    all_deciding,
    deciding_rules,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.rules import map_rules
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.switch import (
    cohort_text,
    rule_text,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    find_frontend,
    parse,
)
from hypothesis import given
from hypothesis import strategies as st


def found(rules: str, head: str = "mode http", frontend: str = "f") -> tuple[DecidingRule, ...]:
    text = (
        f"{head}\nfrontend {frontend}\n bind :80\n{rules}\n default_backend blue\n"
        "backend blue\nbackend green\n"
    )
    config = parse(text if head.startswith("defaults") else f"defaults\n {text}")
    section = find_frontend(config, frontend.split()[0])
    followed = map_rules(config, section)
    return deciding_rules(config, section, followed[0] if followed else None)


ALL = [
    "use_backend blue",
    "use_backend 'blue'",
    "use_backend blue if TRUE",
    "use_backend blue unless FALSE",
    "use_backend blue if !FALSE",
    "use_backend blue if { path_beg / }",
    "use_backend blue if { path -m beg / }",
    "use_backend blue if { path,lower -m beg -i / }",
    "use_backend blue if { path -i -m beg /shop / }",
    "use_backend blue if { path_reg ^/ }",
    "use_backend blue if { path_reg .* }",
    "use_backend blue if { url_reg ^/.*$ }",
    "use_backend blue if { hdr_reg(host) -i ^.*$ }",
    "use_backend blue if { hdr(Host) -m found }",
    "use_backend blue if { src 0.0.0.0/0 ::/0 }",
    "use_backend blue if { always_true } TRUE",
    "use_backend blue if { path_beg /a } or { path_beg / }",
    "use_backend blue unless { always_false }",
    "use_backend blue if { fe_name f }",
    "use_backend blue unless { ssl_fc }",
    "acl all path_beg /\n use_backend blue if all",
    "acl all path_beg /a\n acl all path_beg /\n use_backend blue if all",
    "use_backend blue if { ssl_fc } or !{ ssl_fc }",
    "use_backend blue if { path /a }\n use_backend green if !{ path /a }",
    "acl shop hdr(host) shop\n use_backend blue if shop\n use_backend green unless shop",
    "use_backend %[req.hdr(host),lower,map_str(/hosts.map,blue)]",
    "use_backend %[src,map_ip(/ips.map,blue)] if TRUE",
    "use_backend %[ssl_fc,iif(blue,green)]",
    "use_backend %[str(blue)]",
    "http-request return status 200",
    "http-request redirect scheme https unless { ssl_fc }",
    "http-request deny if TRUE",
    "http-request auth",
    "http-request tarpit",
    "http-request silent-drop",
    "http-request use-service prometheus-exporter",
    "redirect location /x",
    "tcp-request connection reject",
    "tcp-request content reject",
    "tcp-request session reject",
    "http-request allow if FALSE\n http-request deny",
]
SOME = [
    "use_backend green if { hdr(host) -i shop.example }",
    "use_backend blue unless { path_beg /green }",
    "use_backend blue if { path_beg /a } { path_beg / }",
    "use_backend blue if { nbsrv(blue) gt 0 }",
    "use_backend blue if { method GET }",
    "use_backend blue if { path_end / }",
    "use_backend blue if { path_reg ^/$ }",
    "use_backend blue if { src -f /all.lst }",
    "use_backend blue if later",
    "acl all path_beg /\n acl all path_beg /a\n use_backend blue if all { path /b }",
    "use_backend %[req.hdr(host),lower,map_str(/hosts.map)]",
    "use_backend %[req.hdr(host),lower,map_str(/hosts.map,nosuch)]",
    "use_backend %[req.hdr(host)]",
    ".if defined(X)\n use_backend blue\n.endif",
    "http-request deny if { path_beg /admin }",
    "http-request return status 404 unless { hdr(host) shop }",
    "http-request allow if { src 10.0.0.0/8 }\n http-request return status 503",
    "http-request cache-use pictures",
    "tcp-request content accept if { req_ssl_hello_type 1 }\n tcp-request content reject",
    "tcp-request connection reject if { src 192.0.2.1 }",
    "use_backend blue if { ssl_fc } { path /a }\n use_backend blue if { path /b }",
]
NONE = [
    "",
    "# use_backend blue",
    "use_backend blue if FALSE",
    "use_backend blue if { ssl_fc }",
    "use_backend blue if { fe_name other }",
    "use_backend blue unless TRUE",
    "use_backend blue if { path /a } !{ path /a }",
    "http-request set-header X-A b",
    "http-request allow",
    "tcp-request inspect-delay 5s",
    "tcp-request content accept if { req_ssl_hello_type 1 }",
    f"use_backend images if FALSE\n {rule_text('/m')}",
    cohort_text("/m", "cohort"),
]


@pytest.mark.parametrize("rules", ALL)
def test_nothing_is_left_to_default_backend(rules: str) -> None:
    deciding = found(rules)
    assert deciding
    decided = all_deciding(deciding)
    assert decided
    assert all(rule.title for rule in decided)
    # A second rule does not hide the first one.
    assert all_deciding(found(f"use_backend images if {{ path_beg /img }}\n {rules}"))


@pytest.mark.parametrize("rules", SOME)
def test_some_traffic_may_be_left(rules: str) -> None:
    deciding = found(rules)
    assert deciding
    assert all_deciding(deciding) == ()


@pytest.mark.parametrize("rules", NONE)
def test_nothing_decides_before(rules: str) -> None:
    assert found(rules) == ()


def test_what_is_said_of_a_rule() -> None:
    (rule,) = found("\tuse_backend  green if { path_beg /shop }  # the shop")
    assert rule.as_dict() == {
        "line": "5",
        "text": "use_backend  green if { path_beg /shop }",
        "backend": "green",
        "always": False,
    }
    assert rule.title == "line 5 (use_backend  green if { path_beg /shop })"
    assert not rule.known
    (rule,) = found("http-request deny if { path /x } # not switched")
    assert (rule.backend, rule.known) == (None, True)


def test_rules_of_named_defaults_are_inherited() -> None:
    head = "defaults base\n mode http\n http-request deny"
    assert [rule.place for rule in all_deciding(found("", head, "f from base"))] == ["3"]


def test_in_tcp_mode_no_http_rule_counts() -> None:
    assert found("http-request deny\n redirect location /", "mode tcp") == ()
    assert all_deciding(found("use_backend blue if { src 0.0.0.0/0 }", "mode tcp"))


def test_a_lookup_without_a_result_ends_the_rules() -> None:
    (rule,) = found("use_backend %[req.hdr(host),map(/m)]")
    assert (rule.ends, rule.always) == (True, False)
    (rule,) = found("use_backend %[req.hdr(host),map(/m)] if { path /a }")
    assert not rule.ends


TERMS = st.sampled_from(["a", "b", "!a", "!b", "TRUE", "FALSE", "or", "{ path / }", "!", "{", "}"])


@given(st.lists(TERMS, max_size=6), st.sampled_from(["if", "unless"]))
def test_any_condition_is_read(terms: list[str], word: str) -> None:
    """A rule with its opposite covers everything, whatever the condition says."""
    condition = " ".join(terms)
    other = "unless" if word == "if" else "if"
    text = f"use_backend blue {word} {condition}\n use_backend green {other} {condition}"
    assert all_deciding(found(text))
