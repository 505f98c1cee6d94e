"""What tests share: Ansible as a user runs it, what it prints, a page asked for on a machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[2]


def ansible(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible's in the project's root, on the machines under test."""
    return subprocess.run(
        [program, "-i", os.environ["BOOKFACE_INVENTORY"], *arguments],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        check=False,
        capture_output=True,
        text=True,
    )


def recap(output: str) -> dict[str, dict[str, int]]:
    """Host → what the last lines of ansible-playbook count: ok, changed, failed, ..."""
    found = re.findall(r"^(\S+) +: (ok=\d+ .*)$", output.rpartition("PLAY RECAP")[2], re.MULTILINE)
    return {
        host: {what: int(count) for what, count in re.findall(r"(\w+)=(\d+)", counts)}
        for host, counts in found
    }


def failures(output: str) -> list[tuple[str, str]]:
    """Host and message of every task that failed, of a playbook or of one module on its own.

    Of a loop each item that failed. Wants results in JSON (ANSIBLE_CALLBACK_RESULT_FORMAT).
    """
    task = r"fatal: \[([^]\s]+)[^]]*\]: FAILED!"
    item = r"failed: \[([^]\s]+)[^]]*\] \(item=.*?\)"
    module = r"(\S+) \| FAILED!"
    decoder = json.JSONDecoder()
    return [
        (
            found[1] or found[2] or found[3],
            str(decoder.raw_decode(output, found.end())[0].get("msg", "")),
        )
        for found in re.finditer(rf"^(?:{task}|{item}|{module}) => (?=\{{)", output, re.MULTILINE)
    ]


def ask(host: Host, url: str, *options: str) -> tuple[int, str]:
    """Status (0 where nobody answers) and body of a page, asked by curl on a machine."""
    done = host.run(f"curl -s -m 10 -w '\\n%{{http_code}}' {' '.join(options)} '{url}'")
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body
