# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a service runs with what its files say."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.service import (
    Files,
    Note,
    Times,
    action,
    note_rewrite,
    read,
    read_rewrites,
    times,
    timestamp,
    when_written,
)

RAN = Times(started=1000.0, changed=1500.0)
OLD, NEW = Files("old", 900.0), Files("new", 2000.0)
NOTE = Note(RAN, restart="old", reload="old", complete=True)


@pytest.mark.parametrize(
    ("restart", "reload", "expected"),
    [
        (OLD, OLD, "none"),
        (NEW, OLD, "restart"),
        (OLD, NEW, "reload"),
        (NEW, NEW, "restart"),
        # Written while the service ran, and before its last reload.
        (OLD, Files("new", 1200.0), "none"),
        (Files("new", 1200.0), OLD, "restart"),
        # Written in the same moment: nobody knows what was first.
        (Files("new", 999.99), OLD, "restart"),
        (OLD, Files("new", 1499.99), "reload"),
    ],
)
def test_without_a_note_the_times_decide(restart: Files, reload: Files, expected: str) -> None:
    assert action(RAN, restart, reload, None) == expected
    # One from before the last start says nothing.
    before = replace(NOTE, times=Times(10.0, 10.0), restart="new", reload="new", complete=False)
    assert action(RAN, restart, reload, before) == expected


def test_a_note_decides_by_content_whatever_the_clock_says() -> None:
    assert action(RAN, OLD, Files("old", 2000.0), NOTE) == "none"
    assert action(RAN, Files("old", 2000.0), OLD, NOTE) == "none"
    # The clock was set back after the start.
    assert action(RAN, OLD, Files("new", 500.0), NOTE) == "reload"
    assert action(RAN, Files("new", 500.0), OLD, NOTE) == "restart"


def test_a_reload_by_somebody_else_counts() -> None:
    later = Times(RAN.started, changed=3000.0)
    assert action(later, OLD, NEW, NOTE) == "none"
    assert action(later, OLD, Files("newer", 3500.0), NOTE) == "reload"
    # In the moment of the reload, which was the writer's own if it is the same as before.
    assert action(later, OLD, Files("new", 2999.99), NOTE) == "reload"
    assert action(later, OLD, Files("old", 2999.99), NOTE) == "none"
    # Something else was loaded, and this was written afterwards.
    assert action(later, OLD, Files("old", 3500.0), NOTE) == "reload"
    # No reload brings what is read at the start.
    assert action(later, NEW, OLD, NOTE) == "restart"


def test_what_was_cut_off_is_done_again() -> None:
    cut_off = replace(NOTE, complete=False)
    assert action(RAN, OLD, OLD, cut_off) == "reload"
    assert action(RAN, NEW, OLD, cut_off) == "restart"


def test_a_note_survives_its_file() -> None:
    assert Note.of(NOTE.as_data()) == NOTE


@pytest.mark.parametrize("data", [None, [], {}, {"times": {}}, {"times": {"started": 1.0}}, "text"])
def test_no_note(data: object) -> None:
    assert Note.of(data) is None


def test_what_systemd_says() -> None:
    assert timestamp("Sun 2026-11-29 11:54:00.250000 UTC") == 1795953240.25
    assert timestamp("Sun 2026-11-29 11:54:00 UTC") == 1795953240.0
    assert timestamp("") == timestamp("n/a") == 0.0
    shown = {
        "InactiveExitTimestamp": "Thu 1970-01-01 00:16:40 UTC",
        "StateChangeTimestamp": "Thu 1970-01-01 00:25:00 UTC",
    }
    assert times(shown) == RAN


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "enabled").mkdir()
    (tmp_path / "available").write_text("listen 80\n")
    (tmp_path / "enabled" / "site").symlink_to(tmp_path / "available")
    (tmp_path / "main.cfg").write_text("a\n  default_backend one\nb\n")
    return tmp_path


def test_all_that_a_service_reads_counts(tree: Path) -> None:
    def seen() -> str:
        return read([tree / "enabled", tree / "main.cfg", tree / "none"]).digest

    found = [seen()]
    (tree / "main.cfg").write_text("other")
    found.append(seen())
    # Through a link.
    (tree / "available").write_text("listen 81\n")
    found.append(seen())
    (tree / "enabled" / "site").unlink()
    found.append(seen())
    (tree / "enabled" / "site").symlink_to("/nowhere")
    found.append(seen())
    (tree / "none").touch()
    found.append(seen())
    assert len(set(found)) == len(found)
    assert seen() == found[-1]


def test_when_they_were_written(tree: Path) -> None:
    file = tree / "main.cfg"
    # A copy brings its old time of change along.
    os.utime(file, (1.0, 1.0))
    assert read([file]).written == pytest.approx(file.stat().st_ctime)
    assert read([tree / "nothing"]).written == 0.0


def test_lines_that_do_not_count(tree: Path) -> None:
    file = tree / "main.cfg"
    ignore = r"^ *default_backend "
    before = read([file], ignore)
    file.write_text("a\n  default_backend two\nb\n")
    assert read([file], ignore).digest == before.digest
    assert read([file]).digest != before.digest
    file.write_text("a\n  default_backend two\nc\n")
    assert read([file], ignore).digest != before.digest


def rewrite(file: Path, text: str) -> None:
    """As a switch does."""
    file.with_suffix(".new").write_text(text)
    file.with_suffix(".new").replace(file)


def test_a_rewrite_that_nobody_has_to_load_leaves_the_time(tree: Path) -> None:
    file, notes = tree / "main.cfg", tree / "notes"
    before = when_written(file, read_rewrites(notes))
    for text in ("one", "two"):
        known = when_written(file, read_rewrites(notes))
        rewrite(file, text)
        note_rewrite(file, known, notes)
        assert when_written(file, read_rewrites(notes)) == before
    assert (notes / "rewrites.json").stat().st_mode & 0o777 == 0o600
    # Anybody's own change counts.
    rewrite(file, "three")
    assert when_written(file, read_rewrites(notes)) == file.stat().st_ctime


def test_a_rewrite_that_cannot_be_noted_counts(tree: Path) -> None:
    file = tree / "main.cfg"
    note_rewrite(file, 1.0, file / "below-a-file")
    assert when_written(file, read_rewrites(file / "below-a-file")) == file.stat().st_ctime


def test_notes_of_files_that_are_gone_go(tree: Path) -> None:
    notes = tree / "notes"
    gone, stays = tree / "gone", tree / "stays"
    for file in (gone, stays):
        file.touch()
        note_rewrite(file, 1.0, notes)
    gone.unlink()
    note_rewrite(stays, 1.0, notes)
    assert str(gone) not in (notes / "rewrites.json").read_text()
