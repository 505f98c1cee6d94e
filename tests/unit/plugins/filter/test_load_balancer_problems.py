# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input of the role haproxy: what was given, and what to do."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.filter.load_balancer_problems import (
    load_balancer_problems,
)

LEGACY = {"name": "legacy", "servers": [{"name": "web1", "address": "192.0.2.1", "port": 80}]}
DOCKER = {"name": "docker", "servers": [{"name": "web1", "address": "192.0.2.2", "port": 80}]}
SERVICE = {"bind": "*:5433", "servers": LEGACY["servers"]}
HTTPS_OFF = {"haproxy_tls_bind": "", "haproxy_tls_hsts_seconds": 0}

# Variables, and words of the refusal.
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "password": ({"haproxy_stats_password": ""}, "haproxy_stats_password is not set"),
    "initial backend": (
        {"haproxy_initial_backend": "nosuch"},
        "haproxy_initial_backend is nosuch; the inventory gives the backends legacy, docker",
    ),
    "fallback": (
        {"haproxy_fallback_backend": "nosuch"},
        "haproxy_fallback_backend is nosuch; it must be one of the backends legacy, docker",
    ),
    "several frontends": (
        {"haproxy_frontend": ["www", "tls"]},
        "haproxy_frontend is ['www', 'tls']; it must be one name",
    ),
    "backend twice": (
        {"haproxy_backends": [LEGACY, LEGACY]},
        "need a name each; given are legacy,",
    ),
    "backend named like the page for maintenance": (
        {"haproxy_backends": [LEGACY, DOCKER | {"name": "maintenance"}]},
        "haproxy_backends uses the name maintenance, which the page for maintenance has. Rename",
    ),
    "section named like the page for maintenance": (
        {"haproxy_extra": "backend x\n  mode http\n  backend maintenance # ours\n"},
        "haproxy_extra uses the name maintenance, which",
    ),
    "service named like a backend": (
        {"haproxy_tcp_services": [{"name": "legacy"} | SERVICE]},
        "need a name each",
    ),
    "server twice": (
        {
            "haproxy_backends": [{"name": "legacy", "servers": LEGACY["servers"] * 2}],
            "haproxy_fallback_backend": "",
            "haproxy_backend_checks": {},
        },
        "The servers of legacy need a name each; given are web1, web1",
    ),
    "server named like one of the fallback": (
        {"haproxy_backends": [LEGACY, DOCKER]},
        "given are web1, web1 (with those of its fallback legacy)",
    ),
    "setting of no backend": (
        {"haproxy_backend_extra": {"nosuch": "x"}},
        "haproxy_backend_extra has settings for nosuch; the backends are legacy, docker",
    ),
    "check without a text": (
        {"haproxy_backend_checks": {"legacy": {"path": "/", "status": 200}}},
        "it needs path, may have status, and needs content or header",
    ),
    "check with an unknown key": (
        {"haproxy_check": {"path": "/", "content": "x", "port": 80}},
        "'port': 80}; it needs path, may have status, and needs content or header",
    ),
    "redirect to nobody": (
        HTTPS_OFF | {"haproxy_tls_redirect": True},
        "haproxy_tls_redirect is True",
    ),
    "no certificate": (
        {"haproxy_tls_certificate": ""},
        "haproxy_tls_certificate (empty) gives no certificate with its key",
    ),
    "certificate in no file": (
        {"haproxy_tls_certificate": "/nosuch.pem"},
        "haproxy_tls_certificate (/nosuch.pem) gives no certificate with its key",
    ),
    "certificate without its key": (
        {"haproxy_tls_certificate": "-----BEGIN CERTIFICATE-----"},
        "haproxy_tls_certificate (a text) gives no certificate with its key",
    ),
    "picture larger than the cache": (
        {"haproxy_cache_megabytes": 1, "haproxy_cache_object_kilobytes": 513},
        "haproxy_cache_object_kilobytes 513",
    ),
    "section in a snippet": (
        {"haproxy_frontend_extra": "option x\n  backend mine"},
        "haproxy_frontend_extra holds a line that begins with 'backend'",
    ),
    "default_backend in a snippet": (
        {"haproxy_frontend_extra": "default_backend mine"},
        "begins with 'default_backend'",
    ),
}


SITE: dict[str, Any] = {
    "haproxy_frontend": "bookface",
    "haproxy_backends": [
        LEGACY,
        {"name": "docker", "servers": [{"name": "docker1", "address": "192.0.2.2", "port": 1}]},
    ],
    "haproxy_initial_backend": "legacy",
    "haproxy_fallback_backend": "legacy",
    "haproxy_tcp_services": [{"name": "database"} | SERVICE],
    "haproxy_check": {"path": "/platform/ready", "status": 200, "content": "ready"},
    "haproxy_backend_checks": {"docker": {"path": "/", "header": {"name": "X", "value": "y"}}},
    "haproxy_backend_server_options": {"legacy": "inter 2s"},
    "haproxy_backend_server_maxconn": {"docker": 50},
    "haproxy_tls_bind": "*:443",
    "haproxy_tls_certificate": "self-signed",
    "haproxy_tls_redirect": False,
    "haproxy_tls_hsts_seconds": 3600,
    "pem": "",
    "maintenance": "maintenance",
    "haproxy_cache": True,
    "haproxy_cache_seconds": 60,
    "haproxy_cache_megabytes": 4,
    "haproxy_cache_object_kilobytes": 100,
    "haproxy_global_extra": "maxconn 5000",
    "haproxy_defaults_extra": "",
    "haproxy_frontend_extra": "use_backend aside if { path_beg /aside/ }",
    "haproxy_backend_extra": {"docker": "http-response set-header X-Through docker"},
    "haproxy_extra": "backend maintenance-2\n# backend maintenance\nfrontend aside\n",
    "haproxy_stats_password": "secret",
}
PEM = "-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"haproxy_tls_certificate": PEM, "pem": PEM, "haproxy_tls_redirect": True},
        HTTPS_OFF | {"haproxy_tls_certificate": ""},
        {"haproxy_fallback_backend": "", "haproxy_tcp_services": []},
        {"haproxy_cache": "false", "haproxy_cache_megabytes": 0},
    ],
)
def test_good_input(settings: dict[str, Any]) -> None:
    assert load_balancer_problems(SITE | settings) == []


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str) -> None:
    settings, words = CASES[case]
    problems = load_balancer_problems(SITE | settings)
    assert [words in problem for problem in problems].count(True) == 1, problems


def test_all_problems_are_found_at_once() -> None:
    wrong = {"haproxy_stats_password": "", "haproxy_initial_backend": "nosuch"}
    assert len(load_balancer_problems(SITE | wrong)) == 2
