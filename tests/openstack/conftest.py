"""The cloud of tests/lab/openstack, started once, and an inventory for it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest
import yaml
from described import LOADBALANCERS, ROOT, VMS, Site

from tests.lab.openstack.lab import FIRST_PORT, Lab


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("cloud"), FIRST_PORT)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The project's own inventory, with the test's cloud in the place of the user's."""
    directory = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "inventories/openstack", directory / "inventory")
    file = directory / "inventory/openstack.yml"
    told = yaml.safe_load(file.read_text()) | {"only_clouds": ["lab"]}
    file.write_text(yaml.safe_dump(told))
    subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", directory / "id"], check=True)
    made = Site(directory, lab, [*VMS])
    made.group_vars("loadbalancers", LOADBALANCERS)
    return made
