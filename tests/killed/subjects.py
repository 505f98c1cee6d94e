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
# A user that one of two dumps has.
ONE_MORE = "insert into users (name) values (current_user)"
# Two stopped containers and two old images of ours, and a newer one.
LITTER = """
docker container ls --all --quiet --filter name=killed- | xargs -r docker container rm --force
docker image ls --quiet killed/web | sort -u | xargs -r docker image rm --force
for number in 1 2 3; do
  tar -C /etc -c hostname \\
    | docker import --change 'LABEL platform.bookface.made=bookface_image' - killed/web:$number
  sleep 1.1
done
for number in 1 2; do
  docker create --name killed-$number --label platform.bookface.role=web killed/web:$number /none
done
"""
NEWER = {"bookface_source": {"type": "path", "location": str(RELEASE)}}


@dataclass(frozen=True)
class Subject:
    """A role, its machines, and two settings of it that differ in as much as one run can change.

    C(beside) are machines that the run changes as well. C(first) are commands for machines before
    each run: they undo what it would find done. C(file) is a playbook to run, for the role's part
    of site.yml.
    """

    name: str
    machines: tuple[str, ...]
    settings: tuple[Mapping[str, object], Mapping[str, object]]
    beside: tuple[str, ...] = ()
    first: Mapping[str, str] = field(default_factory=dict)
    file: str = ""

    @property
    def playbook(self) -> str:
        """What is run. What the other roles make is there, and would not change."""
        if self.file:
            return json.dumps([{"import_playbook": str(ROOT / self.file)}])
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
    # Into another directory; of the backups before, none is kept.
    Subject(
        "backup",
        ("db1",),
        (
            {"database_backup_directory": "/var/backups/bookface", "database_backup_keep": 1},
            {"database_backup_directory": "/var/backups/bookface-b", "database_backup_keep": 1},
        ),
        first={"db1": "rm -rf /var/backups/bookface*"},
        file="playbooks/backup.yml",
    ),
    # A dump with one user more, and back.
    Subject(
        "restore",
        ("db1",),
        tuple(
            {
                "database_restore_file": f"/var/lib/postgresql/{users}.dump",
                "confirm_restore": "bf",
            }
            for users in ("as-before", "one-more")
        ),
        first={
            "db1": f"""cd /var/lib/postgresql
[ -e one-more.dump ] || su postgres -c "
  pg_dump --format=custom --file=as-before.dump bf
  psql -qc '{ONE_MORE}' bf
  pg_dump --format=custom --file=one-more.dump bf"
"""
        },
        file="playbooks/restore.yml",
    ),
    # Stopped containers and old images; the other run removes nothing.
    Subject(
        "maintenance",
        ("docker1",),
        ({}, {"remove_stopped": True, "prune_images": True}),
        first={"docker1": LITTER},
        file="playbooks/maintenance.yml",
    ),
)
