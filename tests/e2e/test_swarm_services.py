"""A further service of the swarm: from a private registry, with a secret, a volume and limits."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Run
from tests.support.platform import Platform
from tests.support.ports import free_port
from tests.support.stage import program
from tests.support.waiting import until

SWARM = "swarm_managers:swarm_workers"
# A static busybox, which the lab's engines have.
IMAGE = "bookface/proof:busybox"
USERNAME, PASSWORD, SECRET = "swarm", "of-the-registry", "said by a secret"
PORT = 8017
SERVE = "/busybox cp /run/secrets/greeting /data/index.html; exec /busybox httpd -f -p 80 -h /data"
CRASH = "echo the disk is on fire >&2; exit 3"


class Stack:
    """The swarm of the lab with a registry beside it."""

    def __init__(self, platform: Platform, registry: str, directory: Path) -> None:
        self.platform, self.registry, self.directory = platform, registry, directory
        (self.manager,) = platform.groups["swarm_managers"]
        self.node = platform.groups["swarm_workers"][-1]
        self.image = f"{registry}/busybox:1"

    def service(self, script: str) -> dict[str, Any]:
        """The service, which runs a script."""
        return {
            "name": "pages",
            "image": self.image,
            "command": ["/busybox", "sh", "-c", script],
            "secrets": {"greeting": SECRET},
            "ports": [{"published": PORT, "target": 80}],
            "volumes": ["test-pages:/data"],
            "constraints": ["node.labels.test-disk == ssd"],
            "memory": "32M",
            "cpus": 0.25,
            "pids": 20,
            "cap_drop": ["ALL"],
        }

    def play(self, *tasks: dict[str, Any]) -> Run:
        playbook = self.directory / "services.yml"
        playbook.write_text(json.dumps([{"hosts": SWARM, "become": True, "tasks": tasks}]))
        return self.platform.playbook(str(playbook))

    def role(self, *services: dict[str, Any], **labels: str) -> dict[str, Any]:
        """A task that runs the role with these services, and labels on one of its nodes."""
        mine = f"{{{{ {json.dumps(labels)} if inventory_hostname == '{self.node}' else {{}} }}}}"
        return {
            "ansible.builtin.include_role": {"name": "bookface.platform.swarm"},
            "vars": {
                "swarm_services": list(services),
                "swarm_node_labels": mine,
                "swarm_registry_logins": {
                    self.registry: {"username": USERNAME, "password": PASSWORD}
                },
            },
        }

    def ask(self, command: str, node: str = "") -> str:
        return self.platform.node(node or self.manager, command)

    def page(self) -> str:
        url = f"http://{self.platform.addresses[self.node]}:{PORT}/"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())


@pytest.fixture
def stack(platform: Platform, tmp_path: Path) -> Iterator[Stack]:
    """A registry on this machine that requires an account, and that the nodes trust."""
    address = f"{platform.addresses['swarm1'].rpartition('.')[0]}.1"
    registry = f"{address}:{free_port()}"
    certificate = tmp_path / "ca.crt"
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    new += ["-subj", f"/CN={address}", "-addext", f"subjectAltName=IP:{address}"]
    new += ["-keyout", str(tmp_path / "key.pem"), "-out", str(certificate)]
    subprocess.run(new, check=True, capture_output=True)
    account = [program("htpasswd", "apache2-utils"), "-B", "-b", "-n", USERNAME, PASSWORD]
    made = subprocess.run(account, check=True, capture_output=True)
    (tmp_path / "accounts").write_bytes(made.stdout)
    config = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "data")}},
        "http": {
            "addr": registry,
            "tls": {"certificate": str(certificate), "key": str(tmp_path / "key.pem")},
        },
        "auth": {"htpasswd": {"realm": "test", "path": str(tmp_path / "accounts")}},
    }
    (tmp_path / "config.yml").write_text(json.dumps(config))
    trust = f"/etc/docker/certs.d/{registry}"
    found = Stack(platform, registry, tmp_path)
    nodes = [found.manager, *platform.groups["swarm_workers"]]
    serve = [program("docker-registry", "docker-registry"), "serve", str(tmp_path / "config.yml")]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(serve, stdout=log, stderr=log)
    try:
        for node in nodes:
            text = certificate.read_text()
            found.ask(f"mkdir -p {trust} && echo '{text}' > {trust}/ca.crt", node)
        login = f"docker login --username {USERNAME} --password {PASSWORD} {registry} || true"
        push = f"docker tag {IMAGE} {found.image} && docker push {found.image}"
        private = "export DOCKER_CONFIG=/run/test-registry"
        until(lambda: "Login Succeeded" in found.ask(f"{private}; {login}"), "a login", 30)
        found.ask(f"{private}; {push}; docker image rm {found.image}; rm -r $DOCKER_CONFIG")
        yield found
    finally:
        process.terminate()
        process.wait()
        # What else is left of the role's is removed by its next run.
        found.ask(f"docker service rm theirs; docker node update --label-rm theirs {found.node}; :")
        image = f"docker image rm $(docker image ls --quiet {registry}/busybox)"
        for node in nodes:
            found.ask(f"rm -r {trust}; {image}; :", node)
        # Once the last container is gone.
        volumes = "docker volume rm test-pages >/dev/null 2>&1; docker volume ls --quiet"
        until(lambda: "test-pages" not in found.ask(volumes, found.node), "the volume is gone", 60)


def test_a_service_from_its_first_task_to_its_removal(stack: Stack) -> None:
    """It starts, is rolled back when a change crashes, stays as it is, and goes."""
    good = stack.role(stack.service(SERVE), **{"test-disk": "ssd"})
    bad = stack.role(stack.service(CRASH), **{"test-disk": "ssd"})
    say = {
        "ansible.builtin.debug": {
            "msg": "{{ (ansible_failed_result | default({})).msg | default('') }}"
        }
    }
    first = stack.play(good, {"block": [bad], "rescue": [say]}).ok()
    assert "The update of pages (args) was rolled back; tasks of the previous version" in first.text
    assert "the disk is on fire" in first.text
    assert "The service bookface was not changed." in first.text
    assert SECRET not in first.output
    # Limits and secret are those of the first version, which runs again.
    until(lambda: stack.page() == SECRET, "the page", 60)
    spec = json.loads(stack.ask("docker service inspect pages"))[0]["Spec"]
    pinned = spec["TaskTemplate"]["ContainerSpec"]["Image"]
    assert pinned.startswith(f"{stack.image}@sha256:")
    container = stack.ask("docker ps --quiet --filter name=pages", stack.node)
    limits = json.loads(stack.ask(f"docker inspect {container}", stack.node))[0]["HostConfig"]
    found = (limits["Memory"], limits["NanoCpus"], limits["PidsLimit"], limits["CapDrop"])
    assert found == (32 << 20, 250_000_000, 20, ["ALL"])

    assert set(stack.play(good).ok().changed.values()) == {0}

    stack.ask(f"docker service create --detach --name theirs {IMAGE} /busybox sleep 1d")
    stack.ask(f"docker node update --label-add theirs=1 {stack.node}")
    assert stack.play(stack.role()).ok().changed[stack.manager] > 0
    services = stack.ask("docker service ls --format '{{.Name}}'").split()
    assert "theirs" in services
    assert "pages" not in services
    assert "pages" not in stack.ask("docker secret ls --format '{{.Name}}'")
    labels = stack.ask(f"docker node inspect --format '{{{{json .Spec.Labels}}}}' {stack.node}")
    assert json.loads(labels) == {"theirs": "1"}
    # Data is nobody's to remove.
    assert "test-pages" in stack.ask("docker volume ls", stack.node)
