"""Bad input ends before anything is looked at, with what was given and what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.support.commands import ansible

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
    "backend twice": (
        {"haproxy_backends": [LEGACY, LEGACY]},
        "need a name each; given are legacy,",
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


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the role's first steps say to each case, from one run of Ansible."""
    folder = tmp_path_factory.mktemp("preflight")
    role = {"name": "bookface.platform.haproxy", "tasks_from": "preflight"}
    tasks: list[dict[str, Any]] = [
        {
            "vars": variables,
            "block": [{"ansible.builtin.include_role": role}],
            "rescue": [
                {
                    "ansible.builtin.set_fact": {
                        "said": "{{ said | default({}) | combine({name: why | to_json}) }}"
                    },
                    "vars": {"name": name, "why": "{{ ansible_failed_result }}"},
                }
            ],
        }
        for name, variables in [("nothing", {}), *((n, v) for n, (v, _words) in CASES.items())]
    ]
    report = {"dest": str(folder / "said.json"), "content": "{{ said | to_json }}", "mode": "0600"}
    tasks.append({"ansible.builtin.copy": report, "delegate_to": "localhost"})
    playbook = folder / "playbook.yml"
    playbook.write_text(yaml.dump([{"hosts": "lb26", "gather_facts": False, "tasks": tasks}]))
    done = ansible("ansible-playbook", str(playbook))
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, str] = json.loads((folder / "said.json").read_text())
    return said


def test_good_input_is_not_refused(refusals: dict[str, str]) -> None:
    assert "nothing" not in refusals, refusals["nothing"]


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused(refusals: dict[str, str], case: str) -> None:
    assert CASES[case][1] in refusals.get(case, "not refused")
