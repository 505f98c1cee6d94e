from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.watch.changes import (
    Changes,
    Incident,
    Known,
    Settings,
    blind,
    down,
    seen,
)

from tests.unit.plugins.module_utils.watch.looks import part, report

WEB = "docker1/container/bookface_1"
MACHINE = "docker1/machine/docker1"
ENGINE = "docker1/service/docker"
BACKUP = "db1/timer/bookface-backup"
SETTINGS = Settings(after=2, still_down=600)


class Watch:
    """Looks, one each minute."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.settings = settings
        self.time = 0.0
        self.known: dict[str, Known] = {}
        self.active: dict[str, str] = {}
        self.incidents: dict[tuple[str, float], Incident] = {}

    def look(self, *parts: dict[str, Any], **more: Any) -> list[str]:
        """What people are told of a look that finds these."""
        self.time += 60
        found = report(self.time, *parts, **more)
        return self.take(seen(self.known, self.active, found, self.time - 5, self.settings))

    def blind(self, cause: str = "no report") -> list[str]:
        self.time += 60
        return self.take(blind(self.known, self.active, cause, self.time, self.time, self.settings))

    def take(self, changed: Changes) -> list[str]:
        self.known, self.active = dict(changed.known), dict(changed.active)
        for one in changed.incidents:
            self.incidents[one.part.id, one.begin] = one
        self.events = changed.events
        return [f"{event.kind} {event.part.id}" for event in changed.events]


def test_the_first_look_tells_nothing_of_what_is_up() -> None:
    watch = Watch()
    assert watch.look(part(WEB), part(MACHINE)) == []
    assert watch.look(part(WEB), part(MACHINE)) == []
    assert not watch.incidents


def test_down_and_up_again_are_told_once_each() -> None:
    watch = Watch()
    assert watch.look(part(WEB)) == []
    assert watch.look(part(WEB, "down", cause="exited")) == []
    assert watch.look(part(WEB, "down", cause="exited")) == [f"down {WEB}"]
    assert watch.events[0].begin == 120
    assert [one.part.id for one in down(watch.known.values())] == [WEB]
    for _ in range(5):
        assert watch.look(part(WEB, "down", cause="exited")) == []
    assert watch.look(part(WEB)) == []
    assert watch.look(part(WEB)) == [f"up {WEB}"]
    assert (watch.events[0].begin, watch.events[0].end) == (120, 540)
    assert watch.look(part(WEB)) == []
    (incident,) = watch.incidents.values()
    assert (incident.begin, incident.end, incident.cause) == (120, 540, "exited")


def test_a_short_fault_is_in_the_history_only() -> None:
    watch = Watch()
    watch.look(part(WEB))
    told = [watch.look(part(WEB, state)) for state in ("down", "up", "up", "up")]
    assert told == [[], [], [], []]
    (incident,) = watch.incidents.values()
    assert (incident.begin, incident.end) == (120, 180)


def test_a_part_that_flaps_tells_nothing_until_it_stays_down() -> None:
    watch = Watch()
    watch.look(part(WEB))
    assert [told for state in ["down", "up"] * 5 for told in watch.look(part(WEB, state))] == []
    assert len(watch.incidents) == 1
    assert watch.look(part(WEB, "down")) + watch.look(part(WEB, "down")) == [f"down {WEB}"]
    # One look that finds it up is not "up again", nor is the next one that does not "down".
    told = [told for state in ["up", "down"] * 5 for told in watch.look(part(WEB, state))]
    assert told == [f"still_down {WEB}"]


def test_a_part_that_flaps_for_long_is_told() -> None:
    watch = Watch()
    watch.look(part(WEB))
    told = [watch.look(part(WEB, state)) for state in ["down", "up"] * 20]
    assert {number: events for number, events in enumerate(told) if events} == {
        10: [f"down {WEB}"],
        20: [f"still_down {WEB}"],
    }
    assert watch.look(part(WEB)) == [f"up {WEB}"]


def test_who_wants_to_know_at_once_is_told_at_once() -> None:
    watch = Watch(Settings(after=1))
    assert watch.look(part(WEB, "down")) == [f"down {WEB}"]
    assert watch.look(part(WEB)) == [f"up {WEB}"]


def test_reminders_come_after_twice_the_time() -> None:
    watch = Watch()
    times = []
    for _ in range(100):
        if f"still_down {WEB}" in watch.look(part(WEB, "down")):
            times.append(watch.time - 60)
    assert times == [600, 1200, 2400, 4800]


def test_mended_in_one_look() -> None:
    watch = Watch()
    watch.look(part(WEB))
    assert watch.look(part(WEB, cause="exited", action="started")) == [f"mended {WEB}"]
    assert watch.events[0].cause == "exited"
    assert watch.events[0].actions == ("started",)
    (incident,) = watch.incidents.values()
    assert (incident.begin, incident.end) == (115, 120)
    assert watch.look(part(WEB)) == []


def test_what_is_mended_again_and_again_is_counted_and_told_now_and_then() -> None:
    watch = Watch()
    watch.look(part(WEB))
    told = [watch.look(part(WEB, cause="x", action="started")) for _ in range(12)]
    assert [number for number, events in enumerate(told) if events] == [0, 10]
    watch.look(part(WEB))
    assert len(watch.incidents) == 12
    for _ in range(8):
        watch.look(part(WEB))
    watch.look(part(WEB, cause="x", action="started"))
    assert (watch.events[0].times, watch.events[0].begin) == (2, 720)


def test_mended_over_two_looks() -> None:
    watch = Watch()
    watch.look(part(WEB))
    assert watch.look(part(WEB, "down", cause="exited", action="started")) == []
    assert watch.look(part(WEB)) == []
    assert watch.look(part(WEB)) == [f"mended {WEB}"]
    assert watch.events[0].actions == ("started",)


def test_up_again_says_what_was_done_once() -> None:
    watch = Watch()
    for _ in range(3):
        watch.look(part(WEB, "down", action="started"))
    watch.look(part(WEB, action="activated"))
    assert watch.look(part(WEB)) == [f"up {WEB}"]
    assert watch.events[0].actions == ("started", "activated")


def test_unknown_is_not_up() -> None:
    watch = Watch()
    watch.look(part(WEB))
    watch.look(part(WEB, "unknown"))
    assert watch.look(part(WEB, "unknown")) == [f"down {WEB}"]
    assert watch.events[0].state == "unknown"


def test_a_switch_is_told_at_once_and_once() -> None:
    watch = Watch()
    assert watch.look(part(WEB), active={"lb1": "legacy"}) == []
    assert watch.look(part(WEB), active={"lb1": "docker"}) == ["switch lb1"]
    assert (watch.events[0].cause, watch.events[0].state) == ("legacy", "docker")
    # Nobody could ask: it still serves from there.
    assert watch.look(part(WEB), active={}) == []
    assert watch.look(part(WEB), active={"lb1": None}) == []
    assert watch.look(part(WEB), active={"lb1": "docker"}) == []
    watch.look(part(WEB), active={})
    assert watch.look(part(WEB), active={"lb1": "swarm"}) == ["switch lb1"]
    assert watch.events[0].cause == "docker"


def test_a_failed_backup_is_told_and_that_it_works_again() -> None:
    watch = Watch()
    watch.look(part(BACKUP))
    told = [watch.look(part(BACKUP, state)) for state in ("down", "down", "up", "up")]
    assert told == [[], [f"down {BACKUP}"], [], [f"up {BACKUP}"]]


def test_a_timer_that_somebody_removed_is_told_once() -> None:
    machine = part("db1/machine/db1")
    watch = Watch()
    watch.look(machine, part(BACKUP), part("db1/service/postgresql"))
    assert watch.look(machine) == [f"gone {BACKUP}"]
    assert watch.look(machine) == []
    # The inventory no longer has its machine.
    watch.look(machine, part(BACKUP), part(WEB))
    assert watch.look(part(WEB)) == []
    # The machine may have it.
    watch.look(machine, part(BACKUP))
    assert watch.look(part("db1/machine/db1", "unknown", cause="no SSH")) == []


def test_a_blind_watch_is_told_and_changes_nothing_else() -> None:
    watch = Watch()
    watch.look(part(WEB, "down"))
    watch.look(part(WEB, "down"))
    before = watch.known[WEB]
    assert [watch.blind(), watch.blind(), watch.blind()] == [[], ["down watch"], []]
    assert watch.known[WEB] == before
    assert watch.look(part(WEB, "down")) == []
    assert watch.look(part(WEB, "down")) == ["up watch"]


def test_blind_from_the_first_look_on() -> None:
    watch = Watch()
    assert watch.blind() + watch.blind() == ["down watch"]


def test_a_part_that_is_no_longer_wanted_ends_its_incident() -> None:
    watch = Watch()
    watch.look(part(WEB), part(BACKUP))
    watch.look(part(WEB, "down"), part(BACKUP))
    watch.look(part(WEB, "down"), part(BACKUP))
    assert watch.look(part(BACKUP)) == [f"over {WEB}"]
    assert watch.incidents[WEB, 120].end == 240
    assert WEB not in watch.known
    assert watch.look(part(WEB)) == []


def test_what_something_else_hides_is_unknown() -> None:
    """Neither gone nor up, whatever was known of it."""
    watch = Watch()
    watch.look(part(MACHINE), part(WEB))
    assert watch.look(part(MACHINE, "unknown", cause="no SSH")) == []
    told = watch.look(part(MACHINE, "unknown", cause="no SSH"))
    assert told == [f"down {MACHINE}", f"down {WEB}"]
    assert [event.cause for event in watch.events] == ["no SSH", ""]
    assert watch.known[WEB].state == "unknown"
    watch.look(part(MACHINE), part(WEB))
    assert watch.look(part(MACHINE), part(WEB)) == [f"up {MACHINE}", f"up {WEB}"]


def test_what_is_hidden_is_as_down_as_before() -> None:
    watch = Watch()
    watch.look(part(ENGINE), part(WEB))
    for _ in range(2):
        watch.look(part(ENGINE), part(WEB, "down", cause="exited"))
    assert watch.look(part(ENGINE, "down")) + watch.look(part(ENGINE, "down")) == [f"down {ENGINE}"]
    incident = watch.known[WEB].incident
    assert incident is not None
    assert (incident.begin, incident.state, incident.cause) == (120, "unknown", "exited")


def test_trouble_that_is_reported_only_while_it_lasts() -> None:
    watch = Watch()
    socket = "docker1/service/docker API"
    watch.look(part(ENGINE))
    for _ in range(2):
        watch.look(part(ENGINE, "down"), part(socket, "unknown", cause="no answer"))
    # Also while something else on the host is down.
    assert watch.look(part(ENGINE, "down")) == [f"over {socket}"]
    assert socket not in watch.known


def test_a_switch_by_heal_is_told_and_the_backend_that_it_has_left_is_down() -> None:
    watch = Watch()
    backend = "lb1/backend/docker"
    watch.look(part(backend))
    told = watch.look(part(backend, "down", action="switched"), active={"lb1": "legacy"})
    assert told == ["switch lb1"]
    assert watch.look(part(backend, "down"), active={"lb1": "legacy"}) == [f"down {backend}"]
    incident = watch.known[backend].incident
    assert incident
    assert incident.actions == ("switched",)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_as_many_ups_as_downs(after: int) -> None:
    """Whatever a part does, people hear the two in turns."""
    watch = Watch(Settings(after, still_down=1e9))
    pattern = "dduuduudddduuuuududduuudddddduuuuu"
    told = [
        event.split()[0]
        for letter in pattern
        for event in watch.look(part(WEB, "down" if letter == "d" else "up"))
    ]
    assert told[0] == "down"
    assert told[-1] == "up"
    assert all(one != two for one, two in zip(told, told[1:]))
