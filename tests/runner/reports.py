"""What pytest writes about its tests, and what that adds up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

# Of the report of the tests that ran once more.
AGAIN = ".again"
PASSED, SKIPPED, FAILED, FLAKY = "passed", "skipped", "failed", "flaky"
# A test that has ended in two ways, such as one that passed and whose fixture then failed, counts
# as the later of these.
ORDER = (PASSED, SKIPPED, FAILED)


@dataclass(frozen=True)
class Case:
    """How a test ended. C(report) is the name of its pytest run, such as C(haproxy-tests)."""

    report: str
    test: str
    outcome: str
    seconds: float
    # Why it was skipped.
    reason: str = ""

    @property
    def name(self) -> str:
        return f"{self.report}: {self.test}"


def cases_of(report: str, text: str) -> list[Case]:
    """The tests of one JUnit file."""
    found = []
    for case in ElementTree.fromstring(text).iter("testcase"):  # noqa: S314  (our own files)
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcome = FAILED
        else:
            outcome = PASSED if skip is None else SKIPPED
        found.append(
            Case(
                report,
                f"{case.get('classname')}::{case.get('name')}",
                outcome,
                float(case.get("time") or 0),
                str(skip.get("message")) if skip is not None else "",
            )
        )
    return found


def merge(cases: Iterable[Case]) -> dict[str, Case]:
    """Each test once, by its name."""
    merged: dict[str, Case] = {}
    for case in cases:
        before = merged.get(case.name)
        if before is None or ORDER.index(before.outcome) < ORDER.index(case.outcome):
            seconds = case.seconds + (before.seconds if before else 0)
            merged[case.name] = Case(case.report, case.test, case.outcome, seconds, case.reason)
    return merged


def judge(first: Mapping[str, Case], again: Mapping[str, Case]) -> list[Case]:
    """How the tests ended. One that failed and then passed is flaky, and nothing else is."""
    judged = []
    for name, case in first.items():
        second = again.get(name)
        outcome = case.outcome
        if outcome == FAILED and second is not None and second.outcome == PASSED:
            outcome = FLAKY
        seconds = case.seconds + (second.seconds if second else 0)
        judged.append(Case(case.report, case.test, outcome, seconds, case.reason))
    # None of these should be; if one is, it must be seen.
    judged += [case for name, case in again.items() if name not in first]
    return judged


def again_path(report: Path) -> Path:
    """The report of the tests of C(report) that ran once more."""
    return report.with_suffix(f"{AGAIN}{report.suffix}")


def read(report: Path) -> list[Case]:
    """The tests of a report, with those that ran once more."""
    first, again = report.read_text(), again_path(report)
    return judge(
        merge(cases_of(report.stem, first)),
        merge(cases_of(report.stem, again.read_text()) if again.exists() else []),
    )


@dataclass
class Count:
    """Tests, and commands that are none, by how they ended."""

    passed: int = 0
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    flaky: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, cases: Iterable[Case]) -> Count:
        """A test that is flaky has passed."""
        count = cls()
        for case in cases:
            if case.outcome == FAILED:
                count.failed.append(case.name)
            elif case.outcome == SKIPPED:
                count.skipped.append(f"{case.name}: {case.reason}")
            else:
                count.passed += 1
            if case.outcome == FLAKY:
                count.flaky.append(case.name)
        return count

    def add(self, other: Count) -> None:
        self.passed += other.passed
        self.skipped += other.skipped
        self.failed += other.failed
        self.flaky += other.flaky

    def __str__(self) -> str:
        return f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"
