"""This machine's Docker engine, by its client."""

from __future__ import annotations

import os
import subprocess

from report import BenchError


def docker(*words: str, check: bool = True, text: str | None = None) -> str:
    """What a docker command prints. The builder is the one that every engine has."""
    done = subprocess.run(
        ["docker", *words],
        input=text,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )
    if check and done.returncode:
        said = (done.stderr + done.stdout[-2000:]).strip()
        raise BenchError(f"docker {' '.join(words)[:200]}: {said}")
    return done.stdout.strip()
