"""What the role does to daemon.json, and what it refuses to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.docker.daemon import (
    DaemonConfigError,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.ownership import Record
from ansible_collections.bookface.platform.plugins.module_utils.docker.plan import (
    Host,
    Request,
    plan,
    release,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.unit import PACKAGED, flags
from ansible_collections.bookface.platform.plugins.module_utils.docker.use import Count, Use

Data = dict[str, Any]
PATH = "/etc/docker/daemon.json"
DEFAULTS: Data = {"icc": False, "live-restore": True}
SOME = Count(containers=2, images=1)


def host(config: Data | None = None, **facts: Any) -> Host:
    """A host with the unit of the packages."""
    text = "" if config is None else json.dumps(config)
    return Host(**{"path": PATH, "text": text, "flags": flags(PACKAGED, lambda _: ""), **facts})


def used(config: Data | None = None, **facts: Any) -> Host:
    """An engine that ran before the role came, with containers and images."""
    known: Data = {"root": "/var/lib/docker", "driver": "overlay2"}
    known |= {"remapped": False, "snapshotter": False, **facts}
    return host(config, use=Use(SOME, SOME, **known))


def test_a_new_host_gets_the_defaults() -> None:
    made = plan(Request({}, DEFAULTS), host(installed=False))
    assert (made.config, made.proposed, made.reason) == (DEFAULTS, {}, "")
    assert made.record.first
    # The engine is there when it is configured; the record was written before it.
    made = plan(Request({}, DEFAULTS), host(record=made.record))
    assert made.config == DEFAULTS


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (host(), "ran before this role came"),
        (used(), "has 2 containers, 1 image"),
        # Data that an earlier engine has left.
        (host(installed=False, use=Use(foreign=Count(volumes=1))), "has 1 volume"),
        (host(record=Record(first=True), use=Use(foreign=SOME)), "has 2 containers, 1 image"),
    ],
)
def test_an_engine_in_use_is_asked_first(given: Host, reason: str) -> None:
    made = plan(Request({}, DEFAULTS), given)
    assert made.config == {"live-restore": True}
    assert made.proposed == {"icc": False}
    assert made.reason == reason
    # What the user sets is applied.
    made = plan(Request({"icc": False}, DEFAULTS), given)
    assert (made.config, made.proposed) == (DEFAULTS, {})


def test_containers_of_the_platform_are_no_foreign_use() -> None:
    made = plan(Request({}, DEFAULTS), host(record=Record(first=True), use=Use(all=SOME)))
    assert made.config == DEFAULTS


def test_live_restore_in_a_swarm() -> None:
    made = plan(Request({}, DEFAULTS, swarm=True), host(installed=False))
    assert made.config["live-restore"] is False
    # A node that the inventory does not know.
    node = host(use=Use(swarm=True))
    assert plan(Request({}, DEFAULTS), node).config == {}
    with pytest.raises(DaemonConfigError, match=r"node of a swarm.*docker_ce_swarm: true"):
        plan(Request({"live-restore": True}), node)
    with pytest.raises(DaemonConfigError, match="docker_ce_swarm is true as well"):
        plan(Request({"live-restore": True}, swarm=True), host())
    # What was written by hand would bar the host from the swarm.
    assert plan(Request({}, swarm=True), host({"live-restore": True})).config == {
        "live-restore": False
    }


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"debug": "yes"}, 'debug is "yes": expected true or false'),
        ({"hosts": ["tcp://0.0.0.0:2375"]}, "hosts conflicts with -H fd:// in .*Remove the flag"),
    ],
)
def test_wrong_settings(config: Data, text: str) -> None:
    with pytest.raises(DaemonConfigError, match=text):
        plan(Request(config), host(installed=False))


def test_a_wrong_file_is_not_overwritten() -> None:
    with pytest.raises(DaemonConfigError, match="line 2 is '# ours': JSON has no comments"):
        plan(Request({}, DEFAULTS), host(text="{\n# ours\n}"))


def test_null_is_no_value() -> None:
    request = Request({"icc": None, "log-opts": {"max-file": None, "tag": "x"}}, DEFAULTS)
    made = plan(request, host(installed=False))
    assert made.config == {"live-restore": True, "log-opts": {"tag": "x"}}


def test_keys_of_others_are_not_judged() -> None:
    theirs = {"from-the-future": 1, "debug": None}
    assert plan(Request({"mtu": 1400}), host(theirs)).config == theirs | {"mtu": 1400}


def test_an_option_that_is_a_flag_as_well() -> None:
    drop_in = "# /etc/systemd/system/docker.service.d/a.conf\nExecStart=\nExecStart=dockerd "
    given = flags(PACKAGED + drop_in + "--icc=true --label a=b", lambda _: "")
    made = plan(Request({}, DEFAULTS), host(installed=False, flags=given))
    assert made.config == {"live-restore": True}
    for config in ({"labels": ["c=d"]}, {"icc": False}):
        with pytest.raises(DaemonConfigError, match=r"conflicts with --.* in /etc/.*/a\.conf"):
            plan(Request(config), host(flags=given))
    # One that the next restart would meet, whoever wrote it.
    with pytest.raises(DaemonConfigError, match="labels conflicts"):
        plan(Request({"debug": True}), host({"labels": []}, flags=given))
    # hosts is fine without -H.
    hosts = {"hosts": ["fd://", "tcp://127.0.0.1:2375"]}
    assert plan(Request({"debug": True}), host(hosts, flags=given)).config == hosts | {
        "debug": True
    }
    given = flags(PACKAGED + drop_in + "--config-file /srv/d.json", lambda _: "")
    with pytest.raises(DaemonConfigError, match=r"does not read this file, but /srv/d\.json"):
        plan(Request({"debug": True}), host(flags=given))


MOVES: list[tuple[Host, Data, str]] = [
    (used(), {"data-root": "/mnt"}, "data-root would change from /var/lib/docker to /mnt"),
    (used(), {"storage-driver": "vfs"}, "storage-driver would change from overlay2 to vfs"),
    (used(), {"userns-remap": "default"}, "userns-remap would change"),
    (used(), {"features": {"containerd-snapshotter": True}}, "features.containerd-snapshotter"),
    (
        used(snapshotter=True),
        {"features": {"containerd-snapshotter": False}},
        "from true to false",
    ),
    (used(), {"containerd-namespace": "other"}, "containerd-namespace would change"),
    # The file was edited, and not loaded.
    (used({"data-root": "/mnt"}), {"debug": True}, "data-root would change from /var/lib/docker"),
    # An engine that does not answer.
    (host(use=Use(SOME, SOME)), {"data-root": "/mnt"}, "to /mnt"),
    (host(use=Use(SOME, SOME)), {"storage-driver": "vfs"}, "the engine's default to vfs"),
    # Taken out again. An engine finds the driver of its data by itself, but never vfs.
    (
        host(
            {"storage-driver": "vfs"},
            record=Record(first=True, written={"storage-driver": "vfs"}),
            use=Use(all=SOME, driver="vfs"),
        ),
        {"debug": True},
        "storage-driver would change from vfs to the engine's default",
    ),
    # A node's own state lies there, too.
    (host(use=Use(swarm=True)), {"data-root": "/mnt"}, "its membership of a swarm"),
]


@pytest.mark.parametrize(("given", "config", "text"), MOVES)
def test_containers_are_not_hidden(given: Host, config: Data, text: str) -> None:
    with pytest.raises(DaemonConfigError, match=text) as raised:
        plan(Request(config), given)
    assert "docker_ce_abandon_data: true" in str(raised.value)
    allowed = plan(Request(config, abandon_data=True), given)
    assert allowed.config.items() >= config.items()


def test_our_own_containers_are_not_hidden_either() -> None:
    """Neither by what is set, nor by what is taken out again."""
    moved = {"data-root": "/mnt"}
    ours = Use(all=SOME, root="/mnt")
    record = Record(first=True, written=moved)
    with pytest.raises(DaemonConfigError, match=r"from /mnt to /var/lib/docker.*2 containers"):
        plan(Request({}), host(moved, record=record, use=ours))
    with pytest.raises(DaemonConfigError, match="data-root would change"):
        plan(Request(moved), host(use=Use(all=SOME)))


@pytest.mark.parametrize(
    ("given", "config"),
    [
        # What the engine does already.
        (used(), {"data-root": "/var/lib/docker/", "storage-driver": "overlay2"}),
        (used(snapshotter=True), {"features": {"containerd-snapshotter": True}}),
        (used(), {"userns-remap": "", "features": {"containerd-snapshotter": False}}),
        (used({"data-root": "/mnt"}, root="/mnt"), {"debug": True}),
        (used({"userns-remap": "default"}, root="/var/lib/docker/1.65536"), {"debug": True}),
        (
            host(
                {"storage-driver": "overlay2"},
                record=Record(first=True, written={"storage-driver": "overlay2"}),
                use=Use(all=SOME, driver="overlay2"),
            ),
            {"debug": True},
        ),
        # Nothing to hide.
        (host(), {"data-root": "/mnt"}),
    ],
)
def test_what_hides_nothing(given: Host, config: Data) -> None:
    assert plan(Request(config), given).config.items() >= config.items()


def test_the_end_takes_what_is_ours() -> None:
    request = Request({"mtu": 1400}, DEFAULTS)
    made = plan(request, host(installed=False))
    there = host({**made.config, "labels": ["a=b"]}, record=made.record, use=Use(all=SOME))
    assert release(request, there).config == {"labels": ["a=b"]}
    moved = {"data-root": "/mnt"}
    record = Record(first=True, written=moved)
    assert release(Request(moved), host(moved, record=record, use=Use(all=SOME))).config == {}
    # What cannot be read was not written by us.
    broken = release(request, host(text="{ // ours\n}"))
    assert not broken.changed
