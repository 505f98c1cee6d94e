"""What happens to engines in use: wrong repositories, configurations, versions, origins, the end.

In the order of the file.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Node, ansible, module, role

MIRROR = "http://127.0.0.1:8090"
FINGERPRINT = "{{ lookup('ansible.builtin.file', lab_directory ~ '/%s-' ~ inventory_hostname) }}"
GOOD, EXPIRED = FINGERPRINT % "fingerprint", FINGERPRINT % "expired"
STRANGE = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"


@pytest.mark.parametrize(
    ("repository", "complaint"),
    [
        ({"base": f"{MIRROR}/faults/signed-by-other"}, "not signed by the key that it offers"),
        (
            {"base": f"{MIRROR}/faults/expired", "fingerprints": [EXPIRED]},
            "expired on 2024-01-02",
        ),
        ({"fingerprints": [STRANGE]}, f"docker_ce_key_fingerprint wants {STRANGE}"),
        ({"suite": "nosuch"}, "it has no suite nosuch"),
        ({"component": "nosuch"}, "component nosuch"),
        ({"base": "http://127.0.0.1:1"}, "cannot be fetched"),
    ],
    ids=["wrong-key", "expired-key", "wrong-fingerprint", "no-suite", "no-component", "dead"],
)
def test_a_wrong_repository_is_one_error(
    nodes: list[Node], repository: dict[str, str], complaint: str
) -> None:
    before = [node.state for node in nodes]
    done = module("docker_apt_source", **({"base": MIRROR, "fingerprints": [GOOD]} | repository))
    assert len(done.messages) == len(nodes), done.output
    for message in done.messages:
        assert complaint in message
        assert message.endswith("Nothing was changed.")
    assert [node.state for node in nodes] == before


def test_the_role_stops_at_a_dead_mirror(nodes: list[Node]) -> None:
    before = [node.state for node in nodes]
    done = role(docker_ce_mirror="http://127.0.0.1:1")
    assert done.code != 0
    assert len(done.messages) == len(nodes), done.output
    assert all("http://127.0.0.1:1/linux/debian/gpg cannot be" in text for text in done.messages)
    assert [node.state for node in nodes] == before


def test_a_derivative_takes_the_suite_that_it_is_told(nodes: list[Node]) -> None:
    done = module(
        "docker_apt_source", base=MIRROR, fingerprints=[GOOD], distribution="ubuntu", suite="noble"
    )
    assert done.code == 0
    for node in nodes:
        assert "linux/ubuntu\nSuites: noble" in node.sh(
            "cat /etc/apt/sources.list.d/docker.sources"
        )
    assert module("docker_apt_source", base=MIRROR, fingerprints=[GOOD]).code == 0


def test_a_reload_where_that_suffices(nodes: list[Node]) -> None:
    for node in nodes:
        node.sh(
            "docker run --detach --name survivor --restart unless-stopped"
            " bookface/proof:busybox /busybox sleep 100000"
        )
    before = [(node.engine, node.survivor) for node in nodes]
    assert role(docker_ce_daemon={"labels": ["place=here"]}).changed == [1, 1]
    assert [(node.engine, node.survivor) for node in nodes] == before
    for node in nodes:
        assert "place=here" in node.sh("docker info")


def test_a_reload_of_an_engine_that_logs_errors_only(nodes: list[Node]) -> None:
    config = json.loads(nodes[0].sh("cat /etc/docker/daemon.json")) | {"log-level": "error"}
    assert module("docker_daemon", config=config).code == 0
    before = [node.engine for node in nodes]
    assert module("docker_daemon", config=config | {"labels": ["place=there"]}).code == 0
    assert [node.engine for node in nodes] == before
    for node in nodes:
        assert "place=there" in node.sh("docker info")


def test_a_restart_where_it_must_be_and_containers_outlive_it(nodes: list[Node]) -> None:
    before = [(node.engine, node.survivor) for node in nodes]
    wanted = {"labels": ["place=here"], "log-opts": {"max-file": "5"}}
    assert role(docker_ce_daemon=wanted).changed == [1, 1]
    after = [(node.engine, node.survivor) for node in nodes]
    assert [container for _engine, container in after] == [container for _, container in before]
    assert all(new[0] != old[0] for new, old in zip(after, before))
    assert role(docker_ce_daemon=wanted).changed == [0, 0]
    assert role("--check", docker_ce_daemon=wanted).changed == [0, 0]
    assert [(node.engine, node.survivor) for node in nodes] == after


def test_containers_outlive_even_the_restart_that_brings_live_restore(nodes: list[Node]) -> None:
    """An engine that a person has set up without live-restore, and uses."""
    there = json.loads(nodes[0].sh("cat /etc/docker/daemon.json"))
    assert module("docker_daemon", config=there | {"live-restore": False}).code == 0
    before = [node.survivor for node in nodes]
    files = "6" if there.get("log-opts") == {"max-file": "4"} else "4"
    done = module("docker_daemon", config=there | {"log-opts": {"max-file": files}})
    assert done.code == 0
    assert '"action": "restart"' in done.output
    assert [node.survivor for node in nodes] == before


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"no-such-key": 1}, "no-such-key"),
        ({"debug": "yes"}, 'debug is "yes"; wanted is true or false'),
        ({"hosts": ["tcp://0.0.0.0:2375"]}, "collides with the -H fd://"),
    ],
    ids=["unknown", "kind", "hosts"],
)
def test_a_wrong_configuration_changes_nothing(
    nodes: list[Node], config: dict[str, object], complaint: str
) -> None:
    before = [node.state for node in nodes]
    done = module("docker_daemon", config=config, exclusive=False)
    assert len(done.messages) == len(nodes)
    assert all(complaint in text and "Nothing was changed." in text for text in done.messages)
    assert [node.state for node in nodes] == before


def test_an_engine_that_does_not_come_back_gets_its_old_file(nodes: list[Node]) -> None:
    files = [node.sh("cat /etc/docker/daemon.json") for node in nodes]
    containers = [node.survivor for node in nodes]
    # Both know the key and the kind of its value; only the start finds out.
    done = module("docker_daemon", config={"data-root": "/proc/nowhere"}, exclusive=False)
    assert len(done.messages) == len(nodes)
    for message in done.messages:
        assert "did not come back" in message
        assert "has the old one back and runs" in message
        assert "/proc/nowhere" in message
    assert [node.sh("cat /etc/docker/daemon.json") for node in nodes] == files
    assert [node.survivor for node in nodes] == containers


def test_live_restore_is_refused_in_a_swarm(nodes: list[Node]) -> None:
    assert module("docker_daemon", config={"live-restore": False}, exclusive=False).code == 0
    for node in nodes:
        node.sh("docker swarm init --advertise-addr 127.0.0.1")
    done = module("docker_daemon", config={"live-restore": True}, exclusive=False)
    assert len(done.messages) == len(nodes)
    assert all("Set docker_ce_swarm: true" in text for text in done.messages)
    for node in nodes:
        node.sh("docker swarm leave --force")
    assert module("docker_daemon", config={"live-restore": True}, exclusive=False).code == 0


def test_a_user_may_use_it_in_the_same_play(nodes: list[Node]) -> None:
    done = role(playbook="use_without_sudo.yml", docker_ce_users=["debian"])
    assert done.code == 0
    stranger = role(docker_ce_users=["nobody-knows-me"])
    assert len(stranger.messages) == len(nodes), stranger.output
    assert all("no account of" in text for text in stranger.messages)
    for node in nodes:
        assert node.host.run("id nobody-knows-me").rc != 0


def test_downgrade_and_hold_then_upgrade(nodes: list[Node]) -> None:
    newest = [node.version for node in nodes]
    offered = [node.sh("apt-cache madison docker-ce").splitlines() for node in nodes]
    older = [lines[1].split("|")[1].strip() for lines in offered]
    containers = [node.survivor for node in nodes]
    # Without epoch, distribution and codename, as people say it.
    numbers = {
        node.name: version.split(":")[1].split("-")[0] for node, version in zip(nodes, older)
    }
    wanted = {"versions": numbers, "docker_ce_version": "{{ versions[inventory_hostname] }}"}
    assert role(**wanted, docker_ce_hold=True).code == 0
    assert [node.version for node in nodes] == older
    for node in nodes:
        assert "docker-ce\n" in node.sh("apt-mark showhold")
    assert role(**wanted, docker_ce_hold=True).changed == [0, 0]
    missing = role(docker_ce_version="1.2")
    assert len(missing.messages) == len(nodes), missing.output
    assert all("docker_ce_version is 1.2" in text for text in missing.messages)
    assert all("No package was changed" in text for text in missing.messages)
    numbers = {
        node.name: version.split(":")[1].split("-")[0] for node, version in zip(nodes, newest)
    }
    assert role(**(wanted | {"versions": numbers})).code == 0
    assert [node.version for node in nodes] == newest
    assert all(node.sh("apt-mark showhold") == "" for node in nodes)
    assert [node.survivor for node in nodes] == containers


def test_another_origin_keeps_containers_and_images(nodes: list[Node]) -> None:
    containers = [node.survivor for node in nodes]
    checked = role("--check", docker_ce_origin="distribution", docker_ce_hold=True)
    assert checked.code == 0
    assert "Say which packages would come, from a source that is not there yet" in checked.changes
    assert role(docker_ce_origin="distribution").code == 0
    for node in nodes:
        assert node.host.package("docker.io").is_installed
        for package in ("docker-ce", "docker-ce-cli", "containerd.io"):
            assert not node.host.package(package).is_installed
        assert not node.host.file("/etc/apt/sources.list.d/docker.sources").exists
    assert role(docker_ce_origin="distribution").changed == [0, 0]
    checked = role("--check", docker_ce_origin="distribution", docker_ce_hold=True)
    assert checked.changes == {"Hold the engine's packages, or release them"}
    assert [node.survivor for node in nodes] == containers
    assert role().code == 0
    assert all(node.host.package("docker-ce").is_installed for node in nodes)
    assert [node.survivor for node in nodes] == containers


def test_containers_are_back_after_a_reboot(nodes: list[Node]) -> None:
    containers = [node.survivor for node in nodes]
    names = [node.container for node in nodes]
    subprocess.run(["docker", "restart", *names], check=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        command = "docker inspect --format {{.State.Status}} survivor"
        found = [node.host.run(command).stdout.strip() for node in nodes]
        if found == ["running"] * len(nodes):
            break
        time.sleep(1)
    after = [node.survivor for node in nodes]
    assert all(state.startswith("running") for state in after)
    assert all(new != old for new, old in zip(after, containers))


def test_absent_keeps_the_data_and_what_is_foreign(nodes: list[Node]) -> None:
    assert role(docker_ce_state="absent").code == 0
    for node in nodes:
        left = node.sh('dpkg-query --list "docker*" "containerd*" | grep -E ^[rip] || true')
        assert left == ""
        assert not node.host.file("/etc/apt/sources.list.d/docker.sources").exists
        assert not node.host.file("/etc/docker/daemon.json").exists
        assert node.host.file("/etc/apt/sources.list.d/mine.list").exists
        assert node.host.file("/var/lib/docker/image").exists
        assert node.sh("pgrep --list-full busybox || true") == ""
    assert role(docker_ce_state="absent").changed == [0, 0]


def test_what_was_kept_is_there_again_and_goes_on_request(nodes: list[Node]) -> None:
    assert role(docker_ce_origin="distribution").code == 0
    for node in nodes:
        assert node.survivor.startswith("running")
    done = role(docker_ce_state="absent", docker_ce_remove_data=True)
    assert done.code == 0
    for node in nodes:
        assert node.sh("ls -A /var/lib/docker") == ""
        assert not node.host.package("docker.io").is_installed
        assert node.sh('dpkg-query --list "containerd*" runc | grep -E ^[rip] || true') == ""


def older(node: Node) -> str:
    """The older version of the two that the mirror has, as people say it."""
    packages = "cd /srv/docker/pool; ls docker-ce_* | sort --version-sort | head -1"
    return node.sh(packages).split("_")[1].split("-")[0]


@pytest.fixture(scope="module")
def first_boot(nodes: list[Node], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By machine the directory with cloud-init.yml and first-boot.sh, as the role writes them."""
    written = {}
    for node in nodes:
        there = written[node.name] = tmp_path_factory.mktemp(node.name)
        key = there / "key.asc"
        key.write_text(node.sh("cat /srv/docker/linux/debian/gpg"))
        facts = {
            "docker_ce_origin": "mirror",
            "docker_ce_mirror": MIRROR,
            "docker_ce_key_url": key.as_uri(),
            "docker_ce_key_fingerprint": node.sh("cat /srv/docker/fingerprint"),
            "docker_ce_distribution": "debian",
            "docker_ce_suite": str(node.host.system_info.codename),
            "docker_ce_architecture": node.sh("dpkg --print-architecture"),
            "docker_ce_users": ["debian"],
            "docker_ce_version": older(node),
            "docker_ce_hold": True,
            "docker_ce_cloud_init": str(there / "cloud-init.yml"),
            "docker_ce_boot_script": str(there / "first-boot.sh"),
        }
        arguments = "name=bookface.platform.docker_ce tasks_from=first_boot.yml"
        made = ansible(
            *("ansible", "localhost", "-m", "ansible.builtin.include_role", "-a", arguments),
            *("-e", json.dumps(facts)),
        )
        assert made.code == 0
    return written


def is_what_the_role_makes(nodes: list[Node]) -> bool:
    """Whether the role finds nothing to do but its proof."""
    for node in nodes:
        assert node.host.service("docker").is_enabled
        assert "docker" in node.sh("id --name --groups debian")
        assert f":{older(node)}-" in node.version
    again = role(docker_ce_users=["debian"], docker_ce_hold=True)
    return again.code == 0 and again.changes == {"Make the proof's image"}


def test_the_same_engine_by_cloud_init(nodes: list[Node], first_boot: dict[str, Path]) -> None:
    for node in nodes:
        node.sh("apt-get install --quiet --yes --no-install-recommends cloud-init")
        node.sh("mkdir -p /var/lib/cloud/seed/nocloud")
        for name, text in {
            "/var/lib/cloud/seed/nocloud/user-data": (
                first_boot[node.name] / "cloud-init.yml"
            ).read_text(),
            "/var/lib/cloud/seed/nocloud/meta-data": "instance-id: first\n",
            # The lab's own sources stay, and its machines have no locales to choose from.
            "/etc/cloud/cloud.cfg.d/99-lab.cfg": (
                "datasource_list: [NoCloud, None]\nlocale: false\n"
                "apt: {preserve_sources_list: true}\n"
            ),
        }.items():
            node.write(name, text)
        schema = "cloud-init schema --config-file /var/lib/cloud/seed/nocloud/user-data"
        assert "Valid" in node.sh(schema)
    names = [node.container for node in nodes]
    subprocess.run(["docker", "restart", *names], check=True, stdout=subprocess.DEVNULL)
    for node in nodes:
        ended = node.host.run("timeout 240 cloud-init status --wait --long")
        assert "status: done" in ended.stdout, ended.stdout
    assert is_what_the_role_makes(nodes)


def test_the_same_engine_by_the_script(nodes: list[Node], first_boot: dict[str, Path]) -> None:
    assert role(docker_ce_state="absent", docker_ce_remove_data=True).code == 0
    for node in nodes:
        node.sh("gpasswd --delete debian docker")
        script = (first_boot[node.name] / "first-boot.sh").read_text()
        pinned = older(node).replace(".", r"\.")
        assert pinned in script
        # A version that is not there is no reason to take another one.
        node.write("/root/first-boot.sh", script.replace(pinned, r"1\.2"))
        assert node.host.run("sh /root/first-boot.sh").rc != 0
        assert not node.host.package("docker-ce").is_installed
        node.write("/root/first-boot.sh", script)
        node.sh("sh /root/first-boot.sh")
    assert is_what_the_role_makes(nodes)
    for node in nodes:
        node.sh("sh /root/first-boot.sh")
