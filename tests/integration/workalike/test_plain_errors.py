# SPDX-License-Identifier: GPL-3.0-or-later
"""What filters and lookups refuse reaches the user in their own words, from every role."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.commands import Run

from .cases import play_cases

# Entry point, the variables that are given, the whole message.
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "count": (
        "web_containers/main",
        {"bookface_container_count": 0},
        "bookface_container_count is 0; expected a number from 1. Nothing was changed.",
    ),
    "range": (
        "web_containers/main",
        {"bookface_container_first_port": 65535},
        "bookface_container_first_port is 65535, which with 2 containers gives ports 65535-65536;",
    ),
    "iterations": (
        "toolbox/preflight",
        {"bookface_db_scram_iterations": 64},
        "bookface_db_scram_iterations is 64 for a password of 1 characters. Fewer than 4096",
    ),
    "database": (
        "database/main",
        {"bookface_db_scram_iterations": 64, "bookface_db_owner_password": "y"},
        "bookface_db_scram_iterations is 64 for a password of 1 characters. Fewer than 4096",
    ),
    "php": (
        "toolbox/preflight",
        {"bookface_config_style": "php", "bookface_config": {"colours": ["red"]}},
        "A config.php cannot hold a value that is a list; expected text, a number",
    ),
    "source": (
        "toolbox/source",
        {"bookface_source": {"type": "path", "location": "/nosuch"}},
        "bookface_source (path /nosuch) has no index.php at its top, in code/, or",
    ),
    "first-boot": (
        "docker_ce/first_boot",
        {
            # Docker's own key would be fetched first.
            "docker_ce_origin": "distribution",
            "docker_ce_suite": "bookworm",
            "docker_ce_distribution": "debian",
            "docker_ce_architecture": "amd64",
            "docker_ce_daemon": {"debug": "perhaps"},
        },
        'docker_ce_daemon: debug is "perhaps": expected',
    ),
    "description": (
        "openstack/describe",
        {"openstack_vms": [{"name": "a", "groups": ["web"]}]},
        "a is in the unknown group web; known: ",
    ),
    "firewall": (
        "firewall/main",
        {"firewall_extra": [{"port": "99999", "sources": ["10.0.0.0/8"]}]},
        "firewall_extra has the port 99999: expected a port from 1 to 65535, or a range",
    ),
    "port-source": (
        "firewall/main",
        {"firewall_extra": [{"port": "9100", "sources": ["nosuch"]}]},
        "firewall_extra has 'nosuch': ",
    ),
}
# Of what is wrong with one host, each role speaks that reads the inventory, on whichever host.
READERS = ("haproxy/preflight", "firewall/main", "toolbox/preflight", "topology/main")
WRONG_HOSTS = {
    "web1": {"bookface_legacy_port": "eighty"},
    "docker1": {"web_containers_list": [{"name": "a"}]},
}
SITE = {
    "bookface_db_password": "x",
    "bookface_db_host": "192.0.2.5",
    "haproxy_stats_password": "z",
    "bookface_address": "192.0.2.9",
    "ansible_python_interpreter": "/usr/bin/python3",
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Run:
    cases = {name: {"entry": entry, **given} for name, (entry, given, _said) in REFUSED.items()}
    return play_cases(tmp_path_factory.mktemp("refused"), cases, SITE)


@pytest.mark.parametrize("name", REFUSED)
def test_a_message_has_the_plugin_s_own_words(refused: Run, name: str) -> None:
    said = refused.message(name)
    assert said.startswith(REFUSED[name][2]), said or refused.output[-30000:]
    assert "failed" not in said
    assert "changed." in said[-20:]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Run:
    cases = {entry.partition("/")[0]: {"entry": entry} for entry in READERS}
    groups = {
        "legacy_web": {"hosts": {"web1": WRONG_HOSTS["web1"]}},
        "docker_hosts": {"hosts": {"docker1": WRONG_HOSTS["docker1"]}},
    }
    return play_cases(tmp_path_factory.mktemp("read"), cases, SITE, groups)


@pytest.mark.parametrize("name", [entry.partition("/")[0] for entry in READERS])
def test_a_wrong_host_is_named_by_every_role_that_reads_the_inventory(read: Run, name: str) -> None:
    assert read.message(name) == (
        "bookface_legacy_port of web1 is eighty; expected a port from 1 to 65535."
        " web_containers_list of docker1 has {'name': 'a'}; expected entries with name and port,"
        " such as {name: web-1, port: 32001}. Nothing was changed."
    )
