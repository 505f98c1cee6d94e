"""These tests are run on a lab."""

from tests.support.lab import platform

__all__ = ["platform"]
