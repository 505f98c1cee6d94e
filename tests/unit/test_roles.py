"""Each role's inputs: defaults and argument_specs agree, and each has a word of explanation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    return loaded


def options(role: str) -> dict[str, Any]:
    specs = load(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]
    merged: dict[str, Any] = {}
    for entry in specs.values():
        merged |= entry.get("options", {})
    return merged


def plain(value: Any) -> Any:
    """A value without the line breaks that only the file's layout brings."""
    return " ".join(value.split()) if isinstance(value, str) else value


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_specification_agree(role: str) -> None:
    defaults = load(ROOT / "roles" / role / "defaults/main.yml")
    specified = options(role)
    with_default = {name for name, option in specified.items() if "default" in option}
    assert with_default == set(defaults)
    for name, value in defaults.items():
        assert plain(specified[name]["default"]) == plain(value), name


@pytest.mark.parametrize("role", ROLES)
def test_inputs_carry_the_role_s_name_and_a_description(role: str) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role}_"), name
        assert option.get("description"), name


@pytest.mark.parametrize("role", ROLES)
def test_every_default_has_a_comment_above_its_group(role: str) -> None:
    lines = (ROOT / "roles" / role / "defaults/main.yml").read_text().splitlines()
    for number, line in enumerate(lines):
        if line and line[0].islower() and ":" in line:
            above = next((text for text in reversed(lines[:number]) if text[:1] in ("#", "")), "")
            assert above.startswith("#"), f"{line} has no comment"
