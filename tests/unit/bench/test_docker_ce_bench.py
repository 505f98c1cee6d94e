"""How the bench of docker_ce reads Ansible's output, and what it makes of times."""

from __future__ import annotations

import pytest

from bench import docker_ce

RECAP = "ce : ok=18   changed=%d    unreachable=0    failed=0    skipped=8"
EXEC = "<1.2.3.4> SSH: EXEC ssh -C 1.2.3.4 '/bin/sh -c '\"'\"'%s && sleep 0'\"'\"''"


def test_changes_are_read_from_the_recap() -> None:
    assert docker_ce.changes(RECAP % 0) == 0
    assert docker_ce.changes(RECAP % 12) == 12
    with pytest.raises(docker_ce.BenchError, match="No recap"):
        docker_ce.changes("ERROR! no such playbook")


def test_a_round_trip_is_a_program_of_ansibles_on_the_machine() -> None:
    said = "\n".join([EXEC % "/usr/bin/python3", "ok: [ce]", EXEC % "sudo /usr/bin/python3"])
    assert len(docker_ce.ROUND_TRIP.findall(said)) == 2


def test_rows_compare_medians() -> None:
    ours = docker_ce.Times(first=[20, 40, 30], again=[5, 6, 9], round_trips=8)
    other = docker_ce.Times(first=[60], again=[12], round_trips=16)
    rows = {row.what: row for row in docker_ce.rows(ours, other)}
    assert rows["re-run / first run"].ratio == pytest.approx(0.2)
    assert rows["re-run: task round trips / plain modules"].ratio == pytest.approx(0.5)
    assert rows["re-run: seconds"].ratio == pytest.approx(0.5)
    assert [row.met for row in rows.values()] == [True, True, None, None]
