"""The commands in docs/exercises.md: read from the text, to be run and compared on a lab.

In a ```console block a line `$ command` runs on this machine, `docker1# command` on that machine
as root. The lines up to the next prompt are its output. There `...` stands for any text, and on a
line of its own for any lines. Blanks count as one. A block that begins with `# not run: why` is
left out, and counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROMPT = re.compile(r"^(?:([a-z]+\d)# |\$ )(.*)$")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One command of the text. C(machine) is empty for this machine."""

    section: str
    machine: str
    command: str
    output: str
    why_not: str = ""

    def __str__(self) -> str:
        return f"{self.machine or 'here'}: {self.command}"


def commands(document: Path) -> list[Command]:
    """All commands of a document, in order."""
    text = document.read_text()
    found: list[Command] = []
    for block in BLOCK.finditer(text):
        headings = HEADING.findall(re.sub(BLOCK, "", text[: block.start()]))
        lines = block[1].splitlines()
        why_not = ""
        if lines and lines[0].startswith("# not run: "):
            why_not = lines.pop(0).removeprefix("# not run: ")
        for line in lines:
            prompt = PROMPT.match(line)
            if prompt:
                found.append(Command(headings[-1], prompt[1] or "", prompt[2], "", why_not))
            else:
                last = found.pop()
                output = f"{last.output}{line}\n"
                found.append(Command(last.section, last.machine, last.command, output, why_not))
    return found


def agree(expected: str, seen: str) -> bool:
    """Whether what was seen is what the text says."""
    pattern = ""
    for line in expected.strip().splitlines():
        words = " ".join(line.split())
        if words == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in words.split("...")) + r"\n"
    told = "".join(f"{' '.join(line.split())}\n" for line in seen.strip().splitlines())
    return re.fullmatch(pattern, told) is not None
