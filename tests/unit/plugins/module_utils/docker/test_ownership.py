"""Whose a setting is, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.docker.daemon import (
    SCHEMA,
    render,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.ownership import (
    Record,
    Settled,
    adopt,
    nested,
    settings,
    settle,
)
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

Data = dict[str, Any]
DEFAULTS: Data = {
    "icc": False,
    "no-new-privileges": True,
    "log-driver": "json-file",
    "log-opts": {"max-size": "10m", "max-file": "3"},
    "live-restore": True,
}
# As people write them.
BY_HAND: Data = {
    "data-root": "/mnt/docker",
    "labels": ["role=worker"],
    "insecure-registries": ["192.168.128.23:5000"],
    "mtu": 1400,
    "default-address-pools": [{"base": "172.30.0.0/16", "size": 24}],
}
NEW, OLD = Record(first=True), Record(first=False)

CONFIGS = st.dictionaries(
    st.sampled_from(sorted(SCHEMA)),
    st.booleans()
    | st.text()
    | st.lists(st.text(), max_size=2)
    | st.dictionaries(st.sampled_from("abc"), st.text() | st.none(), max_size=3),
    max_size=5,
)


class File:
    """A file and its record over several runs of the role, and people's edits between them."""

    def __init__(self, record: Record, **config: Any) -> None:
        self.config = {key.replace("_", "-"): value for key, value in config.items()}
        self.record = record

    def run(self, config: Data | None = None, **options: Any) -> Settled:
        options = {"virgin": self.record.first, **options}
        done = settle(self.config, self.record, DEFAULTS, config or {}, **options)
        again = settle(done.config, done.record, DEFAULTS, config or {}, **options)
        assert again == done
        self.config, self.record = done.config, done.record
        return done


def test_an_engine_of_our_own_has_all_defaults() -> None:
    file = File(NEW)
    assert file.run().config == DEFAULTS
    # Also when others use it, and after a setting was changed and taken out again.
    file.run({"log-opts": {"max-file": "5"}, "icc": None}, virgin=False)
    assert file.config["log-opts"] == {"max-size": "10m", "max-file": "5"}
    assert "icc" not in file.config
    done = file.run(virgin=False)
    assert file.config["log-opts"] == DEFAULTS["log-opts"]
    # What would change what runs is not brought back.
    assert done.proposed == {"icc": False}


def test_a_file_written_by_hand_is_kept() -> None:
    """On an engine in use, and with all that is said about it."""
    file = File(OLD)
    file.config = dict(BY_HAND)
    done = file.run()
    assert file.config == BY_HAND | {"live-restore": True}
    assert done.proposed == {key: DEFAULTS[key] for key in DEFAULTS if key != "live-restore"}
    file.run({"debug": True})
    assert file.config == BY_HAND | {"live-restore": True, "debug": True}
    file.run({"live-restore": None})
    assert file.config == BY_HAND


def test_what_somebody_has_decided_wins_over_a_default_and_loses_to_the_user() -> None:
    for record in (NEW, OLD):
        file = File(record, icc=True, live_restore=False)
        file.run()
        assert (file.config["icc"], file.config["live-restore"]) == (True, False)
        file.run({"icc": False})
        assert file.config["icc"] is False


def test_what_was_replaced_comes_back() -> None:
    file = File(OLD, log_opts={"max-size": "50m", "tag": "x"}, dns=["10.0.0.1"])
    file.run({"log-opts": {"max-size": "10m"}, "dns": ["10.0.0.2"], "mtu": 1400})
    assert file.config["log-opts"] == {"max-size": "10m", "tag": "x"}
    file.run({"log-opts": {"max-size": "20m"}})
    assert file.config["dns"] == ["10.0.0.1"]
    file.run()
    assert file.config == {
        "log-opts": {"max-size": "50m", "tag": "x"},
        "dns": ["10.0.0.1"],
        "live-restore": True,
    }


def test_what_somebody_has_changed_since_is_theirs() -> None:
    file = File(NEW)
    file.run({"labels": ["a=b"], "mtu": 1400})
    file.config |= {"labels": ["mine"], "icc": True}
    file.run(virgin=False)
    assert file.config == DEFAULTS | {"labels": ["mine"], "icc": True}
    del file.config["icc"]
    assert file.run(virgin=False).proposed == {"icc": False}


def test_a_default_that_the_user_has_set_goes_again_on_an_engine_in_use() -> None:
    file = File(OLD)
    file.run({"icc": False})
    assert file.run().proposed["icc"] is False
    assert "icc" not in file.config


def test_a_setting_that_was_there_is_not_ours_because_the_user_repeats_it() -> None:
    file = File(OLD, mtu=1400)
    file.run({"mtu": 1400})
    file.run()
    assert file.config["mtu"] == 1400


def test_null_leaves_a_key_to_others() -> None:
    """Ours goes, theirs stays, and nothing is proposed."""
    nothing = dict.fromkeys(DEFAULTS)
    file = File(NEW)
    file.run()
    assert file.run(nothing).config == {}
    for theirs in ({"icc": False}, {"log-opts": {"tag": "x"}}):
        file = File(OLD)
        file.config = dict(theirs)
        done = file.run(nothing)
        assert (done.config, done.proposed) == (theirs, {})
    # A part of a dictionary.
    assert File(NEW).run({"log-opts": {"max-file": None}}).config["log-opts"] == {"max-size": "10m"}


@pytest.mark.parametrize("record", [NEW, OLD])
def test_log_options_belong_to_their_driver(record: Record) -> None:
    file = File(record, log_driver="journald")
    assert "log-opts" not in file.run().config
    file = File(record, log_opts={"tag": "x"})
    assert file.run().config["log-opts"] == {"tag": "x"}
    file.run({"log-driver": "journald"})
    assert "log-opts" not in file.config
    file.run()
    assert file.config["log-opts"] == {"tag": "x"}
    assert File(record).run({"log-driver": "journald"}).config["log-driver"] == "journald"
    # The driver without its options is what we would have chosen: the rest applies.
    same = File(record, log_driver="json-file").run()
    assert {**same.config, **same.proposed}["log-opts"] == DEFAULTS["log-opts"]


def test_a_flag_is_a_decision() -> None:
    for flag in ("icc", "live-restore"):
        assert flag not in File(NEW).run(flags=[flag]).config
    for flag in ("log-driver", "log-opts"):
        assert not {"log-driver", "log-opts"} & File(NEW).run(flags=[flag]).config.keys()


def test_one_setting_without_the_rest() -> None:
    file = File(NEW)
    file.run({"labels": ["a=b"]})
    file.run({"live-restore": False}, prune=False)
    assert file.config == DEFAULTS | {"labels": ["a=b"], "live-restore": False}
    file.run()
    assert file.config == DEFAULTS


def test_a_dictionary_in_the_place_of_something_else() -> None:
    file = File(OLD, log_opts="tag")
    file.run({"log-opts": {"tag": "x"}, "features": {}})
    assert file.config["log-opts"] == {"tag": "x"}
    assert file.config["features"] == {}
    file.run({"live-restore": None})
    assert file.config == {"log-opts": "tag"}


def test_a_file_of_the_role_without_a_record_is_ours() -> None:
    """Written as user data, or by an older version."""
    config = {"labels": ["a=b"]}
    there = DEFAULTS | config
    record = adopt(render(there), there, DEFAULTS, config)
    assert record == Record(first=True, written=there)
    # By hand: another layout, or not all of it.
    for text, content in (
        ('{"icc": false}', {"icc": False}),
        (render({"data-root": "/mnt"}), {"data-root": "/mnt"}),
        (render(there).replace("  ", "    "), there),
    ):
        assert adopt(text, content, DEFAULTS, config) is None
    assert adopt(render(there), there, {}, {}) is None


def test_a_record_is_read_as_it_was_written() -> None:
    record = Record(first=False, written={"icc": False}, replaced={"log-opts": {"tag": "x"}})
    assert Record.parse(record.render()) == record
    for text in ("", "[]", "{}", '{"first": true, "written": 1, "replaced": {}}'):
        assert Record.parse(text) is None


@hypothesis_settings(deadline=None)
@given(CONFIGS)
def test_settings_are_the_content(config: Data) -> None:
    assert nested(settings(config)) == config


@hypothesis_settings(deadline=None)
@given(CONFIGS, CONFIGS, CONFIGS)
def test_whatever_was_set_the_file_is_the_old_one_when_all_is_taken_out(
    there: Data, first: Data, second: Data
) -> None:
    """No setting of others is lost, and none of ours is left."""
    before = nested({path: value for path, value in settings(there).items() if value is not None})
    config, record = before, OLD
    for wanted in (first, second, {}):
        done = settle(config, record, {}, wanted, virgin=False)
        config, record = done.config, done.record
    assert config == before
    assert not record.written
    assert not record.replaced
