"""Run pytest, and the tests that fail once more.

    python -m tests.runner.once_more REPORT [OPTION...] PATH...

REPORT is the JUnit file; that of the second run lies beside it, as NAME.again.xml. Tests marked
`load` assert that no request is lost: they have one try. Ends with 0 if every test passed, at its
first try or its second; tests/run.py prints the latter as flaky.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.runner import reports

# So many failures are no chance: a second run would only take its time.
MOST = 25
# pytest's exit status when tests have failed, and nothing else went wrong.
TESTS_FAILED = 1


def pytest(report: Path, *options: str) -> int:
    """One run of pytest."""
    cache = report.parent / "cache" / report.stem.removesuffix(reports.AGAIN)
    command = [sys.executable, "-m", "pytest", f"--junit-xml={report}", "-o", f"cache_dir={cache}"]
    return subprocess.run([*command, *options], check=False).returncode


def main(report: Path, options: Sequence[str]) -> int:
    """Both runs."""
    again = reports.again_path(report)
    again.unlink(missing_ok=True)
    status = pytest(report, *options, "--cache-clear")
    if status != TESTS_FAILED:
        return status
    failed = reports.Count.of(reports.read(report)).failed
    if len(failed) > MOST:
        print(f"{len(failed)} tests failed: more than {MOST} are not run once more", flush=True)
        return status
    print(f"Once more, unless marked load: {', '.join(failed)}", flush=True)
    only_failed = ("--last-failed", "--last-failed-no-failures=none", "-m", "not load")
    pytest(again, *options, *only_failed)
    count = reports.Count.of(reports.read(report))
    for name in count.flaky:
        print(f"flaky: {name}", flush=True)
    return 0 if failed and not count.failed else status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
