"""Reports of looks, as heal.yml would write them."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.watch.report import Report, parse

EXIT = {"healthy": 0, "mended": 1, "broken": 2}


def part(id_: str, state: str = "up", **more: Any) -> dict[str, Any]:
    """A part; its host, kind and name are in its id."""
    host, kind, name = id_.split("/")
    return {
        "id": id_,
        "host": host,
        "kind": kind,
        "name": name,
        "state": state,
        "cause": None,
        "action": None,
        "wanted": None,
        "tries": 0,
        **more,
    }


def text(time: float, /, *parts: dict[str, Any], **more: Any) -> str:
    """The text of a report."""
    status = "healthy"
    if any(one["action"] for one in parts):
        status = "mended"
    if any(one["state"] != "up" for one in parts):
        status = "broken"
    return json.dumps(
        {
            "version": 1,
            "time": datetime.fromtimestamp(time, timezone.utc).isoformat(),
            "seconds": 5.0,
            "status": status,
            "exit_status": EXIT[status],
            "active": {"lb1": "docker"},
            "parts": list(parts),
            **more,
        }
    )


def report(time: float, /, *parts: dict[str, Any], **more: Any) -> Report:
    """The same, read."""
    written = text(time, *parts, **more)
    return parse(written, json.loads(written)["exit_status"], time)
