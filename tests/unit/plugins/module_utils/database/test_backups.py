"""Which backups go, whatever the clocks of the past have said."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.backup_rotation import FilterModule

rotation = FilterModule().filters()["backup_rotation"]
DIRECTORY = "/var/backups/bookface"


def backup(day: str) -> str:
    return f"{DIRECTORY}/bf-{day}T020000Z.dump"


MADE = backup("20260110")
PAST = [backup(f"2026010{day}") for day in range(1, 10)]
FUTURE = [backup(f"2031010{day}") for day in range(1, 8)]


@pytest.mark.parametrize(
    ("keep", "left"), [(1, []), (3, PAST[-2:]), (10, PAST), (99, PAST), ("3", PAST[-2:])]
)
def test_the_oldest_go_first(keep: int, left: list[str]) -> None:
    said = rotation([*reversed(PAST), MADE], MADE, keep)
    assert said == {"remove": PAST[: len(PAST) - len(left)], "future": []}


@pytest.mark.parametrize("keep", [1, 7])
def test_the_one_just_made_stays_whatever_is_dated_after_it(keep: int) -> None:
    said = rotation([*FUTURE, MADE, *PAST], MADE, keep)
    assert said == {"remove": PAST[: 10 - keep], "future": FUTURE}


def test_a_date_that_there_is_not_is_in_the_future() -> None:
    assert rotation([backup("99999999"), MADE], MADE, 1)["future"] == [backup("99999999")]


def test_the_one_just_made_need_not_have_been_found() -> None:
    assert rotation(PAST[:2], MADE, 2) == {"remove": PAST[:1], "future": []}


@pytest.mark.parametrize(
    ("paths", "keep", "said"),
    [
        ([f"{DIRECTORY}/bf.dump"], 7, "is not named DATABASE-TIME.dump"),
        (PAST, 0, "keep is 0"),
        (PAST, "x", "invalid literal"),
    ],
)
def test_what_cannot_be_is_an_error(paths: list[str], keep: int, said: str) -> None:
    with pytest.raises(AnsibleFilterError, match=said):
        rotation(paths, MADE, keep)
