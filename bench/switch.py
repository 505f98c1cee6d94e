"""`make bench-switch`: ways to move HAProxy's traffic to another backend, side by side.

    python -m bench.switch [--quick] [--output FILE]

README.md beside this file says what is measured, and how.
"""

from __future__ import annotations

import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ansible.release import __version__ as ansible_version

from bench import report
from bench.report import BenchError, Row, spread
from tests.support.balancer import FRONTEND, Balancer, ask, real_time_allowed, serving
from tests.support.load import Asked, Load, Summary, percentile, read_log
from tests.support.waiting import until

SIZES = (2, 1000)  # backends
CLIENTS = 32
LONG_CLIENTS = 4
BEGAN = time.monotonic()
MODULE = "ansible_collections.bookface.platform.plugins.modules.haproxy_default_backend"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rate: int = 1100  # requests/s
    switches: int = 6  # of each way, at least
    runtime_requests: int = 51_000  # during the runtime engine's switches, for each size
    runtime_seconds: float = 90  # but no longer than this
    # Seconds between switches. By then the old worker's last idle client has asked again.
    rest: float = 3.5
    runtime_rest: float = 1.0
    timings: int = 15  # of the module without load
    dying_requests: int = 15_000
    dies_after: float = 2.0  # seconds from the switch
    returns_after: float = 5.0  # seconds from its death


FULL = Scale()
QUICK = Scale(
    rate=500,
    switches=1,
    runtime_requests=0,
    rest=0.5,
    runtime_rest=0.5,
    timings=1,
    dying_requests=1000,
    dies_after=0.3,
    returns_after=0.3,
)


# --- The ways -----------------------------------------------------------------------------------


def edit(balancer: Balancer, target: str) -> None:
    """The line on disk, as people change it."""
    line = f"    default_backend {target}"
    arguments = {"path": str(balancer.config), "regexp": "^ +default_backend ", "line": line}
    if not balancer.module("ansible.modules.lineinfile", arguments)["changed"]:
        raise BenchError(f"lineinfile found nothing to change for {target}")


def stop_start(balancer: Balancer, target: str) -> None:
    """Edit the line and restart the service."""
    edit(balancer, target)
    balancer.stop()
    balancer.start()


def line_in_file(balancer: Balancer, target: str) -> None:
    """lineinfile with a handler that reloads the service."""
    edit(balancer, target)
    balancer.validate()
    balancer.reload()


def switch(balancer: Balancer, target: str, engine: str, require_healthy: int = 1) -> float:
    """The module, run for real; the milliseconds that it took."""
    done = balancer.module(
        MODULE,
        {
            "config": str(balancer.config),
            "frontend": FRONTEND,
            "backend": target,
            "engine": engine,
            "socket": str(balancer.socket),
            "master_socket": str(balancer.master),
            "require_healthy": require_healthy,
        },
    )
    if not done["changed"]:
        raise BenchError(f"the {engine} engine found nothing to change for {target}")
    return float(done["elapsed_ms"]["total"])


WAYS: dict[str, Callable[[Balancer, str], object]] = {
    "stop/start": stop_start,
    "lineinfile": line_in_file,
    "reload": lambda balancer, target: switch(balancer, target, "reload"),
    "runtime": lambda balancer, target: switch(balancer, target, "runtime"),
}


# --- What the clients saw -----------------------------------------------------------------------


def overlap_ms(requests: Sequence[Asked], target: str) -> float:
    """From the first request that the new backend answered to the last one that the old did."""
    new = next((asked.sent for asked in requests if asked.backend == target), None)
    if new is None:
        raise BenchError(f"{target} answered none of {len(requests)} requests after the switch")
    old = [asked.sent for asked in requests if asked.backend not in (target, None)]
    return max(0.0, max(old, default=new) - new) * 1000


def outage_ms(requests: Sequence[Asked]) -> float:
    """The longest time in which every request failed, between two that did not."""
    longest, good, failing = 0.0, None, False
    for asked in requests:
        if asked.failed:
            failing = True
            good = asked.sent if good is None else good
        else:
            if failing and good is not None:
                longest = max(longest, asked.sent - good)
            good, failing = asked.sent, False
    return longest * 1000


def p99_ms(requests: Sequence[Asked]) -> float:
    """Of those that did not fail."""
    ordered = sorted(asked.seconds for asked in requests if not asked.failed)
    return percentile(ordered, 99) * 1000 if ordered else math.nan


@dataclass
class Seen:
    """What one way did to the clients at one size."""

    way: str
    backends: int
    requests: int = 0
    failed: int = 0
    long_requests: int = 0
    long_failed: int = 0
    overlaps_ms: list[float] = field(default_factory=list)
    outages_ms: list[float] = field(default_factory=list)
    p99_during_ms: float = math.nan
    p99_apart_ms: float = math.nan


def judge(
    way: str,
    backends: int,
    requests: Sequence[Asked],
    switches: Sequence[tuple[float, float, str]],
    long: Summary,
) -> Seen:
    """Sort the requests by the switches (begin, end, target) that they met."""
    seen = Seen(way, backends, len(requests), sum(asked.failed for asked in requests))
    # What was refused had not begun.
    refused = long.failures.get("refused", 0)
    seen.long_requests, seen.long_failed = long.requests - refused, long.failed - refused
    during: list[Asked] = []
    apart = [asked for asked in requests if asked.sent < switches[0][0]]
    until_next = [begin for begin, _end, _target in switches[1:]] + [math.inf]
    for (begin, end, target), next_begin in zip(switches, until_next, strict=True):
        met = [asked for asked in requests if begin <= asked.sent < next_begin]
        seen.overlaps_ms.append(overlap_ms(met, target))
        seen.outages_ms.append(outage_ms(met))
        during += [asked for asked in met if asked.sent <= end]
        apart += [asked for asked in met if asked.sent > end]
    seen.p99_during_ms, seen.p99_apart_ms = p99_ms(during), p99_ms(apart)
    return seen


# --- The measurements ---------------------------------------------------------------------------


def say(text: str) -> None:
    """Progress."""
    print(f"{time.monotonic() - BEGAN:5.0f} s  {text}", file=sys.stderr, flush=True)


def under_load(balancer: Balancer, way: str, backends: int, scale: Scale) -> Seen:
    """Switch there and back while all kinds of clients ask."""
    log = balancer.directory / "load.log"
    rest = scale.runtime_rest if way == "runtime" else scale.rest
    wanted = scale.runtime_requests if way == "runtime" else 0
    expect = f"{balancer.text}$"
    switches: list[tuple[float, float, str]] = []
    with (
        Load([balancer.url], clients=CLIENTS, rate=scale.rate, expect=expect, log=log) as load,
        Load(
            [f"{balancer.url}long"], clients=LONG_CLIENTS, mix="new=1", rate=10, expect=expect
        ) as downloads,
    ):
        load.wait_for(scale.rate // 2, seconds=10)
        until(lambda: balancer.passed("docker") == 2, "the checks of the web servers")
        enough = time.monotonic() + scale.runtime_seconds
        while len(switches) < scale.switches or (
            load.requests < wanted and time.monotonic() < enough
        ):
            target = "docker" if len(switches) % 2 == 0 else "legacy"
            begin = time.time()
            WAYS[way](balancer, target)
            switches.append((begin, time.time(), target))
            # A handler returns before its reload is done.
            until(partial(balancer.serves, target), f"{target} to get the traffic")
            time.sleep(rest)
    if len(switches) % 2:
        switch(balancer, "legacy", "runtime")
    seen = judge(way, backends, read_log(log), switches, downloads.summary)
    say(
        f"{way}, {backends} backends: {len(switches)} switches, {seen.requests} requests, "
        f"{seen.failed} failed {load.summary.failures or ''}"
    )
    return seen


def without_load(
    balancer: Balancer, backends: int, scale: Scale
) -> tuple[list[float], list[float]]:
    """Milliseconds of the module, and of the least that any such module has to do, in turn."""
    ours, least = [], []
    for number in range(scale.timings):
        begin = time.perf_counter()
        balancer.validate()
        ask(balancer.socket, "show info")
        least.append((time.perf_counter() - begin) * 1000)
        ours.append(switch(balancer, "legacy" if number % 2 else "docker", "runtime"))
    if scale.timings % 2:
        switch(balancer, "legacy", "runtime")
    say(
        f"{backends} backends: the module takes {statistics.median(ours):.1f} ms, "
        f"haproxy -c and a question {statistics.median(least):.1f} ms"
    )
    return ours, least


def target_dies(balancer: Balancer, scale: Scale) -> tuple[Summary, int]:
    """One of the target's two servers dies soon after the switch and comes back.

    Returns what the clients saw, and how many requests were received more than once.
    """
    before = len(balancer.received())
    with Load(
        [f"{balancer.url}slow"],
        clients=CLIENTS,
        rate=scale.rate,
        requests=scale.dying_requests,
        expect=f"{balancer.text}$",
    ) as load:
        switch(balancer, "docker", "runtime", require_healthy=2)
        time.sleep(scale.dies_after)
        balancer.kill_web("docker1")
        time.sleep(scale.returns_after)
        balancer.start_web("docker1")
        load.wait_for(scale.dying_requests, seconds=60)
    received = balancer.received()
    twice = len(received) - len(set(received))
    if len(received) - before < load.summary.requests - load.summary.failed:
        raise BenchError("the web servers' journals lack requests that were answered")
    say(f"target dies: {load.summary.as_text()}")
    return load.summary, twice


# --- The table ----------------------------------------------------------------------------------


def rows_of(seen: Seen) -> list[Row]:
    """What one way did, without judgement."""
    name = f"{seen.way}, {seen.backends} backends"
    return [
        Row(f"{name}: failed requests", seen.failed, f"requests of {seen.requests}"),
        Row(
            f"{name}: outage",
            statistics.median(seen.outages_ms),
            f"ms, {spread(seen.outages_ms)}",
        ),
        Row(
            f"{name}: until the last request started towards the old backend",
            statistics.median(seen.overlaps_ms),
            f"ms, {spread(seen.overlaps_ms)}",
        ),
        Row(
            f"{name}: long downloads cut",
            seen.long_failed,
            f"downloads of {seen.long_requests}",
        ),
    ]


def targets(
    cells: Sequence[Seen],
    timings: Sequence[tuple[list[float], list[float]]],
    dying: tuple[Summary, int],
) -> list[Row]:
    """The rows that are judged: both sizes together, or the worse of them."""
    by_way = {way: [seen for seen in cells if seen.way == way] for way in WAYS}
    runtime = by_way["runtime"]
    failed = {way: sum(seen.failed for seen in found) for way, found in by_way.items()}
    requests = {way: sum(seen.requests for seen in found) for way, found in by_way.items()}
    overlaps = [value for seen in runtime for value in seen.overlaps_ms]
    slow = max(runtime, key=lambda seen: seen.p99_during_ms / seen.p99_apart_ms)
    ours, least = max(timings, key=lambda t: statistics.median(t[0]) / statistics.median(t[1]))
    summary, twice = dying
    return [
        Row(
            "runtime: failed requests",
            failed["runtime"],
            f"requests of {requests['runtime']}, {len(overlaps)} switches",
            target="<= 0",
        ),
        Row(
            "runtime: ms until the last request started towards the old backend",
            max(overlaps),
            f"ms, most of {len(overlaps)}",
            target="<= 50",
        ),
        Row(
            "runtime: p99 during / before",
            slow.p99_during_ms,
            f"ms, {slow.backends} backends",
            other=slow.p99_apart_ms,
            target="<= 1.5",
        ),
        Row(
            "runtime: module time / (haproxy -c + one socket round trip)",
            statistics.median(ours),
            f"ms, {spread(ours)}",
            other=statistics.median(least),
            target="<= 1.5",
        ),
        Row(
            "runtime: long downloads cut",
            sum(seen.long_failed for seen in runtime),
            f"downloads of {sum(seen.long_requests for seen in runtime)}",
            target="<= 0",
        ),
        Row(
            "target dies 2 s after the switch: failed of 15,000",
            summary.failed,
            f"requests of {summary.requests}",
            target="<= 15",
        ),
        Row(
            "target dies 2 s after the switch: writes received twice",
            twice,
            f"requests of {summary.requests}",
            target="<= 0",
        ),
        Row(
            "reload: failed requests",
            failed["reload"],
            f"requests of {requests['reload']} and of {requests['lineinfile']}",
            other=failed["lineinfile"],
            target="<= 1",
        ),
    ]


def real_time_row(seen: Seen) -> Row:
    """What an operator can have who lets HAProxy run before all else (docs/decisions/0005)."""
    return Row(
        "runtime, HAProxy in real time: p99 during / before",
        seen.p99_during_ms,
        f"ms, {seen.backends} backends, {seen.failed} failed of {seen.requests}",
        other=seen.p99_apart_ms,
    )


def bench(scale: Scale) -> tuple[list[Row], dict[str, str]]:
    """Everything: the rows, and the versions of what was measured."""
    cells: list[Seen] = []
    timings = []
    for backends in SIZES:
        with serving(backends) as balancer:
            cells += [under_load(balancer, way, backends, scale) for way in WAYS]
            timings.append(without_load(balancer, backends, scale))
            if backends == SIZES[0]:
                dying = target_dies(balancer, scale)
            versions = {
                "haproxy": balancer.version(),
                "ansible-core": ansible_version,
                "python": platform.python_version(),
            }
    rows = targets(cells, timings, dying)
    if real_time_allowed():
        with serving(SIZES[0], real_time=True) as balancer:
            rows.append(real_time_row(under_load(balancer, "runtime", SIZES[0], scale)))
    else:
        say("HAProxy in real time: not measured, this account may not do that")
    for seen in cells:
        rows += rows_of(seen)
    return rows, versions


if __name__ == "__main__":
    sys.exit(report.run("switch", lambda quick: bench(QUICK if quick else FULL)))
