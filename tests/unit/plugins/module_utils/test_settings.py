"""Rules for the variables of a role."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.setting_errors import FilterModule

errors = FilterModule().filters()["setting_errors"]
NUMBER = {"name": "role_count", "pattern": "[1-9][0-9]*", "expected": "a number from 1"}


@pytest.mark.parametrize("value", [1, "20", ["3", 4], []])
def test_good_values(value: Any) -> None:
    assert errors([{**NUMBER, "value": value}]) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "role_count is 0; expected a number from 1."),
        ("", "role_count is empty; expected a number from 1."),
        ("1\n", "role_count is 1\n; expected a number from 1."),
        ([1, "x"], "role_count has x; expected a number from 1."),
        ([{"a": 1}], "role_count has {'a': 1}; expected a number from 1."),
    ],
)
def test_bad_values(value: Any, said: str) -> None:
    assert errors([{**NUMBER, "value": value}]) == [said]


@pytest.mark.parametrize(("when", "count"), [(True, 1), (False, 0), ("True", 1), ("False", 0)])
def test_a_condition_with_its_sentence(when: Any, count: int) -> None:
    assert errors([{"when": when, "error": "Two\n words."}]) == ["Two words."] * count


def test_all_are_reported_in_order() -> None:
    rules = [{**NUMBER, "value": -1}, {"when": True, "error": "And this."}]
    assert errors(rules) == ["role_count is -1; expected a number from 1.", "And this."]


def test_a_rule_that_is_none_is_an_error() -> None:
    with pytest.raises(AnsibleFilterError, match="setting_errors: KeyError"):
        errors([{"name": "x"}])


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (12345678, "is not text"),
        (True, "is not text"),
        (0.5, "is not text"),
        ("top\nsecret", "has a line break"),
        ("top\x7fsecret", "has a line break"),
        ("top secret # \" ' all", ""),
        ("", ""),
    ],
)
def test_secret_is_text_and_not_shown(value: object, what: str) -> None:
    rule = {"name": "password", "pattern": r"[^\x00-\x1f\x7f]*", "expected": "text"}
    found = errors([{**rule, "value": value, "secret": True}])
    assert [what in sentence for sentence in found] == ([True] if what else [])
    assert not any("secret" in sentence or "1234" in sentence for sentence in found)
