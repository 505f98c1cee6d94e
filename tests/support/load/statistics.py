"""What came of the requests: each of them, their sum, and the log."""

from __future__ import annotations

import array
import collections
import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

EXAMPLES = 10


@dataclasses.dataclass(frozen=True)
class Result:
    """One request. Times are seconds since the epoch, comparable with other logs' timestamps."""

    start: float
    sent: float | None  # start includes connecting; None when it was never sent
    end: float
    url: str
    status: int | None
    backend: str | None
    server: str | None
    host: str | None
    client: str
    reused: bool
    idle: float | None  # how long the reused connection had been idle, seconds
    bytes: int
    failure: str | None
    detail: str | None


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a load did. Latencies are of the requests that did not fail."""

    urls: list[str]
    clients: dict[str, int]
    started: float
    ended: float
    stopped_by: str
    requests: int
    failed: int
    failures: dict[str, int]
    examples: list[dict[str, Any]]
    seconds: float
    requests_per_second: float
    latency_ms: dict[str, float | None]
    connections: int
    bytes: int
    by_status: dict[str, int]
    by_client: dict[str, dict[str, int]]
    by_backend: dict[str, int]
    by_server: dict[str, int]
    by_host: dict[str, int]
    first_seen: dict[str, float]  # per backend: start of the first request that it answered
    last_started: dict[str, float]  # per backend: start of the last request that it answered
    last_sent: dict[str, float]  # the same, once the connection stood: the stricter one

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def as_text(self) -> str:
        lines = [
            f"load: {self.requests} requests in {self.seconds:.1f} s "
            f"({self.requests_per_second:.0f}/s), {self.failed} failed"
        ]
        if self.failures:
            lines.append(f"  failures  {counts_text(self.failures)}")
        if self.latency_ms["p50"] is not None:
            lines.append(
                "  latency   "
                + ", ".join(f"{name} {value:.1f} ms" for name, value in self.latency_ms.items())
            )
        for title, counts in (("backends", self.by_backend), ("servers", self.by_server)):
            if counts:
                lines.append(f"  {title:9} {counts_text(counts)}")
        for example in self.examples[:3]:
            lines.append(
                f"  example   {example['offset']:.3f} s: {example['failure']}, "
                f"{example['client']} client: {example['detail']}"
            )
        return "\n".join(lines)


def counts_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Nearest rank: the smallest value that at least `percent` of all do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


class Tally:
    """Adds up results."""

    def __init__(self) -> None:
        self.requests = 0
        self.failed = 0
        self.connections = 0
        self.bytes = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self.by_status: collections.Counter[str] = collections.Counter()
        self.by_backend: collections.Counter[str] = collections.Counter()
        self.by_server: collections.Counter[str] = collections.Counter()
        self.by_host: collections.Counter[str] = collections.Counter()
        self.by_client: dict[str, dict[str, int]] = {}
        self.first_seen: dict[str, float] = {}
        self.last_started: dict[str, float] = {}
        self.last_sent: dict[str, float] = {}
        self.examples: list[Result] = []
        self.latencies = array.array("d")

    def add(self, result: Result, seconds: float) -> None:
        self.requests += 1
        self.bytes += result.bytes
        of_client = self.by_client.setdefault(result.client, {"requests": 0, "failed": 0})
        of_client["requests"] += 1
        if result.failure is None:
            self.latencies.append(seconds)
        else:
            self.failed += 1
            self.failures[result.failure] += 1
            of_client["failed"] += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(result)
        if result.status is not None:
            self.by_status[str(result.status)] += 1
        if result.server is not None:
            self.by_server[result.server] += 1
        if result.host is not None:
            self.by_host[result.host] += 1
        if (backend := result.backend) is not None:
            self.by_backend[backend] += 1
            # Results come in the order of their ends, not of their starts.
            start, sent = result.start, result.sent or result.start
            self.first_seen[backend] = min(start, self.first_seen.get(backend, start))
            self.last_started[backend] = max(start, self.last_started.get(backend, start))
            self.last_sent[backend] = max(sent, self.last_sent.get(backend, sent))

    def latency_ms(self) -> dict[str, float | None]:
        ordered = sorted(self.latencies)
        if not ordered:
            return dict.fromkeys(("p50", "p95", "p99", "max"))
        values = {f"p{p}": percentile(ordered, p) for p in (50, 95, 99)} | {"max": ordered[-1]}
        return {name: round(value * 1000, 3) for name, value in values.items()}


@dataclasses.dataclass(frozen=True)
class Asked:
    """One request of the load's log. Times are seconds since the epoch."""

    sent: float
    seconds: float
    backend: str | None
    failed: bool


def read_log(path: Path) -> list[Asked]:
    """All requests, in the order in which they were sent."""
    requests = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            told = json.loads(line)
            sent = told["sent"] or told["start"]
            seconds = told["end"] - told["start"]
            requests.append(Asked(sent, seconds, told["backend"], told["failure"] is not None))
    return sorted(requests, key=lambda asked: asked.sent)


def longest_gap(path: Path) -> float:
    """Seconds without a good answer to any client, from the log of a load."""
    ends = sorted(one.sent + one.seconds for one in read_log(path) if not one.failed)
    return max((after - before for before, after in itertools.pairwise(ends)), default=math.inf)
