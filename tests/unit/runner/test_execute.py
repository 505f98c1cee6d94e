"""One step, what is counted of it, and what it cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runner import costs, execute
from tests.runner.execute import Ended
from tests.runner.reports import FAILED, PASSED, Case
from tests.runner.steps import Step

TOOL = Step("tool", "lint", ("true",), 1)
TESTS = Step("unit", "unit", ("true",), 1, reports="unit.xml", only_tests=True)
SCENARIO = Step("molecule-x", "molecule", ("true",), 1, reports="x-*.xml")


def case(outcome: str, name: str = "t", seconds: float = 1) -> Case:
    return Case("unit", name, outcome, seconds)


@pytest.mark.parametrize(
    ("step", "status", "cases", "expected"),
    [
        (TOOL, 0, [], "1 passed, 0 failed, 0 skipped"),
        (TOOL, 3, [], "0 passed, 1 failed, 0 skipped"),
        (TESTS, 0, [case(PASSED)], "1 passed, 0 failed, 0 skipped"),
        (TESTS, 1, [case(PASSED), case(FAILED)], "1 passed, 1 failed, 0 skipped"),
        # pytest itself failed, whatever its tests did.
        (TESTS, 3, [case(PASSED)], "1 passed, 1 failed, 0 skipped"),
        (TESTS, 4, [], "0 passed, 1 failed, 0 skipped"),
        # A scenario is more than its tests.
        (SCENARIO, 0, [case(PASSED)], "2 passed, 0 failed, 0 skipped"),
        (SCENARIO, 1, [case(PASSED)], "1 passed, 1 failed, 0 skipped"),
        # Blind is not green.
        (TESTS, 0, [], "0 passed, 1 failed, 0 skipped"),
        (SCENARIO, 0, [], "0 passed, 1 failed, 0 skipped"),
    ],
)
def test_what_a_step_adds(step: Step, status: int, cases: list[Case], expected: str) -> None:
    assert str(execute.count(step, status, cases)) == expected


def test_programs_are_found_in_a_clean_shell() -> None:
    clean = execute.environment({"HOME": "/root", "PATH": "/usr/bin:/bin"})
    first = clean["PATH"].split(os.pathsep)[0]
    assert (Path(first) / "molecule").exists()
    assert Path(clean["ANSIBLE_CONFIG"]).name == "ansible.cfg"
    # What somebody has set stays.
    assert execute.environment({"ANSIBLE_CONFIG": "/mine"})["ANSIBLE_CONFIG"] == "/mine"


def test_a_module_that_is_piped_is_not_read_byte_by_byte() -> None:
    seen = execute.environment({**os.environ, "PYTHONUNBUFFERED": "1"})
    size = 50_000
    script = f"# {'-' * size}\nprint(open('/proc/self/io').read())\n"
    told = subprocess.run(
        [sys.executable], env=seen, input=script, text=True, check=True, capture_output=True
    )
    counts = dict(line.split(": ") for line in told.stdout.splitlines() if line)
    assert int(counts["syscr"]) < size / 10


def test_a_step_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(execute, "LOGS", tmp_path)
    monkeypatch.setattr(execute, "JUNIT", tmp_path)
    # Work of a grandchild, two phases as molecule prints them, and a report.
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    script = f"""
import pathlib, subprocess, sys
print('INFO     [x > create] Executing', flush=True)
subprocess.run([sys.executable, '-c', {burn!r}], check=True)
print('INFO     [x > verify] Executing', flush=True)
pathlib.Path({str(tmp_path)!r}, 'x-tests.xml').write_text(
    '<testsuite><testcase classname="a" name="t" time="2.5"/></testsuite>')
"""
    (tmp_path / "x-old.xml").write_text('<testsuite><testcase classname="o" name="t"/></testsuite>')
    os.utime(tmp_path / "x-old.xml", (1, 1))
    ended = execute.run(Step("x", "g", (sys.executable, "-c", script), 1, reports="x-*.xml"))
    assert ended.status == 0
    assert ended.cpu_seconds >= 0.3
    assert [name for name, _ in ended.phases] == ["create", "verify"]
    assert sum(seconds for _, seconds in ended.phases) <= ended.seconds
    assert [one.test for one in ended.cases] == ["a::t"]
    assert str(ended.count) == "2 passed, 0 failed, 0 skipped"
    assert "create] Executing" in (tmp_path / "x.log").read_text()


def test_what_ends_badly_shows_the_end_of_its_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(execute, "LOGS", tmp_path)
    monkeypatch.setattr(execute, "ROOT", tmp_path)
    script = "print('\\n'.join(map(str, range(100)))); raise SystemExit(7)"
    ended = execute.run(Step("bad", "g", (sys.executable, "-c", script), 1))
    assert ended.status == 7
    text = ended.text().splitlines()
    assert "    failed: bad: ended with 7" in text
    assert text[-1] == "    | 99"
    assert "    | 39" not in text


def test_phases_end_where_the_next_begins() -> None:
    assert execute.durations([("create", 1.0), ("verify", 4.0)], 10.0) == [
        ("create", 3.0),
        ("verify", 6.0),
    ]
    assert execute.durations([], 10.0) == []


def test_busy_is_neither_idle_nor_waiting_for_a_disk() -> None:
    #       user nice system idle iowait irq softirq steal guest guest_nice
    line = "cpu  1000 200 300 9000 500 10 20 70 40 0"
    assert costs.busy_seconds(line, 100) == 16.0


def test_the_costs_of_a_run() -> None:
    one = Ended(TESTS, 0, 100.0, 10, 5, cases=[case(PASSED, f"t{n}", n) for n in range(30)])
    two = Ended(SCENARIO, 0, 102.0, 20, 1.5, phases=[("create", 12.0)])
    data = costs.as_data([one, two], costs.Clock(0, 50), costs.Clock(22, 83), 2)
    assert json.loads(json.dumps(data)) == data
    assert (data["seconds"], data["busy_seconds"]) == (22, 33)
    assert [step["began"] for step in data["steps"]] == [0, 2]
    lines = costs.as_text(data).splitlines()
    assert lines[1].split() == ["29.0", "s", "unit:", "t29"]
    assert lines[20].split() == ["10.0", "s", "unit:", "t10"]
    assert lines[22].split() == ["10.0", "s", "5.0", "s", "CPU", "from", "0.0", "s", "unit"]
    assert lines[24].split() == ["12.0", "s", "create"]
    assert lines[25].endswith("75% of 2 processors")


def test_the_command_lists_its_steps() -> None:
    run = Path(__file__).resolve().parents[2] / "run.py"
    done = subprocess.run(
        [sys.executable, str(run), "--list"], check=True, capture_output=True, text=True, env={}
    )
    assert "molecule-platform" in done.stdout
