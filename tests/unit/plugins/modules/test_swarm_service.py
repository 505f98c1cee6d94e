"""The module swarm_service: what it asks of Docker."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.modules.swarm_service import (
    ImageError,
    Registry,
    run,
)
from docker.errors import APIError, NotFound

WANTED: dict[str, Any] = {
    "Name": "web",
    "Labels": {"a": "b"},
    "TaskTemplate": {"ContainerSpec": {"Image": "sha256:1"}, "Networks": [{"Target": "net"}]},
}


class Docker:
    """An engine with a network, and perhaps a service."""

    def __init__(self, image: str = "", refuses: int = 0, meanwhile: int = 0) -> None:
        self.image = image
        self.version = 7
        # How many updates it refuses, and by how much others change the version before each.
        self.refuses, self.meanwhile = refuses, meanwhile
        self.asked: list[tuple[Any, ...]] = []
        self.update = "completed"

    def networks(self, filters: dict[str, str]) -> list[dict[str, str]]:
        assert filters == {"scope": "swarm"}
        return [{"Name": "net", "Id": "n1"}]

    def inspect_service(self, name: str) -> dict[str, Any]:
        if not self.image:
            raise NotFound(name)
        template = {
            "ContainerSpec": {"Image": self.image},
            "Networks": [{"Target": "n1"}],
            "ForceUpdate": 2,
        }
        spec = {"Name": name, "Labels": {"a": "b"}, "TaskTemplate": template}
        status = {"State": self.update}
        return {
            "ID": "s1",
            "Version": {"Index": self.version},
            "Spec": spec,
            "UpdateStatus": status,
        }

    def create_service(self, **given: Any) -> None:
        self.asked.append(("create", given["name"], given["task_template"]))

    def update_service(self, service: str, version: int, **given: Any) -> None:
        self.asked.append(("update", service, version, given["task_template"]))
        if self.refuses:
            self.refuses -= 1
            self.version += self.meanwhile
            raise APIError("refused")


@pytest.mark.parametrize("check", [False, True])
def test_a_service_is_created(check: bool) -> None:
    docker = Docker()
    done = run(docker, WANTED, check)
    template = {**WANTED["TaskTemplate"], "Networks": [{"Target": "n1"}]}
    assert (done["changed"], done["changes"], done["replaces"]) == (True, [], True)
    assert docker.asked == ([] if check else [("create", "web", template)])


@pytest.mark.parametrize("check", [False, True])
def test_a_service_is_updated_as_the_version_that_was_seen(check: bool) -> None:
    docker = Docker("sha256:2")
    done = run(docker, WANTED, check)
    assert (done["changed"], done["changes"], done["replaces"]) == (True, ["image"], True)
    assert done["diff"] == {"before": {"image": "sha256:2"}, "after": {"image": "sha256:1"}}
    template = {**WANTED["TaskTemplate"], "Networks": [{"Target": "n1"}], "ForceUpdate": 2}
    assert docker.asked == ([] if check else [("update", "s1", 7, template)])


def test_a_service_that_is_as_described_stays() -> None:
    docker = Docker("sha256:1")
    done = run(docker, WANTED, check=False)
    assert (done["changed"], done["replaces"], docker.asked) == (False, False, [])


@pytest.mark.parametrize("state", ["paused", "rollback_paused"])
@pytest.mark.parametrize("check", [False, True])
def test_an_update_that_was_paused_goes_on(state: str, check: bool) -> None:
    """Though the service is as described. Docker goes on with the next update, whatever it is."""
    docker = Docker("sha256:1")
    docker.update = state
    done = run(docker, WANTED, check)
    assert (done["changed"], done["changes"], done["replaces"]) == (True, ["paused update"], True)
    assert [one[0] for one in docker.asked] == ([] if check else ["update"])


def test_a_change_that_replaces_no_task() -> None:
    done = run(Docker("sha256:1"), {**WANTED, "Mode": {"Replicated": {"Replicas": 3}}}, check=True)
    assert (done["changes"], done["replaces"]) == (["replicas"], False)


def test_an_update_that_meets_one_by_somebody_else_is_tried_again() -> None:
    docker = Docker("sha256:2", refuses=2, meanwhile=1)
    assert run(docker, WANTED, check=False)["changed"]
    assert [asked[2] for asked in docker.asked] == [7, 8, 9]


@pytest.mark.parametrize(("refuses", "meanwhile", "tried"), [(1, 0, 1), (3, 1, 3)])
def test_an_update_that_docker_refuses_fails(refuses: int, meanwhile: int, tried: int) -> None:
    docker = Docker("sha256:2", refuses, meanwhile)
    with pytest.raises(APIError):
        run(docker, WANTED, check=False)
    assert len(docker.asked) == tried


DIGEST = "sha256:" + "a" * 64
TAGGED = "registry.example:5000/tool:2"


class WithRegistry(Docker):
    """An engine whose registry has one image, for one account."""

    def login(self, username: str, password: str, registry: str, reauth: bool) -> None:
        assert reauth
        self.asked.append(("login", username, registry))
        if password != "right":  # noqa: S105
            raise APIError("refused", explanation="unauthorized")

    def inspect_distribution(self, image: str) -> dict[str, Any]:
        self.asked.append(("resolve", image))
        if image != TAGGED:
            raise APIError("refused", explanation="manifest unknown")
        return {"Descriptor": {"digest": DIGEST}}


def tool(docker: WithRegistry, image: str, password: str = "", check: bool = False) -> Any:
    template = {"ContainerSpec": {"Image": image}, "Networks": [{"Target": "net"}]}
    registry = Registry(docker, True, "me" if password else "", password)
    return run(docker, {"Name": "tool", "TaskTemplate": template}, check, registry=registry)


def test_a_tag_gets_its_digest_once() -> None:
    docker = WithRegistry()
    assert tool(docker, TAGGED, "right")["changed"]
    (login, resolve, create) = docker.asked
    assert login == ("login", "me", "registry.example:5000")
    assert resolve == ("resolve", TAGGED)
    assert create[2]["ContainerSpec"]["Image"] == f"{TAGGED}@{DIGEST}"
    docker = WithRegistry(f"{TAGGED}@{DIGEST}")
    assert (tool(docker, TAGGED, "right")["changed"], docker.asked) == (False, [])


@pytest.mark.parametrize("image", ["sha256:1", f"{TAGGED}@{DIGEST}"])
def test_an_image_that_cannot_change_is_not_asked_for(image: str) -> None:
    docker = WithRegistry(TAGGED)
    assert tool(docker, image)["changes"] == ["image"]
    assert [one[0] for one in docker.asked] == ["update"]


def test_check_mode_does_not_ask_a_registry() -> None:
    docker = WithRegistry("old")
    assert (tool(docker, TAGGED, "right", check=True)["changed"], docker.asked) == (True, [])


@pytest.mark.parametrize(
    ("image", "password", "why"),
    [
        ("registry.example:5000/none:1", "right", "registry.example:5000/none:1: manifest unknown"),
        (TAGGED, "wrong", "does not accept the account me: unauthorized"),
    ],
)
def test_an_image_that_is_not_given_changes_nothing(image: str, password: str, why: str) -> None:
    docker = WithRegistry("old")
    with pytest.raises(ImageError, match=why):
        tool(docker, image, password)
    assert not [one for one in docker.asked if one[0] == "update"]


def test_no_registry_gets_the_account_for_an_image_that_is_given_by_its_id() -> None:
    """Taken for a name it would be one of Docker Hub."""
    docker = WithRegistry()
    assert tool(docker, DIGEST, "right")["changed"]
    assert [one[0] for one in docker.asked] == ["create"]
