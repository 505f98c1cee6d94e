"""`make test`: every check, as many beside each other as this machine's processors can serve.

Prints a line when a step begins and when it ends; all output is in logs/, and what steps and tests
took in logs/durations.json. Ends with `N passed, N failed, N skipped`: tests as pytest counts them,
and one for each other step.
"""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from tests.runner import changed, costs, execute, schedule
from tests.runner.execute import Ended
from tests.runner.reports import Count
from tests.runner.steps import JUNIT, LOGS, ON_DEMAND, ROOT, STEPS, Step, UnknownStepError, choose


def run_all(steps: Sequence[Step], processors: int) -> list[Ended]:
    """All of them, in the order in which they ended."""
    waiting, done = list(steps), []
    running: dict[Future[Ended], Step] = {}
    with ThreadPoolExecutor(max(len(waiting), 1)) as pool:
        while waiting or running:
            for step in schedule.next_steps(waiting, list(running.values()), processors):
                print(f"{step.name:<22} began", flush=True)
                waiting.remove(step)
                running[pool.submit(execute.run, step)] = step
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                done.append(future.result())
                print(done[-1].text(), flush=True)
    return done


def list_steps() -> None:
    """Print them."""
    for step in STEPS + ON_DEMAND:
        print(f"{step.name:<22} {step.group:<12} {' '.join(step.command)}")


def main() -> int:
    """Choose the steps, run them, sum up."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME[,NAME...]", help="names or groups of steps")
    parser.add_argument(
        "--changed",
        metavar="BASE",
        nargs="?",
        const="main",
        help="only steps that changes since BASE can affect (default: main)",
    )
    parser.add_argument("--list", action="store_true", help="print the steps")
    options = parser.parse_args()
    if options.list:
        list_steps()
        return 0
    try:
        steps = choose(options.only)
        if options.changed:
            steps = changed.only_affected(ROOT, options.changed, steps)
    except (UnknownStepError, changed.GitError) as error:
        parser.error(str(error))

    JUNIT.mkdir(parents=True, exist_ok=True)
    processors = len(os.sched_getaffinity(0))
    begin = costs.Clock.now()
    done = run_all(steps, processors)
    data = costs.as_data(done, begin, costs.Clock.now(), processors)
    (LOGS / "durations.json").write_text(json.dumps(data, indent=2) + "\n")
    print(costs.as_text(data))

    total = Count()
    for ended in done:
        total.add(ended.count)
    for what, tests in (("flaky", total.flaky), ("failed", total.failed)):
        for test in tests:
            print(f"{what}: {test}")
    if total.flaky:
        print(f"flaky: {len(total.flaky)}")
    print(total)
    # Nothing affected is a good end of --changed; a run of nothing else proves nothing.
    return 1 if total.failed or not (total.passed or options.changed) else 0
