"""The engines as the role has installed them."""

from __future__ import annotations

import json
import re

from testinfra.host import Host

# The machines as the lab names them. Quicker than SSH, and root.
testinfra_hosts = ["docker://bookface-docker-ce-ce12", "docker://bookface-docker-ce-ce13"]

SOURCE = "/etc/apt/sources.list.d/docker.sources"
DOCKERS = [
    "docker-ce",
    "docker-ce-cli",
    "containerd.io",
    "docker-buildx-plugin",
    "docker-compose-plugin",
]
DISTRIBUTIONS = ["docker.io", "docker-cli", "containerd", "runc"]


def test_dockers_own_packages_and_none_of_the_distribution(host: Host) -> None:
    show = "dpkg-query --show --showformat '${db:Status-Status} ${Package}\n'"
    # It is an error to dpkg if it does not know one of them.
    lines = host.run(f"{show} {' '.join(DOCKERS + DISTRIBUTIONS)}").stdout.splitlines()
    installed = [line.split()[1] for line in lines if line.startswith("installed ")]
    assert sorted(installed) == sorted(DOCKERS)


def test_the_packages_are_those_of_the_mirror(host: Host) -> None:
    text = host.check_output(f"apt-cache policy {' '.join(DOCKERS)}")
    packages = re.findall(r"^\S+:\n(?: .*\n?)+", text, re.MULTILINE)
    assert len(packages) == len(DOCKERS)
    assert all("127.0.0.1:8090/linux/debian" in package for package in packages)


def test_one_source_with_its_key(host: Host) -> None:
    text = host.file(SOURCE).content_string
    assert f"Suites: {host.system_info.codename}\n" in text
    assert "BEGIN PGP PUBLIC KEY BLOCK" in text
    assert host.file(SOURCE).mode == 0o644


def test_older_sources_are_gone_and_nobody_elses(host: Host) -> None:
    assert not host.file("/etc/apt/sources.list.d/docker.list").exists
    assert not host.file("/etc/apt/keyrings/docker.gpg").exists
    mine = host.file("/etc/apt/sources.list.d/mine.list").content_string
    assert "file:/srv/mine" in mine
    assert "docker" not in mine
    assert host.run("apt-get update --error-on=any").rc == 0


def test_the_engine_has_the_platforms_configuration(host: Host) -> None:
    asked = "{{json .LiveRestoreEnabled}} {{json .LoggingDriver}}"
    assert host.check_output(f"docker info --format '{asked}'") == 'true "json-file"'


def test_containers_reach_each_other_on_networks_of_their_own_only(host: Host) -> None:
    """By address on the network that all share: that is what icc is about."""
    ping = "docker run --rm --network %s bookface/proof:busybox /busybox ping -c 1 -w 3 %s"
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    host.check_output("docker network create own")
    try:
        for network, answers in (("bridge", False), ("own", True)):
            other = host.check_output(
                f"docker run --detach --rm --network {network}"
                " bookface/proof:busybox /busybox sleep 300"
            )
            found = host.check_output(f"docker inspect --format '{address}' {other}")
            assert host.run(ping % (network, found)).succeeded is answers
            host.check_output(f"docker rm --force {other}")
    finally:
        host.check_output("docker network rm own")


def test_no_process_in_a_container_gains_rights(host: Host) -> None:
    status = "docker run --rm bookface/proof:busybox /busybox grep NoNewPrivs /proc/self/status"
    assert host.check_output(status).split() == ["NoNewPrivs:", "1"]


def test_a_container_has_the_log_limits(host: Host) -> None:
    run = "docker create bookface/proof:busybox /busybox true"
    name = host.check_output(run)
    found = host.check_output(f"docker inspect --format '{{{{json .HostConfig}}}}' {name}")
    assert json.loads(found)["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    host.check_output(f"docker rm {name}")


def test_no_tcp_socket(host: Host) -> None:
    assert "dockerd" not in host.check_output("ss -tlnp")


def test_started_at_every_boot(host: Host) -> None:
    assert host.service("docker").is_enabled
    assert host.service("docker").is_running
