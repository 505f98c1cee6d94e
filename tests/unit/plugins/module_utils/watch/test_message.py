from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.watch import changes
from ansible_collections.bookface.platform.plugins.module_utils.watch.changes import Event
from ansible_collections.bookface.platform.plugins.module_utils.watch.message import (
    LONGEST,
    compose,
    duration,
    line,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.report import WATCH, Part

BEGIN = 1796076000.0  # 22:00 UTC
WEB = Part("docker1/container/bookface_1", "docker1", "container", "bookface_1")
MACHINE = Part("docker1/machine/docker1", "docker1", "machine", "docker1")
ENGINE = Part("docker1/service/docker", "docker1", "service", "docker")
BACKUP = Part("db1/timer/bookface-backup", "db1", "timer", "bookface-backup")
BALANCER = Part("lb1", "lb1", "load_balancer", "lb1")


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (
            Event(changes.DOWN, WEB, BEGIN, state="down", cause="exited with 137"),
            "DOWN: container bookface_1 on docker1, since 22:00 UTC: exited with 137.",
        ),
        (
            Event(changes.DOWN, WEB, BEGIN, state="down", actions=("started",), wanted="look"),
            "DOWN: container bookface_1 on docker1, since 22:00 UTC. It was started. To do: look.",
        ),
        (
            Event(changes.STILL_DOWN, WEB, BEGIN, BEGIN + 1800, state="down", cause="x."),
            "STILL DOWN: container bookface_1 on docker1, for 30 min, since 22:00 UTC: x.",
        ),
        (
            Event(changes.DOWN, WEB, BEGIN, state="down", cause="no image", tries=3),
            "DOWN: container bookface_1 on docker1, since 22:00 UTC: no image. Tried 3 times.",
        ),
        (
            Event(changes.DOWN, MACHINE, BEGIN, state="unknown", cause="no SSH"),
            "UNKNOWN: machine docker1, since 22:00 UTC: no SSH.",
        ),
        (
            Event(changes.DOWN, BACKUP, BEGIN, state="down", cause="no space"),
            "FAILED: timer bookface-backup on db1, since 22:00 UTC: no space.",
        ),
        (
            Event(changes.GONE, BACKUP, BEGIN),
            "GONE: timer bookface-backup on db1. It was removed or disabled; its machine is up.",
        ),
        (
            Event(changes.UP, WEB, BEGIN, BEGIN + 240, cause="exit 1", actions=("started",)),
            "UP AGAIN: container bookface_1 on docker1, after 4 min. Cause: exit 1."
            " It was started.",
        ),
        (
            Event(changes.MENDED, WEB, BEGIN, BEGIN + 5, cause="exited", actions=("started",)),
            "MENDED: container bookface_1 on docker1. Cause: exited. It was started.",
        ),
        (
            Event(changes.MENDED, WEB, BEGIN, cause="exited", actions=("started",), times=5),
            "MENDED: container bookface_1 on docker1, 5 times since 22:00 UTC. Cause: exited."
            " It was started.",
        ),
        (
            Event(changes.MENDED, BALANCER, BEGIN, cause="docker is down", actions=("switched",)),
            "MENDED: load balancer lb1. Cause: docker is down. Done: the traffic was switched.",
        ),
        (
            Event(changes.SWITCH, BALANCER, BEGIN, cause="legacy", state="docker"),
            "SWITCH: lb1 serves from docker, it was legacy.",
        ),
        (
            Event(changes.DOWN, WATCH, BEGIN, state="down", cause="no report"),
            "BLIND: nobody knows how the platform is, since 22:00 UTC: no report.",
        ),
        (
            Event(changes.UP, WATCH, BEGIN, BEGIN + 60, cause="no report"),
            "UP AGAIN: the watch, after 60 s. Cause: no report.",
        ),
        (
            Event(changes.OVER, WEB, BEGIN, BEGIN + 60, cause="exited"),
            "OVER: container bookface_1 on docker1, after 60 s. It is no longer reported."
            " Cause: exited.",
        ),
        (Event(changes.NOTE, WATCH, BEGIN, cause="A note."), "NOTE: A note."),
    ],
)
def test_a_line_for_each_event(event: Event, sentence: str) -> None:
    assert line(event) == sentence


@pytest.mark.parametrize(
    ("event", "title"),
    [
        (Event(changes.DOWN, WEB, BEGIN, state="down"), "container bookface_1 on docker1 is down"),
        (Event(changes.DOWN, MACHINE, BEGIN, state="unknown"), "machine docker1 cannot be seen"),
        (
            Event(changes.DOWN, BACKUP, BEGIN, state="down"),
            "timer bookface-backup on db1 has failed",
        ),
        (Event(changes.UP, MACHINE, BEGIN), "machine docker1 is up again"),
        (
            Event(changes.SWITCH, BALANCER, BEGIN, state="docker", cause="legacy"),
            "lb1 serves from docker",
        ),
        (Event(changes.DOWN, WATCH, BEGIN, state="down"), "the watch is blind"),
        (Event(changes.UP, WATCH, BEGIN), "the watch is up again"),
    ],
)
def test_the_title_of_one_event_is_a_sentence(event: Event, title: str) -> None:
    message = compose("bookface", [event])
    assert message is not None
    assert message.title == f"bookface: {title}"


def test_nothing_happened() -> None:
    assert compose("bookface", []) is None


def test_one_message_for_all_with_the_worst_first() -> None:
    message = compose(
        "bookface",
        [
            Event(changes.UP, WEB, BEGIN, BEGIN + 60),
            Event(changes.SWITCH, BALANCER, BEGIN, state="docker", cause="legacy"),
            Event(changes.DOWN, BACKUP, BEGIN, state="down"),
            Event(changes.DOWN, MACHINE, BEGIN, state="down"),
        ],
    )
    assert message is not None
    assert message.title == "bookface: 2 down, 1 switched, 1 up again"
    heads = [one.partition(":")[0] for one in message.body.splitlines()]
    assert heads == ["FAILED", "DOWN", "SWITCH", "UP AGAIN"]


def unknown(kind: str, part: Part, cause: str = "") -> Event:
    return Event(kind, part, BEGIN, BEGIN + 60, state="unknown", cause=cause)


def container(number: int) -> Part:
    return Part(f"docker1/container/{number}", "docker1", "container", f"{number}")


def lines(*events: Event) -> list[str]:
    message = compose("bookface", events)
    assert message is not None
    return message.body.splitlines()


def test_what_a_dead_machine_hides_is_counted_only() -> None:
    hidden = [unknown(changes.DOWN, container(number)) for number in range(3)]
    dead = Event(changes.DOWN, MACHINE, BEGIN, state="down", cause="off")
    message = compose("bookface", [*hidden, dead, unknown(changes.DOWN, BACKUP, "no answer")])
    assert message is not None
    assert message.title == "bookface: 2 down"
    assert message.body.splitlines() == [
        "DOWN: machine docker1, since 22:00 UTC: off. 3 parts on the same host cannot be seen.",
        "UNKNOWN: timer bookface-backup on db1, since 22:00 UTC: no answer.",
    ]


def test_what_comes_back_with_what_hid_it_is_counted_only() -> None:
    assert lines(
        Event(changes.UP, ENGINE, BEGIN, BEGIN + 60, state="down", cause="stopped"),
        unknown(changes.UP, WEB),
    ) == [
        "UP AGAIN: service docker on docker1, after 60 s. Cause: stopped."
        " 1 part on the same host can be seen again."
    ]


def test_what_was_hidden_by_something_of_an_earlier_message_is_listed() -> None:
    assert lines(unknown(changes.DOWN, WEB)) == [
        "UNKNOWN: container bookface_1 on docker1, since 22:00 UTC."
    ]


def test_an_unknown_part_with_a_cause_of_its_own_is_listed() -> None:
    dead = Event(changes.DOWN, MACHINE, BEGIN, state="down")
    assert len(lines(dead, unknown(changes.DOWN, WEB, "no answer"))) == 2


def test_a_message_fits_every_service() -> None:
    events = [
        Event(changes.DOWN, Part(f"h/service/{n}", "h", "service", f"{n}"), BEGIN, state="down",
              cause="x" * 900)
        for n in range(50)
    ]  # fmt: skip
    message = compose("bookface", events)
    assert message is not None
    lines = message.body.splitlines()
    assert len(message.body) <= LONGEST + 100
    assert lines[-1] == f"... and {50 - len(lines) + 1} more: bookface-watch history shows all."
    assert lines[0].endswith(" ...")


def test_durations_are_read_at_a_glance() -> None:
    assert [duration(one) for one in (-3, 59, 100, 5400, 200000)] == [
        "0 s",
        "59 s",
        "2 min",
        "1.5 h",
        "2.3 days",
    ]
