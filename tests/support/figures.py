"""Figures that tests tell beside their verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Say = Callable[[str], None]


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Say:
    """Tell a figure, also where the test passes."""
    capture: Any = pytestconfig.pluginmanager.getplugin("capturemanager")

    def tell(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", flush=True)

    return tell
