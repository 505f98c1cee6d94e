"""The role's SQL and dump script on a real server; the playbooks themselves are tests/e2e's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from workalike.support import Cluster, postgresql_program

FILES = Path(__file__).resolve().parents[3] / "roles/database/files"
# What the role runs the script with: Debian's Python has psycopg2.
PYTHON = "/usr/bin/python3"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def dump(cluster: Cluster) -> Run:
    """Run dump.py as the role does: (target, database), more by keyword."""

    def run(
        target: Path, database: str = "bf", pg_dump: str = ""
    ) -> subprocess.CompletedProcess[str]:
        pg_dump = pg_dump or postgresql_program("pg_dump")
        script = (FILES / "dump.py").read_text()
        return subprocess.run(
            [PYTHON, "-c", script, pg_dump, str(cluster.port), database, str(target)],
            input=(FILES / "counts.sql").read_text(),
            env={**os.environ, "PGHOST": str(cluster.directory), "PGUSER": "postgres"},
            check=False,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def restore(cluster: Cluster) -> Run:
    """Run pg_restore as the role does: (file, database)."""

    def run(file: Path, database: str) -> subprocess.CompletedProcess[str]:
        cluster.sql(f"drop database if exists {database}")
        cluster.sql(f"create database {database} template template0")
        where = [f"--host={cluster.directory}", f"--port={cluster.port}", "--username=postgres"]
        return subprocess.run(
            [
                postgresql_program("pg_restore"),
                "--single-transaction",
                *where,
                f"--dbname={database}",
                str(file),
            ],
            check=False,
            capture_output=True,
            text=True,
        )

    return run
