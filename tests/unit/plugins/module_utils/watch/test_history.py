from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.watch import changes
from ansible_collections.bookface.platform.plugins.module_utils.watch.history import (
    History,
    HistoryError,
    Look,
    open_history,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.message import Message

from tests.unit.plugins.module_utils.watch.looks import part, report

WEB = "docker1/container/bookface_1"
SETTINGS = changes.Settings()
ROOT = Path(__file__).resolve().parents[5]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened, said = open_history(tmp_path / "history.db")
    assert not said
    yield opened
    opened.close()


def add(history: History, time: float, state: str = "up", **more: object) -> changes.Changes:
    """One look at one part."""
    found = report(time, part(WEB, state, **more))
    changed = changes.seen(history.known(), history.active(), found, time - 5, SETTINGS)
    history.add(Look(time, 5, found.status, 1, 0, 0), changed)
    return changed


def test_what_is_remembered_comes_back_as_it_was(history: History, tmp_path: Path) -> None:
    add(history, 60)
    changed = add(history, 120, "down", cause="exited", action="started", wanted="a look", tries=2)
    assert history.known() == changed.known
    assert history.active() == {"lb1": "docker"}
    history.close()
    again, said = open_history(tmp_path / "history.db")
    assert (again.known(), said) == (changed.known, "")
    assert again.looks(61) == [Look(120, 5, "broken", 1, 0, 0)]
    (incident,) = again.incidents(0)
    assert incident == changed.incidents[0]
    again.close()


def test_nobody_else_can_read_it(history: History, tmp_path: Path) -> None:
    add(history, 60)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


def test_an_incident_is_one_row_from_begin_to_end(history: History) -> None:
    for time, state in enumerate(["up", "down", "down", "up", "up"], 1):
        add(history, 60.0 * time, state)
    (incident,) = history.incidents(0)
    assert (incident.begin, incident.end) == (120, 240)
    assert history.incidents(239) == [incident]
    assert history.incidents(241) == []


def test_old_rows_go_and_what_is_open_stays(history: History) -> None:
    add(history, 60, "down")
    add(history, 120, "down")
    history.send(Message("old", ""), [], 60)
    history.send(Message("waits", ""), ["a"], 60)
    history.hold(Message("held", ""), 60)
    history.prune(119)
    assert [look.time for look in history.looks(0)] == [120]
    assert len(history.incidents(0)) == 1
    assert [one.title for one in history.waiting("a")] == ["waits"]
    assert [title for _, title in history.held()] == ["held"]
    assert history.sent_since(0) == [60]


def test_a_part_that_is_gone_is_forgotten(history: History) -> None:
    add(history, 60)
    other = "docker1/container/bookface_2"
    found = report(120, part(other))
    changed = changes.seen(history.known(), {}, found, 115, SETTINGS)
    history.add(Look(120, 5, "healthy"), changed)
    assert set(history.known()) == {other, "watch"}


def test_the_outbox_keeps_order_and_bounds(history: History) -> None:
    for number in range(5):
        history.send(Message(f"{number}", ""), ["a", "b"], number)
    assert [one.title for one in history.waiting("a")] == list("01234")
    assert history.waiting_count() == 10
    assert history.due(0)
    # Too many of a, all of b, whose URL was removed, and none of an age of 1 or more.
    assert history.drop(["a"], oldest=1, most=3) == 5 + 1 + 1
    assert [one.title for one in history.waiting("a")] == list("234")
    assert history.fact("dropped") == 7
    first = history.waiting("a")[0]
    history.failed(first.id, "answered 500", 99)
    first, *others = history.waiting("a")
    assert (first.tries, first.next_try) == (1, 99)
    for one in others:
        history.delivered(one.id)
    assert (history.due(98), history.due(99)) == (False, True)
    assert history.drop([], oldest=0, most=3) == 1


@pytest.mark.parametrize("damage", ["text", "zeros", "middle", "truncated"])
def test_a_damaged_history_is_moved_aside_and_said(
    history: History, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "history.db"
    for time in range(500):
        add(history, 60.0 * time, "down" if time % 4 else "up")
    history.close()
    data = bytearray(path.read_bytes())
    if damage == "text":
        data = bytearray(b"this is no database" * 400)
    elif damage == "zeros":
        data[:4096] = bytes(4096)
    elif damage == "middle":
        # The page of a table's root: its header is nonsense.
        for page in range(1, len(data) // 4096):
            data[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    else:
        del data[len(data) // 2 :]
    path.write_bytes(data)
    again, said = open_history(path)
    assert "the history was damaged" in said
    assert f"{path}.damaged" in said
    assert Path(f"{path}.damaged").read_bytes() == data
    assert again.known() == {}
    add(again, 60)
    again.close()
    assert open_history(path)[1] == ""


def test_a_newer_history_is_left_alone(history: History, tmp_path: Path) -> None:
    history.close()
    path = tmp_path / "history.db"
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version = 99")
    with pytest.raises(HistoryError, match="version 99, this watch knows 1"):
        open_history(path)
    assert not Path(f"{path}.damaged").exists()


def test_a_history_that_cannot_be_opened_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "history.db").mkdir()
    with pytest.raises(HistoryError, match="cannot be opened"):
        open_history(tmp_path / "history.db")


def test_a_transaction_is_all_or_nothing(history: History) -> None:
    add(history, 60)

    def half() -> None:
        with history.transaction():
            add(history, 120, "down")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert [look.time for look in history.looks(0)] == [60]
    assert history.known()[WEB].state == "up"


def test_a_process_that_is_killed_leaves_the_look_before(tmp_path: Path) -> None:
    """Killed in the middle of a transaction, with more of it than a page cache holds."""
    script = textwrap.dedent(
        """
        import os, sys
        from pathlib import Path
        from ansible_collections.bookface.platform.plugins.module_utils.watch import history
        from tests.unit.plugins.module_utils.watch.test_history import add
        opened, _ = history.open_history(Path(sys.argv[1]))
        add(opened, 60)
        with opened.transaction():
            opened._connection.execute("pragma cache_size = 5")
            for number in range(3000):
                add(opened, 120.0 + number, "down")
            print("now", flush=True)
            os.read(0, 1)
        """
    )
    path = tmp_path / "history.db"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/.ansible/collections"}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"now\n"
        process.send_signal(signal.SIGKILL)
    again, said = open_history(path)
    assert said == ""
    assert [look.time for look in again.looks(0)] == [60]
    assert again.known()[WEB].state == "up"
    add(again, 180, "down")
    again.close()
