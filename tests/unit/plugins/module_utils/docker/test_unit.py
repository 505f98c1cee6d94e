"""Which options the engine's unit gives as flags, and in which file."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.docker.unit import (
    INIT_SCRIPT,
    PACKAGED,
    flags,
)

DEBIAN = """\
# /lib/systemd/system/docker.service
[Unit]
Description=Docker Application Container Engine

[Service]
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS
ExecReload=/bin/kill -s HUP $MAINPID
"""
DROP_IN = """
# /etc/systemd/system/docker.service.d/override.conf
[Service]
# ExecStart=/usr/sbin/dockerd --icc=false
ExecStart=
"""


def found(unit: str, files: dict[str, str] | None = None) -> dict[str, str]:
    read = (files or {}).get
    return {key: str(flag) for key, flag in flags(unit, lambda path: read(path, "")).items()}


def test_the_unit_of_the_packages() -> None:
    unit = "/lib/systemd/system/docker.service"
    assert found(DEBIAN) == {"hosts": f"-H in {unit}", "containerd": f"--containerd in {unit}"}
    assert found(PACKAGED).keys() == {"hosts", "containerd"}
    assert found(INIT_SCRIPT) == {}


def test_a_drop_in_replaces_the_command() -> None:
    there = "/etc/systemd/system/docker.service.d/override.conf"
    assert found(DEBIAN + DROP_IN + "ExecStart=/usr/sbin/dockerd\n") == {}
    command = "ExecStart=/usr/sbin/dockerd \\\n  --icc=false \\\n  -D --data-root /mnt/docker\n"
    assert found(DEBIAN + DROP_IN + command) == {
        "icc": f"--icc in {there}",
        "debug": f"-D in {there}",
        "data-root": f"--data-root in {there}",
    }


def test_options_in_the_environment() -> None:
    options = '# DOCKER_OPTS="--dns 10.0.0.1"\nDOCKER_OPTS="--mtu=1400 --log-opt max-size=5m"\n'
    assert found(DEBIAN, {"/etc/default/docker": options}).items() >= {
        ("mtu", "--mtu in /etc/default/docker"),
        ("log-opts", "--log-opt in /etc/default/docker"),
    }
    assert found(INIT_SCRIPT, {"/etc/default/docker": options}).keys() == {"mtu", "log-opts"}
    proxied = DEBIAN + DROP_IN + 'Environment="ARGS=--debug"\nExecStart=dockerd ${ARGS}\n'
    assert found(proxied).keys() == {"debug"}


@pytest.mark.parametrize(
    ("flag", "key", "value"),
    [
        ("--label role=worker", "labels", "role=worker"),
        ("--insecure-registry=10.0.0.1:5000", "insecure-registries", "10.0.0.1:5000"),
        ("--add-runtime nvidia=/usr/bin/nvidia", "runtimes", "nvidia=/usr/bin/nvidia"),
        ("--http-proxy http://proxy", "proxies", "http://proxy"),
        ("--default-address-pool base=10.0.0.0/8,size=24", "default-address-pools", None),
        ("-Htcp://0.0.0.0:2375", "hosts", "tcp://0.0.0.0:2375"),
        ("-s overlay2", "storage-driver", "overlay2"),
        ("--config-file /srv/daemon.json", "config-file", "/srv/daemon.json"),
        ("--live-restore --icc", "live-restore", ""),
    ],
)
def test_the_key_that_a_flag_excludes(flag: str, key: str, value: str | None) -> None:
    given = flags(f"ExecStart=dockerd {flag}", lambda _: "")
    assert key in given
    assert value is None or given[key].value == value


def test_quotes_that_do_not_match() -> None:
    assert found("ExecStart=dockerd --label 'a --debug").keys() == {"labels", "debug"}
