"""Every command of docs/exercises.md, run on the lab: the outputs in the text are true."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from tests.e2e.exercises import Command, agree, commands
from tests.support.paths import ROOT
from tests.support.platform import Platform

COMMANDS = commands(ROOT / "docs/exercises.md")
# The longest of them are runs of site.yml.
SECONDS = 600
# Version of the engine as its package has it: the text shows that of Debian 12.
PACKAGED = "dpkg-query --show --showformat '${source:Upstream-Version}...' docker.io"


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_command_prints_what_the_text_says(platform: Platform, command: Command) -> None:
    if command.why_not:
        pytest.skip(command.why_not)

    def here(text: str) -> str:
        """The text speaks of the demo's lab; this may be another one."""
        text = text.replace("http://127.0.0.1:8080/", platform.url)
        text = text.replace("20.10...", platform.node("docker1", PACKAGED))
        return text.replace("bookface-docker1", f"{platform.name}-docker1")

    words, output = here(command.command), here(command.output)
    # Some wait for something: where it never comes `timeout` ends them, with 124.
    bounded = ["timeout", "-k", "10", str(SECONDS)]
    if command.machine:
        seen = platform.node(command.machine, shlex.join([*bounded, "sh", "-c", words]))
    else:
        done = subprocess.run(
            [*bounded, "bash", "-c", words],
            cwd=ROOT,
            check=False,
            env=os.environ | {"ANSIBLE_INVENTORY": platform.inventory},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode != 124, f"{words}: no end in {SECONDS} s\n{done.stdout}"
        seen = done.stdout
    assert agree(output, seen), f"{words}\n--- the text says\n{output}\n--- seen\n{seen}"
