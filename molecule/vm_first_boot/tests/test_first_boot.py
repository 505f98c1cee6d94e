"""What user data alone made, before any role has seen the machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lab.vm.virtual_machines import Lab

MACHINES = ("new1", "new2")
HELLO = "run --rm --network none hello /busybox echo hello from a container"


@pytest.mark.parametrize("name", MACHINES)
class TestMachine:
    def test_cloud_init_is_done_with_it(self, lab: Lab, name: str) -> None:
        status = json.loads(lab.ssh(name, "cloud-init status --format json"))
        assert (status["status"], status["errors"]) == ("done", [])
        assert "DataSourceNoCloud [seed=/dev/ubdb]" in status["detail"]

    def test_it_has_a_kernel_of_its_own(self, lab: Lab, name: str) -> None:
        assert lab.ssh(name, "systemd-detect-virt") == "uml"
        boot = Path("/proc/sys/kernel/random/boot_id")
        assert lab.ssh(name, f"cat {boot}") != boot.read_text().strip()

    def test_account_may_use_the_engine(self, lab: Lab, name: str) -> None:
        assert lab.ssh(name, "docker version --format '{{.Server.Version}}'")

    def test_engine_runs_a_container(self, lab: Lab, name: str) -> None:
        lab.ssh(name, "tar -C /usr/bin -c busybox | docker import - hello")
        assert lab.ssh(name, f"docker {HELLO}") == "hello from a container"

    def test_engine_is_configured(self, lab: Lab, name: str) -> None:
        form = "'{{.LoggingDriver}} {{.LiveRestoreEnabled}}'"
        assert lab.ssh(name, f"docker info --format {form}") == "json-file true"

    def test_engine_comes_back_at_boot(self, lab: Lab, name: str) -> None:
        assert lab.ssh(name, "systemctl is-enabled docker") == "enabled"

    def test_package_is_held(self, lab: Lab, name: str) -> None:
        assert "docker.io" in lab.ssh(name, "apt-mark showhold").split()


def test_both_ways_make_the_same(lab: Lab) -> None:
    """Recommended packages aside, which cloud-init installs."""
    told = {
        lab.ssh(
            name,
            "cat /etc/docker/daemon.json; id --name --groups debian;"
            " dpkg-query --show docker.io busybox-static python3-docker",
        )
        for name in MACHINES
    }
    assert len(told) == 1
