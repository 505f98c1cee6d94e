"""What is killed: site.yml on machines of the lab, from one setting to another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.paths import ROOT

# A copy of the application with one page more.
RELEASE = ROOT / "build/killed/release"
# Whom the database lets in by default.
WEB = ["legacy_web", "docker_hosts", "swarm_managers", "swarm_workers"]
SAME_IMAGE = {"web_containers_image": "bookface/web:killed"}
NEWER = {"bookface_source": {"type": "path", "location": str(RELEASE)}}


@dataclass(frozen=True)
class Subject:
    """A role, its machines, and two settings of it that differ in as much as one run can change.

    C(beside) are machines that the run changes as well. C(first) are commands for machines before
    each run: they undo what it would find done.
    """

    name: str
    machines: tuple[str, ...]
    settings: tuple[Mapping[str, object], Mapping[str, object]]
    beside: tuple[str, ...] = ()
    first: Mapping[str, str] = field(default_factory=dict)

    @property
    def playbook(self) -> str:
        """Its part of site.yml. What the other roles make is there, and would not change."""
        play = {"hosts": ",".join(self.machines), "become": True}
        return json.dumps([{**play, "roles": [f"bookface.platform.{self.name}"]}])


SUBJECTS = (
    # A container more, and all others replaced.
    Subject(
        "web_containers",
        ("docker1",),
        (
            {"web_containers_log_files": 3, "bookface_container_count": 2, **SAME_IMAGE},
            {"web_containers_log_files": 4, "bookface_container_count": 3, **SAME_IMAGE},
        ),
        beside=("lb1",),
        first={
            "docker1": "docker ps --quiet | head -1 | xargs docker inspect --format '{{.Image}}'"
            f" | xargs -I ID docker tag ID {SAME_IMAGE['web_containers_image']}"
        },
    ),
    # Other secrets, other tasks.
    Subject(
        "swarm",
        ("swarm1", "swarm2"),
        (
            {"swarm_memory": "512M", "bookface_frontpage_limit": 10},
            {"swarm_memory": "500M", "bookface_frontpage_limit": 11},
        ),
    ),
    Subject(
        "legacy_web",
        ("web1",),
        (
            {"legacy_web_port": 80, "bookface_frontpage_limit": 10},
            {"legacy_web_port": 8082, "bookface_frontpage_limit": 11, **NEWER},
        ),
        first={"web1": "rm -f /var/www/html/news.html"},
    ),
    # One setting that wants a restart, one that wants a reload.
    Subject(
        "docker_ce",
        ("docker1",),
        (
            {"docker_ce_daemon": {"debug": False}, "docker_ce_hold": False},
            {
                "docker_ce_daemon": {
                    "debug": True,
                    "default-address-pools": [{"base": "172.30.0.0/16", "size": 24}],
                },
                "docker_ce_hold": True,
                "docker_ce_users": ["debian"],
            },
        ),
        first={"docker1": "gpasswd --delete debian docker > /dev/null 2>&1; true"},
    ),
    Subject(
        "pgbouncer",
        ("web1",),
        (
            {"bookface_pooler_port": 6432, "pgbouncer_pool_size": 10},
            {"bookface_pooler_port": 6433, "pgbouncer_pool_size": 11},
        ),
    ),
    Subject(
        "database",
        ("db1",),
        (
            {"database_client_groups": WEB},
            {"database_client_groups": [*WEB, "databases"], "database_listen_addresses": ["*"]},
        ),
    ),
    Subject(
        "cache",
        ("db1",),
        ({"cache_memory_megabytes": 64}, {"cache_memory_megabytes": 65}),
    ),
    Subject(
        "page_cache",
        ("lb1",),
        (
            {"page_cache_seconds": 2, "page_cache_megabytes": 64},
            {"page_cache_seconds": 3, "page_cache_megabytes": 65},
        ),
    ),
    Subject(
        "haproxy",
        ("lb1",),
        (
            {"haproxy_frontend_extra": "http-response set-header X-Setting one"},
            {
                "haproxy_frontend_extra": "http-response set-header X-Setting two",
                "haproxy_tls_bind": "*:443",
                "haproxy_tls_certificate": "self-signed",
            },
        ),
    ),
    Subject(
        "firewall",
        ("web1",),
        (
            {"firewall_metadata_access": False},
            {
                "firewall_metadata_access": True,
                "firewall_extra": [{"port": 9100, "protocol": "tcp", "sources": ["192.0.2.0/24"]}],
            },
        ),
    ),
    # Built from the same layers, but for the code.
    Subject(
        "bookface_image",
        ("docker1",),
        ({}, NEWER),
        first={
            "docker1": "docker image ls -q bookface/web | xargs docker image rm -f 2> /dev/null"
        },
    ),
    Subject(
        "db_optimize",
        ("db1",),
        ({"db_optimize_state": "present"}, {"db_optimize_state": "absent"}),
    ),
)
