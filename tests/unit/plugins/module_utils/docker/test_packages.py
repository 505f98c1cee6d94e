"""Which packages of the engine are to be installed, removed, held."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.docker_packages import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.docker.packages import (
    installed,
    matches,
    offered,
    plan,
)

CE = ["docker-ce", "docker-ce-cli", "containerd.io"]
NEW, OLD = "5:28.5.2-1~debian.12~bookworm", "5:28.5.1-1~debian.12~bookworm"
THERE = [f"docker-ce install installed {NEW}", f"docker-ce-cli install installed {NEW}"]
THERE += ["containerd.io install installed 1.7.1-1"]
MADISON = [
    f" docker-ce | {NEW} | https://download.docker.com/linux/debian bookworm/stable amd64 Packages",
    f" docker-ce | {OLD} | https://download.docker.com/linux/debian bookworm/stable amd64 Packages",
    f"docker-ce-cli | {NEW} | https://download.docker.com/linux/debian bookworm/stable Packages",
    f"docker-ce-cli | {OLD} | https://download.docker.com/linux/debian bookworm/stable Packages",
    " docker.io | 20.10.24 | http://deb.example.org bookworm/main Sources",
]


def versioned(listing: list[str], version: str, **options: Any) -> dict[str, Any]:
    return plan(listing, CE, version=version, versioned=CE[:2], **options)


def test_removed_with_its_configuration_left_is_not_installed() -> None:
    listing = ["docker.io deinstall config-files 20.10", "docker-ce hold installed 5:1", "", "x y"]
    assert set(installed(listing)) == {"docker-ce"}
    assert installed(listing)["docker-ce"].held


def test_a_bare_machine() -> None:
    made = plan(["docker-ce unknown not-installed"], CE, others=["busybox-static"])
    assert made["install"] == [*CE, "busybox-static"]
    assert not made["engine_there"]
    assert made["engine_changes"]


def test_nothing_to_do() -> None:
    made = plan(THERE, CE)
    assert (made["install"], made["remove"], made["hold"], made["unhold"]) == ([], [], [], [])
    assert not made["changes"]
    assert not made["engine_changes"]


def test_the_other_origin_is_in_the_way() -> None:
    listing = ["docker.io hold installed 20.10", "runc install installed 1.1"]
    made = plan(listing, CE, rivals=["docker.io", "runc", "podman-docker"])
    assert made["remove"] == ["docker.io", "runc"]
    assert made["changes"]
    assert made["engine_there"]
    assert made["engine_changes"]


def test_helpers_alone_do_not_touch_the_engine() -> None:
    made = plan(THERE, CE, others=["python3-docker"])
    assert made["install"] == ["python3-docker"]
    assert not made["engine_changes"]


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        (NEW, NEW, True),
        (NEW, "28.5.2", True),
        (NEW, "28.5", True),
        (NEW, "28", True),
        (NEW, "5:28.5", True),
        (NEW, "28.5.2-1", True),
        (NEW, "28.5.1", False),
        ("5:28.51.0-1", "28.5", False),
        ("20.10.24+dfsg1-1", "20.10.24", True),
        (NEW, "8.5", False),
    ],
)
def test_a_version_by_its_beginning(version: str, wanted: str, fits: bool) -> None:
    assert matches(version, wanted) is fits


def test_a_downgrade_names_versions_of_what_carries_them() -> None:
    made = versioned(THERE, "28.5.1", madison=MADISON)
    assert made["install"] == [f"docker-ce={OLD}", f"docker-ce-cli={OLD}"]


def test_the_newest_that_fits() -> None:
    assert versioned([], "28.5", madison=MADISON)["install"][0] == f"docker-ce={NEW}"


def test_a_version_that_fits_stays() -> None:
    assert versioned(THERE, "28.5")["install"] == []


def test_unasked_the_versions_are_open() -> None:
    made = versioned(THERE, "28.5.1")
    assert made["install"] == made["wrong_version"] == ["docker-ce", "docker-ce-cli"]


def test_a_version_that_is_not_available() -> None:
    filters = FilterModule().filters()
    with pytest.raises(
        AnsibleFilterError, match=r"is 99, .*not available.*Available: 5:28.*No package"
    ):
        filters["docker_packages"](THERE, CE, version="99", versioned=CE[:1], madison=MADISON)
    assert "docker.io" not in offered(MADISON)


def test_hold_and_release() -> None:
    held = [line.replace(" install ", " hold ") for line in THERE]
    assert plan(THERE, CE, hold=True)["hold"] == CE
    assert plan(held, CE, hold=True)["hold"] == []
    assert plan(held, CE)["unhold"] == CE
    assert plan([], CE, hold=True)["hold"] == CE
