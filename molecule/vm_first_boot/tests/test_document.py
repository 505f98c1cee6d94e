"""Every command of docs/first-boot.md that asks a machine: the outputs in the text are true."""

from __future__ import annotations

import shlex

import pytest

from tests.e2e.exercises import Command, agree, commands
from tests.lab.vm.virtual_machines import Lab
from tests.support.paths import ROOT

COMMANDS = commands(ROOT / "docs/first-boot.md") + commands(ROOT / "docs/no/first-boot.md")


@pytest.mark.parametrize("command", [one for one in COMMANDS if one.machine], ids=str)
def test_command_prints_what_the_text_says(lab: Lab, command: Command) -> None:
    seen = lab.ssh(command.machine, f"sudo sh -c {shlex.quote(command.command)}")
    assert agree(command.output, seen), (
        f"{command.command}\n--- the text says\n{command.output}\n--- seen\n{seen}"
    )
