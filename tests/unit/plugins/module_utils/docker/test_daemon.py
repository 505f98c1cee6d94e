"""daemon.json: merge, check, and what a change costs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.docker_daemon_config import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.docker.daemon import (
    RELOADABLE,
    SCHEMA,
    DaemonConfigError,
    action,
    check,
    load,
    merge,
    render,
    wanted,
)
from hypothesis import given, settings
from hypothesis import strategies as st

Data = dict[str, Any]
BASE: Data = {"log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "3"}}

CONFIGS = st.dictionaries(
    st.sampled_from(sorted(SCHEMA)),
    st.booleans() | st.integers() | st.text() | st.lists(st.text()),
    max_size=6,
)


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({}, BASE),
        ({"debug": True}, {**BASE, "debug": True}),
        (
            {"log-opts": {"max-file": "9"}},
            {**BASE, "log-opts": {"max-size": "10m", "max-file": "9"}},
        ),
        ({"log-opts": {"max-file": None}}, {**BASE, "log-opts": {"max-size": "10m"}}),
        ({"log-opts": None}, {"log-driver": "json-file"}),
        # The options of one log driver mean nothing to another, which would not start.
        ({"log-driver": "journald"}, {"log-driver": "journald"}),
        (
            {"log-driver": "syslog", "log-opts": {"tag": "x"}},
            {"log-driver": "syslog", "log-opts": {"tag": "x"}},
        ),
    ],
)
def test_merge(over: Data, expected: Data) -> None:
    before = json.dumps(BASE)
    assert merge(BASE, over) == expected
    assert json.dumps(BASE) == before


def test_live_restore_where_no_swarm_forbids_it() -> None:
    assert wanted(BASE, {})["live-restore"] is True
    assert wanted(BASE, {}, swarm=True)["live-restore"] is False
    assert wanted(BASE, {"live-restore": False})["live-restore"] is False
    with pytest.raises(DaemonConfigError, match="docker_ce_swarm"):
        wanted(BASE, {"live-restore": True}, swarm=True)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"debug": "true"}, 'debug is "true": expected true or false'),
        ({"mtu": True}, "mtu is true: expected a whole number"),
        ({"dns": "10.0.0.1"}, "expected a list of strings"),
        ({"log-opts": {"max-file": 3}}, "expected a dictionary of strings"),
        ({"default-address-pools": [{"base": "10.0.0.0/8"}, "x"]}, "a list of dictionaries"),
        ({"live_restore": True}, "daemon.json has no key live_restore; did you mean live-restore"),
        ({"zzz": 1}, "daemon.json has no key zzz$"),
        ([], "expected a dictionary, got list"),
    ],
)
def test_what_no_engine_takes(config: Any, complaint: str) -> None:
    with pytest.raises(DaemonConfigError, match=complaint):
        check(config)


@pytest.mark.parametrize(
    ("text", "content"),
    [("", {}), (" \n", {}), ("{}", {}), ('\ufeff{"debug": true}', {"debug": True})],
)
def test_what_the_engine_reads(text: str, content: Data) -> None:
    assert load(text) == content


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{\n  // ours\n  "mtu": 1400\n}', r"line 2 is '// ours': JSON has no comments"),
        ('{\n  "mtu": 1400 # VPN\n}', "line 2 is .*: JSON has no comments"),
        ('/* ours */\n{"mtu": 1400}', "line 1 is .*: JSON has no comments"),
        ('{"mtu": 1400}\n// ours', "line 2 is .*: JSON has no comments"),
        ('{\n"mtu": 1400\n"debug": true}', "line 3 is .*debug.*Expecting ',' delimiter"),
        ('{\n"mtu": 1400,\n}', r"line \d is "),
        ("{", "line 1 is '{'"),
        ('{\n"dns": [],\n"dns": ["10.0.0.1"]}', r"the key dns twice \(lines 2, 3\)"),
        ('{"log-opts": {"tag": "a", "tag": "b"}}', "the key tag twice"),
        ('["debug"]', r'expected an object in braces, got \["debug"\]'),
        ("null", "expected an object in braces, got null"),
        ('{"labels": ["\udce6"]}', "not UTF-8"),
    ],
)
def test_a_file_that_would_lose_something(text: str, complaint: str) -> None:
    with pytest.raises(DaemonConfigError, match=complaint):
        load(text)


def test_a_key_may_be_newer_than_the_list() -> None:
    check({"from-the-future": 1}, unknown=False)
    with pytest.raises(DaemonConfigError):
        check({"from-the-future": 1})


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, "none"),
        ({"debug": False}, {"debug": True}, "reload"),
        ({}, {"labels": ["a=b"], "live-restore": True}, "reload"),
        # A reload passes over what is no longer there.
        ({"debug": True}, {}, "restart"),
        ({}, {"icc": False}, "restart"),
        ({"log-opts": {"max-file": "3"}}, {"log-opts": {"max-file": "5"}}, "restart"),
        ({}, {"debug": True, "icc": False}, "restart"),
        ({"icc": None}, {}, "restart"),
    ],
)
def test_what_a_change_costs(before: Data, after: Data, expected: str) -> None:
    assert action(before, after) == expected


def test_reloadable_keys_are_keys() -> None:
    assert set(SCHEMA) >= RELOADABLE


@settings(deadline=None)
@given(CONFIGS)
def test_no_change_costs_nothing(config: Data) -> None:
    assert action(config, json.loads(render(config))) == "none"


@settings(deadline=None)
@given(CONFIGS, CONFIGS)
def test_merge_has_all_of_the_new_and_the_rest_of_the_old(base: Data, over: Data) -> None:
    merged = merge(base, over)
    assert all(merged[key] == value for key, value in over.items())
    assert merge(merged, over) == merged


@settings(deadline=None)
@given(CONFIGS, CONFIGS)
def test_only_reloadable_keys_are_reloaded(before: Data, after: Data) -> None:
    changed = {key for key in {*before, *after} if before.get(key, ...) != after.get(key, ...)}
    if action(before, after) == "reload":
        assert changed <= RELOADABLE


def test_the_filter_names_the_variable() -> None:
    made = FilterModule().filters()["docker_daemon_config"]
    assert made(BASE, {"debug": True}, swarm=True) == {**BASE, "debug": True, "live-restore": False}
    for wrong in ({"hosts": []}, "text"):
        with pytest.raises(AnsibleFilterError, match="docker_ce_daemon: "):
            made(BASE, wrong)
