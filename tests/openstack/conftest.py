"""The cloud of tests/lab/openstack, started once, and an inventory for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from described import LOADBALANCERS, PLATFORM, VMS, Site, inventory

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
    made = inventory(lab, tmp_path_factory.mktemp("site"), PLATFORM)
    made.vms[:] = VMS
    made.group_vars("loadbalancers", LOADBALANCERS)
    return made
