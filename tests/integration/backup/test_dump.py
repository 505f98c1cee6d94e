"""What a dump says that it holds is what comes out of it."""

# ruff: noqa: S608  (all of it stands here)
from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

from workalike.support import Cluster, postgresql_program

from .conftest import FILES, Run


def counts(cluster: Cluster, database: str = "bf") -> dict[str, int]:
    text = (FILES / "counts.sql").read_text()
    found: dict[str, int] = json.loads(cluster.sql(text, database))
    return found


def fill(cluster: Cluster, rows: int = 2000) -> None:
    cluster.sql(
        "truncate users, posts, comments, pictures;"
        f"insert into users (name) select n from generate_series(1, {rows}) as n;"
        f"insert into posts (text) select md5(n::text) from generate_series(1, {rows}) as n",
        "bf",
    )


def test_counts_name_every_table(cluster: Cluster) -> None:
    cluster.sql('create schema "Odd one"; create table "Odd one"."A table" (a int)', "bf")
    cluster.sql('insert into "Odd one"."A table" values (1), (2)', "bf")
    fill(cluster, 7)
    assert counts(cluster) == {
        '"Odd one"."A table"': 2,
        "public.comments": 0,
        "public.pictures": 0,
        "public.posts": 7,
        "public.users": 7,
    }
    cluster.sql('drop schema "Odd one" cascade', "bf")


def test_counts_are_those_of_the_dump_while_others_write(
    cluster: Cluster, dump: Run, restore: Run, tmp_path: Path
) -> None:
    fill(cluster)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            cluster.sql("insert into posts (text) values ('one more')", "bf")

    writer = threading.Thread(target=write)
    writer.start()
    # pg_dump that takes its time: what comes meanwhile must be in neither.
    slow = tmp_path / "pg_dump"
    slow.write_text(
        f'#!/bin/sh\nsleep 1; {postgresql_program("pg_dump")} "$@"; s=$?; sleep 1; exit $s\n'
    )
    slow.chmod(0o755)
    try:
        before = counts(cluster)
        done = dump(tmp_path / "dump", pg_dump=str(slow))
        after = counts(cluster)
    finally:
        stop.set()
        writer.join()
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout)
    assert before["public.posts"] <= counted["public.posts"] < after["public.posts"]
    assert restore(tmp_path / "dump", "copy").returncode == 0
    assert counts(cluster, "copy") == counted


def test_dump_is_for_its_owner_alone(cluster: Cluster, dump: Run, tmp_path: Path) -> None:
    assert dump(tmp_path / "dump").returncode == 0
    assert stat.S_IMODE((tmp_path / "dump").stat().st_mode) == 0o600


def test_full_disk_is_named(cluster: Cluster, dump: Run) -> None:
    fill(cluster)
    done = dump(Path("/dev/full"))
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert done.stdout == ""


def test_unknown_database_is_named(cluster: Cluster, dump: Run, tmp_path: Path) -> None:
    done = dump(tmp_path / "dump", "nosuch")
    assert done.returncode == 1
    assert 'database "nosuch" does not exist' in done.stderr
    assert not (tmp_path / "dump").exists()


def test_truncated_dump_restores_nothing(
    cluster: Cluster, dump: Run, restore: Run, tmp_path: Path
) -> None:
    fill(cluster)
    dump(tmp_path / "dump")
    whole = (tmp_path / "dump").read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:length])
        assert restore(tmp_path / "cut", "copy").returncode == 1, length
        assert counts(cluster, "copy") == {}
