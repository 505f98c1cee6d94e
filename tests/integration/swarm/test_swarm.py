# SPDX-License-Identifier: GPL-3.0-or-later
"""The role swarm on a swarm of one node: what is not ours stays, what was cut short is finished.

Its engine is the test's own. The images answer as one does whose database is there.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Run
from tests.support.loopback import LOOPBACK, haproxy_config
from tests.support.own_engine import OwnEngine, engine
from tests.support.paths import PATH, ROOT
from tests.support.ports import free_ports
from tests.support.rolling import environment
from tests.support.waiting import until

# The site is in 10.x, as Docker's own default is.
ADDRESS, HOST = "10.77.0.41", "node1"
POOLS = ["10.192.0.0/12"]
# What an image is known by.
IMAGE, DIGEST = "bookface/web:made-for-tes", "made-for-test"
# Others that reach their database: one without a front page, one with a page that fails, and one
# that ends after a while.
BROKEN, FAILING, ENDING = "broken-for-test", "failing-for-test", "ending-for-test"
# The front page of each, and the status of the page that nobody but clients asks for.
PAGES = {
    DIGEST: ("Users: 7", 200),
    BROKEN: ("Parse error", 200),
    FAILING: ("Users: 7", 500),
    ENDING: ("Users: 7", 200),
}
THEIRS = ["their-web", "their-net", "their-memcached"]
ADOPTED = {
    "swarm_service": THEIRS[0],
    "swarm_network": THEIRS[1],
    "swarm_adopt": f"service/{THEIRS[0]},network/{THEIRS[1]}",
}


class Swarm:
    """The role, and what it makes."""

    def __init__(self, own: OwnEngine, directory: Path) -> None:
        self.own, self.docker, self.directory = own, own.docker, directory
        self.socket, self.balanced = directory / "admin.sock", directory / "haproxy.cfg"
        self.variables: dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "bookface_address": ADDRESS,
            "haproxy_config": str(self.balanced),
            "haproxy_socket": str(self.socket),
            "bookface_db_host": "192.0.2.21",
            "bookface_release_check": [{"path": "/", "content": "Users:"}],
            "bookface_db_password": "for-the-test-and-nothing-else",
            # Of an image that is there already; made by no Dockerfile.
            "__bookface_image_recipe": DIGEST,
            "swarm_replicas": 1,
            "swarm_manager_hosts": [HOST],
            "swarm_worker_hosts": [],
            "swarm_start_timeout": 60,
        }

    def _tasks(self, wishes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The role, once for each wish; but for the last one a failure is told and forgotten."""
        role = {"ansible.builtin.include_role": {"name": "bookface.platform.swarm"}}
        say = {"ansible.builtin.debug": {"msg": "refused: {{ ansible_failed_result.msg }}"}}
        tasks: list[dict[str, Any]] = [
            {"block": [role | {"vars": wish}], "rescue": [say]} for wish in wishes[:-1]
        ]
        return [*tasks, role | {"vars": wishes[-1]}]

    def _command(self, tasks: list[dict[str, Any]], variables: dict[str, Any]) -> list[str]:
        playbook, extra = self.directory / "play.yml", self.directory / "extra.json"
        playbook.write_text(json.dumps([{"hosts": "all", "tasks": tasks}]))
        extra.write_text(json.dumps(self.variables | variables))
        command = ["ansible-playbook", "-i", f"{HOST},", "-e", f"@{extra}", str(playbook)]
        return self.own.inside(command)

    def _ansible(
        self,
        tasks: list[dict[str, Any]],
        variables: dict[str, Any],
        more: Mapping[str, str],
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(tasks, variables),
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            env={**environment(), **more},
        )

    def play(
        self, tasks: list[dict[str, Any]], variables: dict[str, Any], more: Mapping[str, str]
    ) -> Run:
        """These tasks to their end, with C(more) in their environment."""
        return Run.of(self._ansible(tasks, variables, more))

    def run(
        self, *wishes: dict[str, Any], more: Mapping[str, str] | None = None, **variables: Any
    ) -> Run:
        """The role to its end, once for each wish."""
        return self.play(self._tasks(list(wishes) or [{}]), variables, more or {})

    def killed_at(self, task: str, *wishes: dict[str, Any], **variables: Any) -> str:
        """Run the role, kill it before it begins the task with this name; what it has printed."""
        killing = {
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/support/ansible"),
            "BOOKFACE_KILL_AT": task,
        }
        done = self._ansible(self._tasks(list(wishes) or [{}]), variables, killing)
        assert done.returncode == -signal.SIGKILL, done.stdout[-3000:] + done.stderr
        return " ".join(done.stdout.split())

    @contextlib.contextmanager
    def load(self, page: str) -> Iterator[dict[str, Any]]:
        """Clients that ask for a page meanwhile; what they have counted, afterwards."""
        counted: dict[str, Any] = {}
        result = self.directory / "load.json"
        command = [sys.executable, "-m", "tests.support.load", page]
        options = ["--rate", "20", "--at-least", "100", "--expect", "Users:", "--json", str(result)]
        with subprocess.Popen(self.own.reaching([*command, *options]), cwd=ROOT) as clients:
            try:
                yield counted
            finally:
                clients.terminate()
                clients.wait(60)
        counted |= json.loads(result.read_text())

    @contextlib.contextmanager
    def balancer(self) -> Iterator[str]:
        """A load balancer before it; where it is reached."""
        config, (front, stats) = self.balanced, free_ports(2)
        map_file = self.directory / "default_backend.map"
        map_file.write_text("# Empty on disk.\n")
        server = {"name": HOST, "address": self.own.address, "port": 8080}
        given = {
            "haproxy_frontend": "bookface",
            "haproxy_bind": f"{LOOPBACK}:{front}",
            "haproxy_stats_bind": f"{LOOPBACK}:{stats}",
            "haproxy_stats_password": "for-the-test",
            # A name that the user has chosen.
            "haproxy_backends": [{"name": "cluster", "servers": [server]}],
            "__haproxy_default": "cluster",
            "__haproxy_socket": str(self.socket),
            "__haproxy_map": str(map_file),
        }
        haproxy_config(config, given)
        program = shutil.which("haproxy", path=PATH)
        assert program, "this needs haproxy: apt-get install haproxy"
        command = self.own.reaching([program, "-f", str(config)])
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as haproxy:
            try:
                until(self.socket.exists, "HAProxy's socket")
                yield f"http://{LOOPBACK}:{front}/"
            finally:
                haproxy.terminate()

    def services(self) -> dict[str, int]:
        """All of them, with their versions."""
        names = self.docker("service", "ls", "--format", "{{.Name}}").split()
        return {name: self.inspect("service", name)["Version"]["Index"] for name in names}

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.docker(kind, "inspect", name))
        return found[0]

    def limit(self) -> object:
        """How many users the front page shows, as the task that runs is told."""
        task = self.docker("ps", "--quiet", "--filter", "label=platform.bookface.made=swarm")
        told = self.docker("exec", task, "/busybox", "cat", "/etc/bookface/config.json")
        return json.loads(told).get("frontpage_limit")


def load_image(own: OwnEngine, directory: Path, digest: str) -> None:
    """A web server that is always ready, whatever its front page says."""
    root = directory / digest
    ready = root / "w" / "platform" / "ready"
    ready.parent.mkdir(parents=True)
    ready.write_text("ready\n")
    front, status = PAGES[digest]
    (root / "w" / "index.html").write_text(front)
    more = root / "w" / "cgi-bin" / "more"
    more.parent.mkdir()
    more.write_text(f"#!/busybox sh\nprintf 'Status: {status} -\\r\\n\\r\\nUsers: 7'\n")
    more.chmod(0o755)
    (root / "tmp").mkdir()
    shutil.copy("/bin/busybox", root)
    archive = directory / "image.tar"
    subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
    serve = "/busybox httpd -p 8080 -h /w; "
    live = "/busybox sleep 8; /busybox echo out of luck; exit 3"
    forever = "exec /busybox httpd -f -p 8080 -h /w"
    command = json.dumps(["/busybox", "sh", "-c", serve + live if digest == ENDING else forever])
    # The base is not there, so the recipe decides.
    label = f"platform.bookface.content={digest} platform.bookface.recipe={digest}"
    image = f"bookface/web:{digest[:12]}"
    own.docker("import", "-c", f"CMD {command}", "-c", f"LABEL {label}", str(archive), image)


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    directory = tmp_path_factory.mktemp("swarm")
    with engine(ADDRESS) as own:
        for digest in PAGES:
            load_image(own, directory, digest)
        yield Swarm(own, directory)


def test_a_swarm_is_formed_apart_from_the_site_s_addresses(swarm: Swarm) -> None:
    """With Docker's own default it is refused. The run that forms it is cut short at once."""
    pools = [{"swarm_address_pools": ["10.0.0.0/8"]}, {"swarm_address_pools": POOLS}]
    said = swarm.killed_at("Create the overlay network", *pools)
    assert "refused: swarm_address_pools is 10.0.0.0/8, but the site has addresses" in said
    assert f"{ADDRESS.rpartition('.')[0]}.0/24 on {HOST}" in said
    cluster = json.loads(swarm.docker("info", "--format", "{{json .Swarm.Cluster}}"))
    assert cluster["DefaultAddrPool"] == POOLS
    assert cluster["Spec"]["Labels"] == {"platform.bookface.made": "swarm"}


def test_what_somebody_else_made_stays(swarm: Swarm) -> None:
    """A service, and an attachable overlay with a container on it: refused, each by its name."""
    web, net, memcached = THEIRS
    swarm.docker("network", "create", "--driver", "overlay", "--attachable", net)
    swarm.docker("run", "--detach", "--name", memcached, "--network", net, IMAGE)
    swarm.docker(
        *("service", "create", "--detach", "--no-resolve-image", "--name", web),
        *("--stop-grace-period", "1s", IMAGE, "/busybox", "sleep", "9999"),
    )
    before = swarm.inspect("service", web)["Version"], swarm.inspect("network", net)["Containers"]
    done = swarm.run({"swarm_service": web}, {"swarm_network": net})
    assert done.code != 0
    assert f"it lacks the label platform.bookface.role=web and runs {IMAGE}" in done.text
    assert f"swarm_adopt: [service/{web}]" in done.text
    assert f"swarm_adopt: [network/{net}]" in done.message(HOST)
    assert f"On it is also {memcached}." in done.message(HOST)
    assert done.changed == {HOST: 0}
    after = swarm.inspect("service", web)["Version"], swarm.inspect("network", net)["Containers"]
    assert after == before


def test_a_run_that_was_killed_is_finished_by_the_next(swarm: Swarm) -> None:
    """What becomes ours on demand; killed when there is a configuration that no task reads yet."""
    web, net, memcached = THEIRS
    before = swarm.inspect("network", net)["Id"], swarm.inspect("service", web)["ID"]
    wanted = {**ADOPTED, "bookface_frontpage_limit": 7}
    swarm.killed_at("Run the service", **wanted)
    assert "Secrets" not in swarm.docker("service", "inspect", web)
    swarm.run(**wanted).ok()
    assert swarm.limit() == 7
    assert (swarm.inspect("network", net)["Id"], swarm.inspect("service", web)["ID"]) == before
    assert net in swarm.inspect("container", memcached)["NetworkSettings"]["Networks"]
    spec = swarm.inspect("service", web)["Spec"]
    assert spec["Labels"]["platform.bookface.role"] == "web"
    template = spec["TaskTemplate"]
    assert not template["ContainerSpec"].get("Args")
    assert template["Resources"]["Limits"] == {"MemoryBytes": 512 << 20, "Pids": 200}


@pytest.mark.load
def test_a_release_that_does_not_serve_is_seen_before_the_service_is_updated(swarm: Swarm) -> None:
    """Though it reaches its database. One that was being tried when its run was killed goes."""
    good = {**ADOPTED, "bookface_frontpage_limit": 7}
    broken = {**good, "__bookface_image_recipe": BROKEN}
    before, secrets = swarm.services(), swarm.docker("secret", "ls", "--quiet")
    with swarm.load(f"http://{ADDRESS}:8080/") as counted:
        swarm.killed_at("Request the pages of the canary", **broken)
        assert swarm.services().keys() - before.keys() == {f"{THEIRS[0]}-canary"}
        done = swarm.run(**broken)
        swarm.run(**good).ok()
    print(f"\n{counted['failed']} of {counted['requests']} requests failed")
    assert done.code != 0
    assert "http://127.0.0.1:8080/ does not contain 'Users:'" in done.text
    assert f"The service {THEIRS[0]} was not changed." in done.text
    assert (swarm.services(), swarm.docker("secret", "ls", "--quiet")) == (before, secrets)
    assert counted["failed"] == 0, counted


@pytest.mark.load
def test_a_release_that_fails_with_clients_is_rolled_back(swarm: Swarm) -> None:
    """It has all the pages that are asked for, but another one fails: the load balancer counts."""
    failing = {"__bookface_image_recipe": FAILING, "swarm_loadbalancers": [HOST]}
    before = swarm.inspect("service", THEIRS[0])["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    with swarm.balancer() as url, swarm.load(f"{url}cgi-bin/more") as counted:
        done = swarm.run(**ADOPTED, bookface_frontpage_limit=7, **failing)
    print(f"\n{counted['failed']} of {counted['requests']} requests failed")
    assert done.code != 0
    assert "answers from the servers of cluster to all clients were errors" in done.text
    assert "The change of image, labels was rolled back." in done.text
    after = swarm.inspect("service", THEIRS[0])["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    assert after == before


def test_a_release_whose_task_ends_after_a_while_is_rolled_back(swarm: Swarm) -> None:
    """Neither canary nor clients have seen that. Docker has, which watches for longer."""
    before = swarm.inspect("service", THEIRS[0])["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    good = {**ADOPTED, "bookface_frontpage_limit": 7}
    done = swarm.run(**good, __bookface_image_recipe=ENDING, swarm_monitor=15)
    assert done.code != 0
    assert f"The update of {THEIRS[0]} was rolled back" in done.text
    assert "with exit code 3" in done.text
    assert "The end of its log: out of luck" in done.text
    after = swarm.inspect("service", THEIRS[0])["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    assert after == before


@pytest.mark.parametrize("way", ["context", "variable"])
def test_the_engine_of_the_node_is_asked_wherever_its_client_points(
    swarm: Swarm, tmp_path: Path, way: str
) -> None:
    """As a rootless engine, or docker context use, leaves it."""
    good = {**ADOPTED, "bookface_frontpage_limit": 7}
    swarm.run(good).ok()
    before = swarm.services()
    away = "tcp://127.0.0.1:9"
    docker = [*swarm.own.inside(["docker"]), "--config", str(tmp_path), "context"]
    subprocess.run([*docker, "create", "away", "--docker", f"host={away}"], check=True)
    subprocess.run([*docker, "use", "away"], check=True)
    more, name = {
        "context": ({"DOCKER_CONFIG": str(tmp_path)}, f"the docker context away ({away})"),
        "variable": ({"DOCKER_HOST": away}, f"DOCKER_HOST={away}"),
    }[way]
    swarm.run(good, more=more).ok()
    assert swarm.services() == before
    task = {"bookface.platform.docker_ce_info": {}}
    done = swarm.play([task], {}, more).ok()
    assert f"but follows {name}. Roles ask the engine of this host" in done.text
