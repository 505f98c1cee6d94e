"""Dump a database, and count its rows as the dump sees them: prints the counts as JSON.

    dump.py PG_DUMP PORT DATABASE FILE < counts.sql

Dump and counts share one snapshot, so that they agree while others write.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import psycopg2


def main() -> str | None:
    """Returns the error, as sys.exit() prints it."""
    pg_dump, port, database, target = sys.argv[1:]
    os.umask(0o077)  # the dump contains everything that people wrote
    connection = psycopg2.connect(dbname=database, port=port)
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    cursor = connection.cursor()
    cursor.execute("select pg_export_snapshot()")
    [[snapshot]] = cursor.fetchall()
    command = [pg_dump, "--format=custom", f"--port={port}", f"--snapshot={snapshot}"]
    done = subprocess.run(
        [*command, f"--file={target}", f"--dbname={database}"],
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        return done.stderr.strip() or f"pg_dump ended with status {done.returncode}"
    cursor.execute(sys.stdin.read())
    [[counts]] = cursor.fetchall()
    print(json.dumps(counts))
    return None


if __name__ == "__main__":
    sys.exit(main())
