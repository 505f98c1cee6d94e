# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of the last switch, as text."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.record import (
    Move,
    RecordError,
    parse_record,
    previous,
    record_path,
    render_record,
)
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(min_size=1)


@given(st.dictionaries(NAMES, st.builds(Move, NAMES, NAMES, st.text())))
def test_there_and_back(moves: dict[str, Move]) -> None:
    assert parse_record("/r", render_record(moves)) == moves


def test_for_a_reader() -> None:
    text = render_record({"f": Move("legacy", "docker")})
    assert json.loads(text) == {"f": {"from": "legacy", "to": "docker"}}
    assert text.endswith("}\n")
    text = render_record({"f": Move("maintenance", "docker", "legacy")})
    assert json.loads(text)["f"] == {"from": "maintenance", "to": "docker", "origin": "legacy"}


def test_haproxy_does_not_load_it() -> None:
    assert record_path("/etc/haproxy/haproxy.cfg") == "/etc/haproxy/haproxy.cfg.previous.json"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", "null", '{"f": 1}', '{"f": {}}', '{"f": {"from": 1, "to": "a"}}',
     '{"f": {"from": "", "to": "a"}}', '{"f": {"from": "a", "to": "b", "origin": 1}}',
     '{"f": {"from": "a"}}', '{"f": null}'],
)  # fmt: skip
def test_what_is_no_record(text: str) -> None:
    with pytest.raises(RecordError, match=r"the record /r is invalid"):
        parse_record("/r", text)


@given(st.text())
def test_any_text(text: str) -> None:
    with suppress(RecordError):
        parse_record("/r", text)


def test_where_a_rollback_goes() -> None:
    moves = {"f": Move("legacy", "docker")}
    assert previous("/r", moves, "f") == "legacy"
    with pytest.raises(RecordError, match=r"/r has no record .* 'g' \(recorded frontends: f\)"):
        previous("/r", moves, "g")
    with pytest.raises(RecordError, match="nothing to roll back to") as error:
        previous("/r", {}, "g")
    assert error.value.remedy == "Name the backend instead"
