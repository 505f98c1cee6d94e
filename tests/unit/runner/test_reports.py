"""What pytest's reports add up to, and tests that run once more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.runner.reports import FAILED, FLAKY, PASSED, SKIPPED, Count, cases_of, judge, merge, read

ROOT = Path(__file__).resolve().parents[3]
# Each ends in its way; what a first try leaves behind makes the second one pass.
TESTS = """
import pathlib
import pytest

HERE = pathlib.Path(__file__).parent

def first_try(name):
    mark = HERE / name
    try:
        return not mark.exists()
    finally:
        mark.touch()

def test_good():
    assert first_try("good")

def test_flaky():
    assert not first_try("flaky")

@pytest.mark.parametrize("n", [1, 2])
def test_one_flaky(n):
    assert n == 1 or not first_try("one-flaky")

@pytest.fixture
def flaky_fixture():
    assert not first_try("fixture")

def test_of_fixture(flaky_fixture):
    pass

@pytest.fixture
def flaky_end():
    yield
    assert not first_try("end")

def test_of_end(flaky_end):
    pass

@pytest.mark.skip(reason="for a reason")
def test_skipped():
    pass
"""
BAD = """
def test_bad():
    (HERE / "tries").open("a").write("x")
    assert False
"""
LOAD = """
@pytest.mark.load
def test_no_request_is_lost():
    (HERE / "tries").open("a").write("x")
    assert not first_try("load")
"""


def run(directory: Path, tests: str) -> tuple[int, str]:
    """Exit status and output."""
    (directory / "test_it.py").write_text(tests)
    (directory / "pytest.ini").write_text("[pytest]\nmarkers = load\naddopts = --strict-markers\n")
    done = subprocess.run(
        [sys.executable, "-m", "tests.runner.once_more", "report.xml", "--color=no", "."],
        cwd=directory,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return done.returncode, done.stdout + done.stderr


def test_what_passes_at_its_second_try_is_flaky(tmp_path: Path) -> None:
    status, output = run(tmp_path, TESTS)
    assert status == 0, output
    cases = {case.test.rpartition("::")[2]: case.outcome for case in read(tmp_path / "report.xml")}
    assert cases == {
        "test_good": PASSED,
        "test_flaky": FLAKY,
        "test_one_flaky[1]": PASSED,
        "test_one_flaky[2]": FLAKY,
        "test_of_fixture": FLAKY,
        "test_of_end": FLAKY,
        "test_skipped": SKIPPED,
    }
    count = Count.of(read(tmp_path / "report.xml"))
    assert str(count) == "6 passed, 0 failed, 1 skipped"
    assert count.flaky[0] == "report: test_it::test_flaky"
    assert count.skipped == ["report: test_it::test_skipped: for a reason"]


def test_what_fails_twice_has_failed(tmp_path: Path) -> None:
    status, output = run(tmp_path, TESTS + BAD)
    assert status == 1, output
    count = Count.of(read(tmp_path / "report.xml"))
    assert count.failed == ["report: test_it::test_bad"]
    assert len(count.flaky) == 4
    assert (tmp_path / "tries").read_text() == "xx"


def test_a_test_of_lost_requests_has_one_try(tmp_path: Path) -> None:
    status, output = run(tmp_path, TESTS + LOAD)
    assert status == 1, output
    count = Count.of(read(tmp_path / "report.xml"))
    assert count.failed == ["report: test_it::test_no_request_is_lost"]
    assert (tmp_path / "tries").read_text() == "x"


def test_what_is_no_failed_test_is_not_run_again(tmp_path: Path) -> None:
    status, output = run(tmp_path, "import nothing_of_that_name")
    assert status == 2, output
    assert not (tmp_path / "report.again.xml").exists()
    assert Count.of(read(tmp_path / "report.xml")).failed


def test_many_failures_are_no_chance(tmp_path: Path) -> None:
    # Of an earlier run, which must not help.
    (tmp_path / "report.again.xml").write_text("<testsuite/>")
    many = "@pytest.mark.parametrize('n', range(26))\ndef test_many(n):\n    assert False\n"
    status, output = run(tmp_path, f"import pytest\n{many}")
    assert status == 1
    assert "26 tests failed: more than 25 are not run once more" in output
    assert not (tmp_path / "report.again.xml").exists()


def test_a_test_counts_once_and_as_failed_if_its_end_fails() -> None:
    text = """<testsuites><testsuite>
      <testcase classname="a.b" name="t" time="1.5"/>
      <testcase classname="a.b" name="t" time="0.5"><error message="end"/></testcase>
      <testcase classname="a.c" name="t" time="2"/>
    </testsuite></testsuites>"""
    merged = merge(cases_of("unit", text))
    assert [(case.outcome, case.seconds) for case in merged.values()] == [
        (FAILED, 2.0),
        (PASSED, 2.0),
    ]


def test_only_a_second_try_that_passed_helps() -> None:
    def of(outcome: str) -> str:
        inner = {"failed": "<failure/>", "skipped": '<skipped message=""/>'}.get(outcome, "")
        return f'<testsuite><testcase classname="a" name="t">{inner}</testcase></testsuite>'

    def ends(first: str, second: str) -> list[str]:
        again = merge(cases_of("r", of(second))) if second else {}
        return [case.outcome for case in judge(merge(cases_of("r", of(first))), again)]

    assert ends("failed", "passed") == [FLAKY]
    assert ends("failed", "skipped") == [FAILED]
    assert ends("failed", "") == [FAILED]
    assert ends("passed", "failed") == [PASSED]
