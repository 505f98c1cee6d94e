"""Maintenance as a user runs it: what it names and removes, and above all what it leaves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.platform import Platform

HOST = "docker1"
OURS, FOREIGN, BY_HAND, RUNNING = "test-ours", "test-foreign", "test-by-hand", "test-running"
# An image of one program, without any label, and versions of ours made from it.
IMAGES = "test/foreign:1", "test/web:used", "test/web:old", "test/web:new"

MAKE = f"""
set -e
dir=$(mktemp -d); cp "$(command -v busybox)" $dir/busybox
load() {{ tar -C $dir -c busybox | docker import "$@"; }}
load - {IMAGES[0]}
for tag in used old new; do
  load --change 'LABEL platform.bookface.made=bookface_image' - test/web:$tag; sleep 1.1
done
rm -r $dir
docker create --name {OURS} --label platform.bookface.role=web {IMAGES[0]} /busybox true
docker create --name {FOREIGN} --label com.example.owner=somebody {IMAGES[0]} /busybox true
docker create --name {BY_HAND} {IMAGES[1]} /busybox true
docker run -d --name {RUNNING} --label platform.bookface.role=test --network none \
  {IMAGES[0]} /busybox sleep 3600
docker start {OURS} {FOREIGN}; docker wait {OURS} {FOREIGN}
"""
REMOVE = (
    f"docker rm -f {OURS} {FOREIGN} {BY_HAND} {RUNNING}; docker image rm {' '.join(IMAGES)}; true"
)
BOTH = ("-e", "remove_stopped=true", "-e", "prune_images=true")


def containers(platform: Platform) -> set[str]:
    return set(platform.node(HOST, "docker ps -a | awk 'NR > 1 {print $NF}'").split())


def images(platform: Platform) -> set[str]:
    listed = platform.node(HOST, "docker image ls | awk 'NR > 1 {print $1 \":\" $2}'")
    return set(listed.split())


def maintain(platform: Platform, *arguments: str) -> tuple[str, int]:
    """Run the playbook on the Docker host; output and changes there."""
    run = platform.playbook("playbooks/maintenance.yml", "--limit", HOST, *arguments)
    assert run.code == 0, run.output
    return run.output, run.changed[HOST]


@pytest.fixture(autouse=True)
def _things(platform: Platform) -> Iterator[None]:
    """Containers and images of all kinds, removed again."""
    platform.node(HOST, REMOVE)
    platform.node(HOST, MAKE)
    yield
    platform.node(HOST, REMOVE)


def test_list_dry_run_real_run_repeat(platform: Platform) -> None:
    before = containers(platform), images(platform)
    assert {OURS, FOREIGN, BY_HAND, RUNNING, "bookface-web-1"} <= before[0]
    assert set(IMAGES) <= before[1]

    output, changes = maintain(platform)
    assert changes == 0
    for name in before[0]:
        assert name in output
    assert f"stopped, ours (remove_stopped=true): {OURS}" in output
    assert (containers(platform), images(platform)) == before

    output, changes = maintain(platform, "--check", *BOTH)
    assert changes == 2
    assert f"would remove container {OURS}" in output
    assert "would remove image test/web:old" in output
    for kept in (FOREIGN, BY_HAND, RUNNING, "bookface-web", IMAGES[0], IMAGES[1], IMAGES[3]):
        assert f"would remove container {kept}" not in output
        assert f"would remove image {kept}" not in output
    assert (containers(platform), images(platform)) == before

    # Each action alone: the other kind stays.
    assert maintain(platform, "-e", "remove_stopped=true")[1] == 1
    assert (containers(platform), images(platform)) == (before[0] - {OURS}, before[1])
    assert maintain(platform, "-e", "prune_images=true")[1] == 1
    assert containers(platform) == before[0] - {OURS}
    gone = before[1] - images(platform)
    assert IMAGES[2] in gone
    assert not gone & {IMAGES[0], IMAGES[1], IMAGES[3]}
    # Old versions of the platform's own image may have gone as well, and what was kept to build
    # the next one faster, but not the one that runs.
    assert all(name.startswith(("test/web:old", "bookface/web:", "<none>:")) for name in gone)
    states = platform.node(HOST, f"docker ps | grep -c -e bookface-web -e {RUNNING}")
    assert int(states) == 3

    _, changes = maintain(platform, *BOTH)
    assert changes == 0
