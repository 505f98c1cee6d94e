"""The lab that tests are run on, as a fixture."""

from __future__ import annotations

import os

import pytest

from tests.support.platform import Platform


@pytest.fixture(scope="session")
def platform() -> Platform:
    """The lab whose inventory BOOKFACE_INVENTORY names."""
    return Platform.of(os.environ["BOOKFACE_INVENTORY"])
