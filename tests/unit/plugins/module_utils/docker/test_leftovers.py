"""What may go on a Docker host, and above all what may not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.docker_leftovers import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.docker.leftovers import (
    leftovers,
    repository,
)

MADE, ROLE = "platform.bookface.made", "platform.bookface.role"
WEB = {MADE: "bookface_image"}
Data = dict[str, Any]


def image(reference: str, created: int, labels: Data | None = None) -> Data:
    return {
        "Id": f"id of {reference}",
        "RepoTags": [reference],
        "RepoDigests": None,
        "Created": created,
        "Labels": labels,
        "Size": 1000,
    }


def container(name: str, state: str, of: Data, labels: Data | None = None) -> Data:
    """A container, which inherits its image's labels."""
    return {
        "Id": f"id of {name}",
        "Names": [f"/{name}"],
        "Image": of["RepoTags"][0],
        "ImageID": of["Id"],
        "State": state,
        "Status": f"{state} 2 hours ago",
        "Ports": [],
        "Labels": (of["Labels"] or {}) | (labels or {}),
    }


def stopped(containers: list[Data], images: list[Data]) -> list[str]:
    found = leftovers({"containers": containers, "images": images})
    return [row["name"] for row in found["stopped"]]


def old(containers: list[Data], images: list[Data], **options: Any) -> list[str]:
    found = leftovers({"containers": containers, "images": images}, **options)
    return [row["reference"] for row in found["images"]]


NOW = image("bookface/web:now", 30, WEB)
OLD = image("bookface/web:old", 20, WEB)
OLDER = image("bookface/web:older", 10, WEB)
STRANGE = image("nginx:1", 5)


class TestContainers:
    def test_one_that_was_moved_aside_stays(self) -> None:
        assert stopped([container("web-before", "exited", NOW, {ROLE: "web"})], [NOW]) == []

    @pytest.mark.parametrize("state", ["exited", "created", "dead"])
    def test_ours_that_stopped_may_go(self, state: str) -> None:
        assert stopped([container("web", state, NOW, {ROLE: "web"})], [NOW]) == ["web"]

    @pytest.mark.parametrize("state", ["running", "paused", "restarting", "removing"])
    def test_what_runs_stays(self, state: str) -> None:
        assert stopped([container("web", state, NOW, {ROLE: "web"})], [NOW]) == []

    def test_foreign_ones_stay(self) -> None:
        assert stopped([container("db", "exited", STRANGE, {"com.example": "x"})], [STRANGE]) == []

    def test_one_started_by_hand_from_our_image_is_foreign(self) -> None:
        assert stopped([container("mine", "exited", NOW)], [NOW]) == []

    def test_tasks_of_the_swarm_have_a_label_of_their_own(self) -> None:
        task = container("bookface_web.1.x", "exited", NOW, {MADE: "swarm"})
        assert stopped([task], [NOW]) == ["bookface_web.1.x"]

    def test_of_an_unknown_image_only_the_role_counts(self) -> None:
        found = [container("a", "exited", NOW), container("b", "exited", NOW, {ROLE: "web"})]
        assert stopped(found, []) == ["b"]

    def test_the_list_shows_all(self) -> None:
        running = container("web", "running", NOW, {ROLE: "web"})
        running["Ports"] = [
            {"IP": "10.0.0.1", "PrivatePort": 8080, "PublicPort": 32001, "Type": "tcp"},
            {"PrivatePort": 8081, "Type": "tcp"},
        ]
        found = leftovers(
            {"containers": [running, container("db", "exited", STRANGE)], "images": [NOW, STRANGE]}
        )
        assert [(row["name"], row["ours"], row["leftover"]) for row in found["containers"]] == [
            ("db", False, False),
            ("web", True, False),
        ]
        assert found["containers"][1]["ports"] == ["10.0.0.1:32001->8080/tcp", "8081/tcp"]


class TestImages:
    def test_old_versions_go_and_the_newest_stays(self) -> None:
        assert old([], [NOW, OLD, OLDER]) == ["bookface/web:old", "bookface/web:older"]

    @pytest.mark.parametrize("state", ["running", "exited"])
    def test_what_a_container_uses_stays(self, state: str) -> None:
        assert old([container("mine", state, OLDER)], [NOW, OLD, OLDER]) == ["bookface/web:old"]

    def test_what_another_machine_uses_stays(self) -> None:
        assert old([], [NOW, OLD], in_use=[OLD["Id"]]) == []

    def test_a_stopped_container_of_ours_keeps_its_image_unless_it_goes_too(self) -> None:
        ours = [container("web", "exited", OLD, {ROLE: "web"})]
        assert old(ours, [NOW, OLD]) == []
        assert old(ours, [NOW, OLD], removing=True) == ["bookface/web:old"]

    def test_foreign_ones_stay(self) -> None:
        assert old([], [STRANGE, image("nginx:2", 50), NOW]) == []

    def test_other_images_of_ours_are_no_versions(self) -> None:
        base = {MADE: "base_image"}
        assert old([], [image("b/debian:12", 1, base), image("b/debian:13", 2, base)]) == []

    @pytest.mark.parametrize("tags", [None, [], ["<none>:<none>"]])
    def test_ours_without_a_name_go(self, tags: list[str] | None) -> None:
        lost = image("x", 1, {MADE: "base_image"}) | {"RepoTags": tags}
        assert old([], [lost]) == [lost["Id"]]

    def test_images_of_a_registry_are_known_by_digest(self) -> None:
        pulled = image("x", 1, WEB) | {"RepoTags": [], "RepoDigests": ["r:5000/web@sha256:1"]}
        newer = image("y", 2, WEB) | {"RepoTags": None, "RepoDigests": ["r:5000/web@sha256:2"]}
        assert old([], [pulled, newer]) == ["r:5000/web@sha256:1"]

    def test_an_image_with_two_names_loses_the_old_one(self) -> None:
        """Here one is the newest of its repository."""
        both = image("x", 10, WEB) | {"RepoTags": ["bookface/web:x", "other/web:x"]}
        assert old([], [NOW, both]) == ["bookface/web:x"]

    def test_of_the_same_age_both_stay(self) -> None:
        assert old([], [NOW, image("bookface/web:twin", 30, WEB)]) == []


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("bookface/web:1a2b", "bookface/web"),
        ("registry:5000/web:1", "registry:5000/web"),
        ("registry:5000/web", "registry:5000/web"),
        ("registry:5000/web@sha256:1", "registry:5000/web"),
        ("web", "web"),
    ],
)
def test_repository(reference: str, expected: str) -> None:
    assert repository(reference) == expected


def test_wrong_input_is_an_error_of_the_filter() -> None:
    with pytest.raises(AnsibleFilterError, match="docker_leftovers: KeyError"):
        FilterModule().filters()["docker_leftovers"]({})
