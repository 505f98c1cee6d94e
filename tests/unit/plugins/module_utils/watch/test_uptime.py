from __future__ import annotations

from ansible_collections.bookface.platform.plugins.module_utils.watch import uptime
from ansible_collections.bookface.platform.plugins.module_utils.watch.changes import Incident
from ansible_collections.bookface.platform.plugins.module_utils.watch.history import Look
from ansible_collections.bookface.platform.plugins.module_utils.watch.report import Part

WEB = Part("docker1/container/bookface_1", "docker1", "container", "bookface_1")


def looks(*statuses: str) -> list[Look]:
    """One each minute."""
    return [Look(60.0 * number, 5, status) for number, status in enumerate(statuses)]


def test_each_look_speaks_for_the_time_until_the_next() -> None:
    spans = uptime.observed(looks("healthy", "broken", "mended", "healthy"), 240, 300)
    assert uptime.whole(spans) == 0.75


def test_time_that_nobody_saw_does_not_count() -> None:
    seen = [*looks("healthy", "blind", "blind", "broken"), Look(10000, 5, "healthy")]
    spans = uptime.observed(seen, 10060, 120)
    assert [span for span, _ in spans] == [(0, 60), (180, 300), (10000, 10060)]
    assert uptime.whole(spans) == 0.5


def test_nothing_was_seen() -> None:
    assert uptime.whole(uptime.observed([], 100, 60)) is None
    assert uptime.of_part([], [], 0) is None
    assert uptime.of_part([(0, 100)], [], 100) is None


def test_a_part_counts_from_when_it_was_first_seen() -> None:
    spans = [(0.0, 600.0), (600.0, 1000.0), (5000.0, 6000.0)]
    ended = Incident(WEB, 500, 700, "down")
    unseen = Incident(WEB, 2000, 3000, "down")
    open_one = Incident(WEB, 5750, None, "down")
    assert uptime.of_part(spans, [ended], 0) == 0.9
    assert uptime.of_part(spans, [ended, unseen], 0) == 0.9
    assert uptime.of_part(spans, [ended, open_one], 5000) == 0.75


def test_spans_that_meet_are_one() -> None:
    assert uptime.joined([(0, 1), (1, 2), (3, 4), (3.5, 3.6)]) == [(0, 2), (3, 4)]
