# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of an installed watch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.watch.changes import Settings
from ansible_collections.bookface.platform.plugins.module_utils.watch.notify import (
    Target,
    targets_of,
)

DEFAULT = Path("/etc/bookface-watch/config.json")
NUMBERS = {
    "interval": float,
    "timeout": float,
    "notify_after": int,
    "still_down": float,
    "per_hour": int,
    "keep": float,
}


class ConfigError(Exception):
    """The watch is not installed as it should be."""


@dataclass(frozen=True)
class Config:
    """What roles/watch writes into config.json."""

    site: str
    # What is run for a look; the path of its report is appended.
    command: tuple[str, ...]
    environment: Mapping[str, str]
    # Where everything is that changes, readable by root only.
    state: Path
    # JSON: the list of URLs that are notified.
    urls: Path
    # JSON: further variables of the environment, such as the credentials of a cloud.
    credentials: Path | None = None
    interval: float = 60.0
    # Seconds after which a look is ended.
    timeout: float = 300.0
    notify_after: int = 2
    still_down: float = 1800.0
    per_hour: int = 12
    keep: float = 90 * 86400.0
    # Starts the delivery elsewhere, so that no receiver delays a look. Empty: none.
    deliver: tuple[str, ...] = field(default_factory=tuple)

    @property
    def history(self) -> Path:
        """The database."""
        return self.state / "history.db"

    @property
    def pause(self) -> Path:
        """Holds the time until which nobody looks."""
        return self.state / "paused"

    @property
    def settings(self) -> Settings:
        """When people are told."""
        return Settings(self.notify_after, self.still_down)

    def whole_environment(self) -> dict[str, str]:
        """What the run has in its environment, with the credentials."""
        found: Any = (_secret(self.credentials) if self.credentials else None) or {}
        if not isinstance(found, dict):
            raise ConfigError(f"{self.credentials} has no variables: run watch.yml again")
        return {**self.environment, **{str(key): str(one) for key, one in found.items()}}

    def targets(self) -> list[Target]:
        """Who is notified."""
        return targets_in(self.urls)


def targets_in(path: Path) -> list[Target]:
    """Those whose URLs are in a file; none without one."""
    urls = _secret(path)
    if urls is None:
        return []
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise ConfigError(f"{path} is no list of URLs: run watch.yml again")
    return targets_of(urls)


def _secret(path: Path) -> Any:
    """What is in a file of JSON; None without one. An error does not quote it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise ConfigError(f"{path} cannot be read, or is no JSON: run watch.yml again") from None


def load(path: Path) -> Config:
    """The settings in a file."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        lists: dict[str, Any] = {
            key: tuple(found[key]) for key in ("command", "deliver") if key in found
        }
        paths: dict[str, Any] = {
            key: Path(found[key]) for key in ("state", "urls", "credentials") if key in found
        }
        # Ansible up to 2.18 makes text of a number that a template returns within a dictionary.
        numbers: dict[str, Any] = {
            key: kind(found[key]) for key, kind in NUMBERS.items() if key in found
        }
        found = {**found, **lists, **paths, **numbers}
        return Config(**found)
    except PermissionError:
        raise ConfigError(f"{path} is for root only: use sudo") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{path} cannot be used: {error}. Run watch.yml again") from error
