# SPDX-License-Identifier: GPL-3.0-or-later
"""The role bookface_image by ansible-playbook on real engines, and containers of what it builds."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from workalike.support import (
    DB_PASSWORD,
    DB_USER,
    LOOPBACK,
    PROJECT,
    Cluster,
    Database,
    Response,
    accepts,
    end,
    free_port,
    program,
    write_config_json,
)

from tests.support.commands import Run, kill_tree
from tests.support.engine import see_it_run
from tests.support.waiting import until

NAME = "bookface/test"
# Set for all containers here, so that none is left behind.
MARK = "platform.bookface.test=image"
PLAY = """
- hosts: all
  connection: local
  gather_facts: true
  gather_subset: [min]
  vars: {bookface_docker_host: "{{ engine }}"}
  roles: [bookface.platform.bookface_image]
"""


@dataclass(frozen=True)
class Kind:
    """One way to make the image."""

    server: str
    variant: str
    release: str

    def __str__(self) -> str:
        return f"{self.server}-{self.variant}-{self.release}"

    def variables(self) -> dict[str, str]:
        return {f"bookface_image_{name}": value for name, value in vars(self).items()}


# Both servers, both variants, both releases; one base image for each server.
KINDS = [
    Kind("apache", "minimal", "trixie"),
    Kind("apache", "slim", "trixie"),
    Kind("nginx", "minimal", "bookworm"),
    Kind("nginx", "slim", "bookworm"),
]


@dataclass(frozen=True)
class ImageRun(Run):
    """How ansible-playbook ended, and the image that it is about."""

    @property
    def reference(self) -> str:
        """The image as the role names it in the end."""
        found = re.findall(r'"bookface_image_reference": "([^"]+)"', self.output)
        assert found, self.output[-6000:]
        return str(found[-1])


@dataclass(frozen=True)
class Engine:
    """A Docker engine by its address."""

    address: str
    data: Path | None = None

    def __call__(self, *words: str, check: bool = True) -> str:
        """What a docker command prints."""
        done = subprocess.run(
            ["docker", "-H", self.address, *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if check:
            assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def inspect(self, what: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self("inspect", what))
        return found[0]

    def images(self) -> set[str]:
        """Those of these tests; others may use the engine, too."""
        return set(self("images", "-q", "--no-trunc", "--filter", f"reference={NAME}").split())

    def has(self, image: str) -> bool:
        return bool(self("images", "-q", image))

    def remove_images(self, reference: str) -> None:
        """All images of a name, and what was only kept for them."""
        images = set(self("images", "-q", "--filter", f"reference={reference}").split())
        if images:
            self("rmi", "-f", *images, check=False)


def play(
    text: str,
    hosts: Mapping[str, Mapping[str, Any]],
    *options: str,
    under: Sequence[str] = (),
    until_it: Callable[[], object] | None = None,
    env: Mapping[str, str] | None = None,
) -> ImageRun:
    """A play on hosts that are all this machine.

    C(under) is a program that runs ansible-playbook. As soon as C(until_it) all of it is killed.
    """
    with tempfile.TemporaryDirectory(prefix="test-image-") as directory:
        book, inventory = Path(directory) / "play.yml", Path(directory) / "inventory.yml"
        book.write_text(text)
        python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": python}}))
        with (Path(directory) / "output").open("w+") as output:
            process = subprocess.Popen(
                [*under, "ansible-playbook", "-i", str(inventory), *options, str(book)],
                cwd=PROJECT,
                env=os.environ | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", **(env or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                if until_it is not None:
                    until(until_it, lambda: "the moment to kill the run", 120)
                    kill_tree(process)
                code = process.wait(420)
            finally:
                kill_tree(process)
            output.seek(0)
            return ImageRun(code, output.read())


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """This machine's engine, installed and started if need be; our images leave it in the end."""
    see_it_run(tmp_path_factory.mktemp("engine"))
    engine = Engine("unix:///var/run/docker.sock")
    yield engine
    for container in engine("ps", "-aq", "--filter", f"label={MARK}").split():
        engine("rm", "-f", "-v", container, check=False)
    for reference in (f"{NAME}*", f"*/{NAME}*"):
        engine.remove_images(reference)


@contextlib.contextmanager
def other_engine(size: str) -> Iterator[Engine]:
    """A second engine with a small disk of its own. It holds images, and runs nothing."""
    directory = Path(tempfile.mkdtemp(prefix="test-engine-"))
    data = directory / "data"
    data.mkdir()
    (directory / "daemon.json").write_text("{}")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(data)], check=True)
    address = f"unix://{directory}/docker.sock"
    # With --bridge=none it would take docker0 away from the other engine.
    bridge = f"test-{os.getpid()}"
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    subprocess.run(["ip", "address", "add", "198.18.0.1/24", "dev", bridge], check=True)
    dockerd = [program("dockerd", "docker.io"), "-H", address, "--data-root", str(data)]
    dockerd += ["--exec-root", str(directory / "run"), "--pidfile", str(directory / "pid")]
    dockerd += [
        f"--bridge={bridge}",
        "--iptables=false",
        "--ip6tables=false",
        f"--config-file={directory}/daemon.json",
    ]
    with (directory / "log").open("wb") as output:
        process = subprocess.Popen(dockerd, stdout=output, stderr=output)
    engine = Engine(address, data)
    try:
        log = directory / "log"

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            return bool(engine("version", "--format", "{{.Server.Version}}", check=False))

        until(answers, lambda: f"the second engine answers: {log.read_text()}")
        yield engine
    finally:
        end(process)
        subprocess.run(["umount", "-R", "-l", str(data)], check=False)
        subprocess.run(["ip", "link", "delete", bridge], check=False)
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class Role:
    """The role, and what it built."""

    engine: Engine
    # Its own directory for temporary files: others who make an image may run on this machine.
    tmp: Path
    built: dict[Kind, str] = field(default_factory=dict)

    def run(
        self,
        *options: str,
        engines: Sequence[Engine] = (),
        how: Mapping[str, Any] | None = None,
        **variables: Any,
    ) -> ImageRun:
        """The role for hosts named one, two, ... each with an engine; C(how) is for play()."""
        how = dict(how or {})
        how["env"] = {"TMPDIR": str(self.tmp), **how.get("env", {})}
        names = ("one", "two", "three")
        hosts = {
            name: {"engine": engine.address, "bookface_image_name": NAME, **variables}
            for name, engine in zip(names, engines or [self.engine])
        }
        return play(PLAY, hosts, "-v", *options, **how)

    def leftovers(self) -> list[Path]:
        """What runs may have left behind; /var/tmp is where the hosts build, here this machine."""
        places = (self.tmp, Path("/var/tmp"))  # noqa: S108
        names = ("bookface-image-*", "bookface-registry-*")
        return [path for place in places for name in names for path in place.glob(name)]

    def build(self, kind: Kind) -> str:
        """The image of that kind, built once."""
        if kind not in self.built:
            self.built[kind] = self.run(**kind.variables()).ok().reference
        return self.built[kind]


@pytest.fixture(scope="session")
def role(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Role:
    return Role(engine, tmp_path_factory.mktemp("role"))


@dataclass(frozen=True)
class Registry:
    """A registry that asks for an account."""

    address: str
    data: Path
    username: str = "pusher"
    password: str = "of-the-registry"  # noqa: S105  (it lives for one test run)

    def variables(self) -> dict[str, str]:
        given = {"": self.address, "_username": self.username, "_password": self.password}
        return {f"bookface_image_registry{name}": value for name, value in given.items()}

    def lose(self, name: str) -> None:
        """All images of that name."""
        shutil.rmtree(self.data / "docker/registry/v2/repositories" / name)


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """Debian's docker-registry, with a configuration of its own."""
    with tempfile.TemporaryDirectory(prefix="test-registry-") as name:
        directory = Path(name)
        registry = Registry(f"{LOOPBACK}:{free_port()}", directory / "data")
        account = [program("htpasswd", "apache2-utils"), "-B", "-b", "-n"]
        (directory / "accounts").write_bytes(
            subprocess.run(
                [*account, registry.username, registry.password], check=True, capture_output=True
            ).stdout
        )
        config = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": str(registry.data)}},
            "http": {"addr": registry.address},
            "auth": {"htpasswd": {"realm": "test", "path": f"{name}/accounts"}},
        }
        (directory / "config.yml").write_text(json.dumps(config))
        command = [program("docker-registry", "docker-registry"), "serve", f"{name}/config.yml"]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        host, _, port = registry.address.partition(":")
        until(lambda: accepts(host, int(port)), (directory / "log").read_text)
        yield registry
        end(process)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL that containers reach through its socket, with passwords there, too."""
    cluster = Cluster()
    (cluster.directory / "data/pg_hba.conf").write_text(
        f"local all {DB_USER} scram-sha-256\nlocal all all trust\n"
    )
    cluster.sql("select pg_reload_conf()")
    cluster.directory.chmod(0o755)
    yield cluster
    cluster.remove()


@pytest.fixture
def database(cluster: Cluster) -> Database:
    return Database.fresh(cluster)


@dataclass
class Web:
    """A container of the image, run as the role web_containers runs it."""

    engine: Engine
    name: str
    config: Path

    @functools.cached_property
    def port(self) -> int:
        return int(self.engine("port", self.name, "8080").partition("\n")[0].rpartition(":")[2])

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(LOOPBACK, self.port, timeout=30)

    def get(self, path: str, **headers: str) -> Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = self.connection()
        start = time.monotonic()
        try:
            connection.request("GET", path, headers=sent)
            reply = connection.getresponse()
            body = reply.read()
        finally:
            connection.close()
        return Response(reply.status, reply.headers, body, time.monotonic() - start)

    def ready(self) -> Response:
        return self.get("/platform/ready", X_Bookface_Probe="test")

    def metrics(self) -> dict[str, float]:
        """Samples by name and labels."""
        lines = self.get("/platform/metrics").text.splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def alive(self) -> bool:
        # A container that comes back has another port, and none for a moment.
        self.__dict__.pop("port", None)
        with contextlib.suppress(OSError, http.client.HTTPException, AssertionError, ValueError):
            return self.get("/platform/live").status == 200
        return False

    def answers(self, seconds: float = 20) -> Web:
        """Wait until it serves."""
        until(self.alive, lambda: f"alive: {self.log()}", seconds)
        return self

    def log(self) -> str:
        done = subprocess.run(
            ["docker", "-H", self.engine.address, "logs", self.name],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.engine.inspect(self.name)["State"]
        return state


Start = Callable[..., Web]


@pytest.fixture
def start(engine: Engine, cluster: Cluster, tmp_path: Path) -> Iterator[Start]:
    """Starts containers: image, options of docker run, changes of the configuration."""
    started: list[str] = []

    def run(
        image: str,
        *options: str,
        config: Mapping[str, object] | str | None = None,
        tmp: bool = True,
    ) -> Web:
        name = f"test-image-{os.getpid()}-{len(started)}"
        directory = tmp_path / name
        directory.mkdir()
        if isinstance(config, str):
            (directory / "config.json").write_text(config)
        else:
            write_config_json(directory, settings(cluster, **(config or {})))
        passwords = directory / "pgpass"
        passwords.write_text(
            f"*:*:*:{DB_USER}:" + DB_PASSWORD.replace("\\", r"\\").replace(":", r"\:")
        )
        passwords.chmod(0o400)
        os.chown(passwords, 33, 33)
        started.append(name)
        engine(
            "run", "-d", "--name", name, "--label", MARK, "-p", f"{LOOPBACK}:0:8080",
            *(["--read-only", "--tmpfs", "/tmp:mode=1777"] if tmp else []),  # noqa: S108
            "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--init",
            "-v", f"{directory}:/etc/bookface:ro", "-v", f"{cluster.directory}:/run/database:ro",
            "-e", "PGPASSFILE=/etc/bookface/pgpass", *options, image,
        )  # fmt: skip
        return Web(engine, name, directory)

    yield run
    for name in started:
        engine("rm", "-f", "-v", name, check=False)


def settings(cluster: Cluster, **changes: object) -> dict[str, object]:
    """The site's configuration as a container needs it."""
    given = {"dbhost": "/run/database", "dbport": cluster.port, "db": "bf", "dbuser": DB_USER}
    return {**given, "dbpassw": DB_PASSWORD, "webhost": "bookface.example", **changes}
