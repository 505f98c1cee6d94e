#!/usr/bin/env python3
"""`make docs`: write each role's table of variables into its README, from argument_specs.yml.

With --check, say which READMEs are out of date and change nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- variables, written by make docs -->", "<!-- end of variables -->"


def cell(value: Any) -> str:
    """A value as one cell of a Markdown table."""
    if isinstance(value, list):
        value = " ".join(value)
    return " ".join(str(value).split()).replace("|", "\\|")


def shown(option: dict[str, Any]) -> str:
    """Default of an option as the table shows it."""
    if "default" not in option:
        return "*to be set*" if option.get("required") else "*not set*"
    default = option["default"]
    if isinstance(default, bool):
        default = str(default).lower()
    if isinstance(default, list) and not all(isinstance(item, str) for item in default):
        return "see [defaults](defaults/main.yml)"
    return f"`{cell(default)}`" if default not in ("", None, [], {}) else "empty"


def plain(text: Any) -> str:
    """Ansible's markup as Markdown's."""
    words = cell(text)
    for mark in ("C(", "O(", "V(", "E("):
        while (start := words.find(mark)) >= 0:
            end = words.index(")", start)
            words = f"{words[:start]}`{words[start + 2 : end]}`{words[end + 1 :]}"
    return words


def specifications(role: Path) -> dict[str, Any]:
    """The entry points of one role; none if it takes no variables."""
    specs: dict[str, Any] = yaml.safe_load((role / "meta/argument_specs.yml").read_text())
    return specs["argument_specs"] or {}


def table(specs: dict[str, Any]) -> str:
    """The table of one role."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    told = set()
    for entry in specs.values():
        for name, option in entry.get("options", {}).items():
            # Several entry points may take the same.
            if name in told:
                continue
            told.add(name)
            rows.append(f"| `{name}` | {shown(option)} | {plain(option['description'])} |")
    return "\n".join(rows)


def main() -> int:
    """Write or check all READMEs."""
    check = "--check" in sys.argv[1:]
    stale = []
    for role in sorted((ROOT / "roles").iterdir()):
        specs = specifications(role)
        if not specs:
            continue
        readme = role / "README.md"
        text = readme.read_text()
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        if not rest:
            sys.exit(f"{readme}: the line {BEGIN} is missing")
        wanted = f"{before}{BEGIN}\n{table(specs)}\n{END}{after}"
        if wanted != text:
            stale.append(role.name)
            if not check:
                readme.write_text(wanted)
    if check and stale:
        print(f"out of date: {', '.join(stale)}; run make docs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
