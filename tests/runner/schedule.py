"""Which steps run beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from tests.runner.steps import Step

# Loads are averages: steps that together keep a little more than the processors busy still wait
# at times.
ROOM = 1.1


def next_steps(
    waiting: Sequence[Step], running: Sequence[Step], processors: float
) -> tuple[Step, ...]:
    """The steps to start now: the longest first, as many as the processors can serve.

    A step that is shorter takes the room that a longer one cannot use. With nothing running, one
    starts whatever its load. Of C(after) only steps of this run count.
    """
    started: list[Step] = []
    unfinished = {step.name for step in (*waiting, *running)}
    for step in sorted(waiting, key=lambda step: -urgency(step, waiting)):
        beside = [*running, *started]
        if step.after & unfinished:
            continue
        if any(step.alone & other.alone for other in beside):
            continue
        load = step.load + sum(other.load for other in beside)
        if beside and round(load, 3) > processors * ROOM:
            continue
        started.append(step)
    return tuple(started)


def urgency(step: Step, steps: Sequence[Step]) -> int:
    """Seconds from a step's start until the last of those that wait for it could have ended."""
    return step.seconds + max(
        (urgency(other, steps) for other in steps if step.name in other.after), default=0
    )
