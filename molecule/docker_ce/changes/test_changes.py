"""What happens to engines in use: wrong input, configurations, versions, origins, the end.

Each test stands alone; in the order of the file the machines need the least preparation.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MACHINES, MIRROR, Node, ansible, at_once, module, refusals, role

from tests.support.waiting import until

FINGERPRINT = (
    "{{ lookup('ansible.builtin.file', lab_directory ~ '/fingerprint-' ~ inventory_hostname) }}"
)
STRANGE = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
DEAD = "http://127.0.0.1:1"


def repository(**changes: Any) -> Callable[[Node], dict[str, Any]]:
    """The mirror with something wrong about it."""
    return lambda node: {"repository": {"base": MIRROR, "fingerprints": [node.key()], **changes}}


def expired(node: Node) -> dict[str, Any]:
    base = f"{MIRROR}/faults/expired"
    return {"repository": {"base": base, "fingerprints": [node.key("faults/expired")]}}


# What is refused: the variables, and what the message says, its end last.
WRONG: dict[str, tuple[Callable[[Node], dict[str, Any]], list[str]]] = {
    "wrong-key": (
        repository(base=f"{MIRROR}/faults/signed-by-other"),
        ["not signed with its own key", "Nothing was changed."],
    ),
    "expired-key": (expired, ["expired on 2024-01-02", "Nothing was changed."]),
    "wrong-fingerprint": (
        repository(fingerprints=[STRANGE]),
        [f": expected {STRANGE}", "docker_ce_key_fingerprint", "Nothing was changed."],
    ),
    "no-suite": (
        repository(suite="nosuch"),
        ["it has no suite nosuch", "Nothing was changed."],
    ),
    "no-component": (
        repository(component="nosuch"),
        ["component nosuch", "Nothing was changed."],
    ),
    "dead": (repository(base=DEAD), ["cannot be downloaded", "Nothing was changed."]),
    "unknown-setting": (
        lambda _: {"config": {"no-such-key": 1}},
        ["no-such-key", "Nothing was changed."],
    ),
    "setting-of-a-wrong-type": (
        lambda _: {"config": {"debug": "yes"}},
        ['debug is "yes": expected true or false', "Nothing was changed."],
    ),
    "hosts": (
        lambda _: {"config": {"hosts": ["tcp://0.0.0.0:2375"]}},
        ["conflicts with -H fd://", "Nothing was changed."],
    ),
    "dead-mirror": (
        lambda _: {"docker_ce_mirror": DEAD},
        [f"{DEAD}/linux/debian/gpg cannot be", "Nothing was changed."],
    ),
    "no-mirror": (
        lambda _: {"docker_ce_mirror": ""},
        ["docker_ce_mirror is empty: expected", "Nothing was changed."],
    ),
    "no-version": (
        lambda _: {"docker_ce_version": "1.2"},
        ["docker_ce_version is 1.2", "No package was changed."],
    ),
    "no-account": (
        lambda _: {"docker_ce_users": ["nobody-knows-me"]},
        [
            "docker_ce_users contains nobody-knows-me: expected accounts that exist",
            "Create the account first, or remove it from the list.",
        ],
    ),
}


def test_wrong_input_is_one_error_and_changes_nothing(converged: list[Node]) -> None:
    before = [node.state for node in converged]
    messages = refusals(converged, {case: variables for case, (variables, _) in WRONG.items()})
    for case, (_, texts) in WRONG.items():
        assert len(messages[case]) == len(converged), (case, messages[case])
        for message in messages[case]:
            assert all(text in message for text in texts), (case, message)
            assert message.endswith(texts[-1]), (case, message)
    assert [node.state for node in converged] == before
    for node in converged:
        assert node.host.run("id nobody-knows-me").rc != 0


def test_a_derivative_takes_the_suite_that_it_is_given(engines: list[Node]) -> None:
    mirror = {"base": MIRROR, "fingerprints": [FINGERPRINT]}
    module("docker_apt_source", distribution="ubuntu", suite="noble", **mirror).ok()
    for node in engines:
        text = node.sh("cat /etc/apt/sources.list.d/docker.sources")
        assert "linux/ubuntu\nSuites: noble" in text
    module("docker_apt_source", **mirror).ok()


def test_a_reload_where_that_suffices(converged: list[Node], survivors: list[Node]) -> None:
    before = [(node.engine, node.survivor) for node in survivors]
    # One change: whatever else the role has to do was done.
    assert role(docker_ce_daemon={"labels": ["place=here"]}).changed == dict.fromkeys(MACHINES, 1)
    assert [(node.engine, node.survivor) for node in survivors] == before
    for node in survivors:
        assert "place=here" in node.sh("docker info")


def test_a_reload_of_an_engine_that_logs_errors_only(engines: list[Node]) -> None:
    config = engines[0].config | {"log-level": "error"}
    module("docker_daemon", config=config | {"labels": ["place=here"]}).ok()
    before = [node.engine for node in engines]
    module("docker_daemon", config=config | {"labels": ["place=there"]}).ok()
    assert [node.engine for node in engines] == before
    for node in engines:
        assert "place=there" in node.sh("docker info")


def test_containers_outlive_even_the_restart_that_brings_live_restore(
    survivors: list[Node],
) -> None:
    """An engine that a person has set up without live-restore, and uses."""
    there = survivors[0].config
    module("docker_daemon", config=there | {"live-restore": False}).ok()
    before = [(node.engine, node.survivor) for node in survivors]
    files = "6" if there.get("log-opts") == {"max-file": "4"} else "4"
    config = there | {"live-restore": True, "log-opts": {"max-file": files}}
    done = module("docker_daemon", config=config).ok()
    assert '"action": "restart"' in done.output
    after = [(node.engine, node.survivor) for node in survivors]
    assert [container for _, container in after] == [container for _, container in before]
    assert all(new != old for (new, _), (old, _) in zip(after, before))


def test_an_engine_that_does_not_restart_gets_its_old_file(survivors: list[Node]) -> None:
    files = [node.sh("cat /etc/docker/daemon.json") for node in survivors]
    containers = [node.survivor for node in survivors]
    # Both know the key and the type of its value; only the start finds out.
    done = module(
        "docker_daemon", config={"data-root": "/proc/nowhere"}, prune=False, abandon_data=True
    )
    assert len(done.messages) == len(survivors)
    for message in done.messages:
        assert "did not restart" in message
        assert "It runs with the old file again" in message
        assert "/proc/nowhere" in message
    assert [node.sh("cat /etc/docker/daemon.json") for node in survivors] == files
    assert [node.survivor for node in survivors] == containers


def test_live_restore_is_refused_in_a_swarm(engines: list[Node]) -> None:
    module("docker_daemon", config={"live-restore": False}, prune=False).ok()
    for node in engines:
        node.sh("docker swarm init --advertise-addr 127.0.0.1")
    done = module("docker_daemon", config={"live-restore": True}, prune=False)
    for node in engines:
        node.sh("docker swarm leave --force")
    assert len(done.messages) == len(engines)
    assert all("Set docker_ce_swarm: true" in text for text in done.messages)
    module("docker_daemon", config={"live-restore": True}, prune=False).ok()


def test_everything_at_once_and_back(survivors: list[Node]) -> None:
    """Older packages, held; a user in the same play; a configuration that needs a restart."""
    older = {node.name: node.versions[0] for node in survivors}
    containers = [node.survivor for node in survivors]
    wanted = {
        "versions": older,
        # Without epoch, distribution and codename, as people write it.
        "docker_ce_version": "{{ versions[inventory_hostname] }}",
        "docker_ce_hold": True,
        "docker_ce_users": ["debian"],
        "docker_ce_daemon": {"labels": ["place=here"], "log-opts": {"max-file": "5"}},
    }
    engines = [node.engine for node in survivors]
    role(playbook="use_without_sudo.yml", **wanted).ok()
    for node, engine in zip(survivors, engines):
        assert f":{older[node.name]}-" in node.version
        assert "docker-ce\n" in node.sh("apt-mark showhold")
        assert "place=here" in node.sh("docker info")
        assert node.engine != engine
        # That the packages have restarted the engine is not enough: it was configured afterwards.
        created = node.sh("docker create bookface/proof:busybox /busybox true")
        options = node.sh(f"docker inspect --format '{{{{json .HostConfig.LogConfig}}}}' {created}")
        assert json.loads(options)["Config"]["max-file"] == "5"
        node.sh(f"docker rm {created}")
    assert [node.survivor for node in survivors] == containers

    # Again: nothing to do.
    engines = [node.engine for node in survivors]
    assert role(**wanted).changed == dict.fromkeys(MACHINES, 0)
    assert role("--check", **wanted).changed == dict.fromkeys(MACHINES, 0)
    assert [node.engine for node in survivors] == engines

    # And back.
    role(
        docker_ce_version="{{ versions[inventory_hostname] }}",
        versions={node.name: node.versions[1] for node in survivors},
    ).ok()
    for node in survivors:
        assert f":{node.versions[1]}-" in node.version
        assert node.sh("apt-mark showhold") == ""
        assert "labels" not in node.config
    assert [node.survivor for node in survivors] == containers


def test_another_origin_keeps_containers_and_images(survivors: list[Node]) -> None:
    containers = [node.survivor for node in survivors]
    checked = role("--check", docker_ce_origin="distribution", docker_ce_hold=True).ok()
    assert "Report the packages that would come from the new source" in checked.changes
    role(docker_ce_origin="distribution").ok()
    for node in survivors:
        assert node.host.package("docker.io").is_installed
        for package in ("docker-ce", "docker-ce-cli", "containerd.io"):
            assert not node.host.package(package).is_installed
        assert not node.host.file("/etc/apt/sources.list.d/docker.sources").exists
    # Nothing but what is new.
    checked = role("--check", docker_ce_origin="distribution", docker_ce_hold=True)
    assert checked.changes == {"Hold or release the engine's packages"}
    assert [node.survivor for node in survivors] == containers
    role().ok()
    assert all(node.host.package("docker-ce").is_installed for node in survivors)
    assert [node.survivor for node in survivors] == containers


def test_containers_are_back_after_a_reboot(survivors: list[Node]) -> None:
    containers = [node.survivor for node in survivors]
    at_once(survivors, Node.reboot)
    until(lambda: all(node.survives for node in survivors), "the containers run again", 90)
    assert all(node.survivor != old for node, old in zip(survivors, containers))


BY_HAND = """{
    "labels": ["role=worker"], "mtu": 1400, "insecure-registries": ["192.168.128.23:5000"],
    "log-opts": {"tag": "mine"}
}
"""


def test_an_engine_in_use_keeps_what_its_users_have_set(survivors: list[Node]) -> None:
    """And its containers can reach each other as before."""

    def by_hand(node: Node) -> None:
        node.sh("rm /etc/docker/daemon.json*")
        node.write("/etc/docker/daemon.json", BY_HAND)
        # Where root's client has been pointed to is no business of the role's.
        node.sh("docker context create away --docker host=tcp://127.0.0.1:9")
        node.sh("docker context use away; systemctl restart docker")

    def proof(node: Node) -> None:
        node.sh("docker context rm away; systemctl restart docker")
        address = node.sh("docker inspect --format '{{.NetworkSettings.IPAddress}}' survivor")
        node.sh(f"docker run --rm bookface/proof:busybox /busybox ping -c 1 -w 3 {address}")

    at_once(survivors, by_hand)
    try:
        done = role("--diff", docker_ce_daemon={"log-opts": {"max-size": "20m"}, "debug": True})
    finally:
        at_once(survivors, lambda node: node.sh("docker context use default"))
    done.ok()
    assert '"icc": false' in done.output.replace("\\", "")
    assert '+  "debug": true' in done.output
    assert '-  "' not in done.output
    at_once(survivors, proof)
    for node in survivors:
        assert node.config == {
            **json.loads(BY_HAND),
            "log-opts": {"tag": "mine", "max-size": "20m"},
            "debug": True,
            "live-restore": True,
        }
    # What was set is taken out again, and nothing else.
    assert role().changed == dict.fromkeys(MACHINES, 1)
    for node in survivors:
        assert node.config == {**json.loads(BY_HAND), "live-restore": True}
        node.sh("dpkg --configure --pending")
        status = "/^Package: busybox-static/,/^Status/s/ok installed/ok half-configured/"
        node.sh(f"sed -i '{status}' /var/lib/dpkg/status")
    before = [node.state for node in survivors]
    messages = refusals(
        survivors,
        {
            "hidden": lambda _: {"docker_ce_daemon": {"data-root": "/srv/docker-data"}},
            "interrupted": lambda _: {},
        },
    )
    assert len(messages["hidden"]) == len(messages["interrupted"]) == len(survivors)
    assert all("to /srv/docker-data" in text for text in messages["hidden"])
    assert all("docker_ce_abandon_data: true" in text for text in messages["hidden"])
    assert all("busybox-static (half-configured)" in text for text in messages["interrupted"])
    assert [node.state for node in survivors] == before
    repair = ("-e", "bookface_repair_packages=true")
    module("packages", *repair, name=["busybox-static"]).ok()
    for node in survivors:
        assert node.host.package("busybox-static").is_installed
        node.sh("rm /etc/docker/daemon.json*")


def test_absent_keeps_data_and_foreign_sources_until_told_otherwise(survivors: list[Node]) -> None:
    role(docker_ce_state="absent").ok()
    for node in survivors:
        assert not node.packages
        assert not node.host.file("/etc/apt/sources.list.d/docker.sources").exists
        assert not node.host.file("/etc/docker/daemon.json").exists
        assert node.host.file("/etc/apt/sources.list.d/mine.list").exists
        assert node.host.file("/var/lib/docker/image").exists
        assert node.sh("pgrep --list-full busybox || true") == ""
    assert role(docker_ce_state="absent").changed == dict.fromkeys(MACHINES, 0)

    # What was kept is there again.
    role(docker_ce_origin="distribution").ok()
    for node in survivors:
        assert node.survivor.startswith("running")

    # And goes on request.
    role(docker_ce_state="absent", docker_ce_remove_data=True).ok()
    for node in survivors:
        assert not node.data
        assert not node.packages


@pytest.fixture(scope="module")
def first_boot(nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By machine the directory with cloud-init.yml and first-boot.sh, as the role writes them."""
    written = {node.name: tmp_path_factory.mktemp(node.name) for node in nodes}

    def write(node: Node) -> None:
        there = written[node.name]
        key = there / "key.asc"
        key.write_text(node.sh("cat /srv/docker/linux/debian/gpg"))
        facts = {
            "docker_ce_origin": "mirror",
            "docker_ce_mirror": MIRROR,
            "docker_ce_key_url": key.as_uri(),
            "docker_ce_key_fingerprint": node.key(),
            "docker_ce_distribution": "debian",
            "docker_ce_suite": str(node.host.system_info.codename),
            "docker_ce_architecture": node.sh("dpkg --print-architecture"),
            "docker_ce_users": ["debian"],
            "docker_ce_version": node.versions[0],
            "docker_ce_hold": True,
            "docker_ce_cloud_init": str(there / "cloud-init.yml"),
            "docker_ce_boot_script": str(there / "first-boot.sh"),
        }
        arguments = "name=bookface.platform.docker_ce tasks_from=first_boot.yml"
        ansible(
            *("ansible", "localhost", "-m", "ansible.builtin.include_role", "-a", arguments),
            *("-e", json.dumps(facts)),
        ).ok()

    at_once(nodes, write)
    return written


def is_what_the_role_installs(nodes: list[Node]) -> bool:
    """Whether the role has nothing to do but to create its test image."""
    for node in nodes:
        assert node.host.service("docker").is_enabled
        assert "docker" in node.sh("id --name --groups debian")
        assert f":{node.versions[0]}-" in node.version
    again = role(docker_ce_users=["debian"], docker_ce_hold=True).ok()
    # What they have written is the role's, and stays under its control.
    assert all(node.record["first"] and node.record["written"] == node.config for node in nodes)
    return again.changes == {"Create the test image"}


def test_the_same_engine_by_cloud_init(bare: list[Node], first_boot: dict[str, Path]) -> None:
    def boot(node: Node) -> None:
        node.sh("apt-get install --quiet --yes --no-install-recommends cloud-init")
        node.sh("mkdir -p /var/lib/cloud/seed/nocloud")
        for name, text in {
            "/var/lib/cloud/seed/nocloud/user-data": (
                first_boot[node.name] / "cloud-init.yml"
            ).read_text(),
            "/var/lib/cloud/seed/nocloud/meta-data": f"instance-id: {time.time_ns()}\n",
            # The lab's own sources stay, and its machines have no locales to choose from.
            "/etc/cloud/cloud.cfg.d/99-lab.cfg": (
                "datasource_list: [NoCloud, None]\nlocale: false\n"
                "apt: {preserve_sources_list: true}\n"
            ),
        }.items():
            node.write(name, text)
        schema = "cloud-init schema --config-file /var/lib/cloud/seed/nocloud/user-data"
        assert "Valid" in node.sh(schema)
        node.reboot()
        ended = node.host.run("timeout 240 cloud-init status --wait --long")
        assert "status: done" in ended.stdout, ended.stdout

    at_once(bare, boot)
    assert is_what_the_role_installs(bare)


def test_the_same_engine_by_the_script(bare: list[Node], first_boot: dict[str, Path]) -> None:
    def boot(node: Node) -> None:
        script = (first_boot[node.name] / "first-boot.sh").read_text()
        pinned = node.versions[0].replace(".", r"\.")
        assert pinned in script
        # If that version is missing, no other one is installed.
        node.write("/root/first-boot.sh", script.replace(pinned, r"1\.2"))
        assert node.host.run("sh /root/first-boot.sh").rc != 0
        assert not node.host.package("docker-ce").is_installed
        node.write("/root/first-boot.sh", script)
        node.sh("sh /root/first-boot.sh")

    at_once(bare, boot)
    assert is_what_the_role_installs(bare)
    at_once(bare, lambda node: node.sh("sh /root/first-boot.sh"))


def test_another_directory_for_images(engines: list[Node]) -> None:
    """The images that the engine had are not there; the test image is created again."""
    for node in engines:
        node.host.run("docker rm --force survivor")
    before = [node.engine for node in engines]
    # On the same volume, since the engine's storage driver does not work everywhere.
    done = role(docker_ce_daemon={"data-root": f"/var/lib/docker/{time.time_ns()}"}).ok()
    assert {"Configure the engine", "Create the test image"} <= done.changes
    assert all(node.engine != old for node, old in zip(engines, before))
