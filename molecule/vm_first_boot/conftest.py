"""The machines that booted with user data."""

from __future__ import annotations

import sys

import pytest
from commands import ROOT
from figures import say

sys.path.insert(0, str(ROOT / "tests/lab/vm"))

from virtual_machines import Lab

__all__ = ["say"]


@pytest.fixture(scope="session")
def lab() -> Lab:
    """Machines without anything that Ansible did."""
    return Lab.of("bookface-vm-first-boot")
