"""The machines that booted with user data."""

from __future__ import annotations

import pytest

from tests.lab.vm.virtual_machines import Lab
from tests.support.figures import say

__all__ = ["say"]


@pytest.fixture(scope="session")
def lab() -> Lab:
    """Machines without anything that Ansible did."""
    return Lab.of("bookface-vm-first-boot")
