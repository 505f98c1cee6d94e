"""The role on machines that user data made, and a power cut."""

from __future__ import annotations

import re
import time

import pytest

from tests.lab.vm.virtual_machines import Lab
from tests.support.commands import Run, ansible
from tests.support.figures import Say
from tests.support.paths import ROOT
from tests.support.waiting import until

MACHINES = ("new1", "new2")
CONVERGE = str(ROOT / "molecule/vm_first_boot/converge.yml")


def test_role_finds_nothing_to_do_but_its_proof() -> None:
    done = Run.of(ansible("ansible-playbook", CONVERGE)).ok()
    assert done.changes == {"Create the test image"}
    assert set(done.changed) == set(MACHINES)


def state(lab: Lab, name: str, container: str) -> str:
    form = "'{{.State.Status}}'"
    return lab.ssh(name, f"docker inspect --format {form} {container}", check=False)


@pytest.fixture(scope="module")
def after_power_cut(lab: Lab, say: Say) -> None:
    """The power was cut under two running containers, and is back."""
    sleep = "--network none bookface/proof:busybox /busybox sleep 1000000"
    for name in MACHINES:
        lab.ssh(name, f"docker run --detach --name lasting --restart unless-stopped {sleep}")
        lab.ssh(name, f"docker run --detach --name passing {sleep}")
        lab.ssh(name, "sync")
    lab.cut(*MACHINES)
    began = time.monotonic()
    for name in MACHINES:
        lab.power_on(name)
    for name in MACHINES:
        lab.start(name)
        ssh = time.monotonic() - began
        until(lambda name=name: state(lab, name, "lasting") == "running", "a container", 120)
        container = time.monotonic() - began
        say(f"{name}: power on -> SSH {ssh:.1f} s, container again {container:.1f} s")


@pytest.mark.usefixtures("after_power_cut")
class TestAfterPowerCut:
    def test_container_came_back_by_itself(self, lab: Lab) -> None:
        for name in MACHINES:
            assert state(lab, name, "lasting") == "running"

    def test_container_without_a_restart_policy_did_not(self, lab: Lab) -> None:
        for name in MACHINES:
            assert state(lab, name, "passing") == "exited"

    def test_user_data_ran_once(self, lab: Lab) -> None:
        for name in MACHINES:
            lab.ssh(name, "timeout 120 cloud-init status --wait")
            log = lab.ssh(name, "sudo cat /var/log/cloud-init-output.log")
            assert len(re.findall(r"Cloud-init v\. \S+ finished at", log)) == 2
            assert log.count("Setting up docker.io") == 1
