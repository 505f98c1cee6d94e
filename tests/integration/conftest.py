"""What the tests of several directories share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from workalike.support import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One PostgreSQL for all that leave it as they found it: databases and roles of their own, or
    the work-alike's database emptied and filled at their begin."""
    cluster = Cluster()
    yield cluster
    cluster.remove()
