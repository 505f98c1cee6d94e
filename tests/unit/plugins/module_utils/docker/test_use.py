"""What counts as use of an engine, and by whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.docker.use import (
    Count,
    Use,
    of_engine,
    on_disk,
)
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import MADE, ROLE

Data = dict[str, Any]
INFO: Data = {
    "DockerRootDir": "/mnt/docker",
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"]],
    "SecurityOptions": ["name=seccomp,profile=default"],
    "Swarm": {"LocalNodeState": "inactive"},
    "LiveRestoreEnabled": True,
}
PROOF = {"Id": "proof", "Labels": {MADE: "docker_ce"}}
WEB = {"Id": "web", "Labels": {MADE: "bookface_image"}}
THEIRS = {"Id": "theirs", "Labels": None}


def test_what_the_role_itself_brings_is_no_use() -> None:
    use = of_engine(INFO, [], [PROOF], [])
    assert not use.foreign
    assert not use.all
    assert use == Use(
        root="/mnt/docker", driver="overlay2", remapped=False, snapshotter=False, live_restore=True
    )


def test_our_containers_and_images_are_not_foreign() -> None:
    ours = {"ImageID": "web", "Labels": {**WEB["Labels"], ROLE: "web"}}
    use = of_engine(INFO, [ours], [PROOF, WEB], [])
    assert not use.foreign
    assert use.all == Count(containers=1, images=1)


def test_what_others_have() -> None:
    # A container that somebody has started from our image has its labels.
    containers = [{"ImageID": "proof", "Labels": PROOF["Labels"]}, {"ImageID": "gone"}]
    use = of_engine(INFO, containers, [PROOF, THEIRS], [{"Name": "data", "Labels": None}])
    assert str(use.foreign) == "2 containers, 1 image, 1 volume"
    assert use.all == Count(2, 1, 1)


def test_how_it_keeps_them() -> None:
    changed = INFO | {
        "SecurityOptions": ["name=userns"],
        "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
        "Swarm": {"LocalNodeState": "locked"},
    }
    use = of_engine(changed, [], [], [])
    assert (use.remapped, use.snapshotter, use.swarm) == (True, True, True)
    # Where it has nothing, its API says null.
    use = of_engine({"DriverStatus": None, "SecurityOptions": None}, [], [], [])
    assert (use.remapped, use.snapshotter, use.swarm) == (False, False, False)


def test_an_engine_that_does_not_answer(tmp_path: Path) -> None:
    assert on_disk(str(tmp_path / "none")) == Use()
    root = tmp_path / "165536.165536"
    image = root / "image/overlay2/imagedb/content/sha256"
    for path, content in {
        root / "containers/1/config.v2.json": {"Config": {"Labels": {ROLE: "web"}}},
        root / "containers/2/config.v2.json": {"Config": {"Labels": None}},
        image / "proof": {"config": {"Labels": PROOF["Labels"]}},
        image / "theirs": [],
        root / "volumes/data/_data/picture": {},
        root / "swarm/docker-state.json": {},
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    use = on_disk(str(tmp_path))
    assert use == Use(foreign=Count(1, 1, 1), all=Count(2, 1, 1), swarm=True)
