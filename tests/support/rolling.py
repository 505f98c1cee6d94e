"""Containers of the role web_containers on this machine's Docker engine, replaced under load.

Real parts, all of them gone afterwards: PostgreSQL and HAProxy on the loopback, the containers in a
network of their own, where HAProxy passes them on to the database. The role is run as users run it,
by ansible-playbook. Wants root, and a Docker engine that answers.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.balancer import ask
from tests.support.engine import docker
from tests.support.errors import HarnessError
from tests.support.load import Load
from tests.support.loopback import LOOPBACK, haproxy_config
from tests.support.paths import COLLECTIONS, PATH, ROOT
from tests.support.ports import free_ports
from tests.support.stage import PASSWORD, USER, Postgres
from tests.support.waiting import until

# Names of the host and of the load balancer in the inventory.
HOST, BALANCER = "rolling1", "rolling-lb"
ONE: Mapping[str, Mapping[str, Any]] = {HOST: {}}
LABEL = "platform.bookface.role=web"
SCHEMA = ROOT / "examples" / "bookface" / "bootstrap_db.sql"
USERS = """
insert into users (userID, name, lastPostDate)
  select 'u' || n, 'name ' || n, now() from generate_series(1, 20) as n
"""
PLAYS = f"""
- name: Load balancer
  hosts: {BALANCER}
  gather_facts: false

- name: Containers
  hosts: all:!{BALANCER}
  gather_facts: false
  roles:
    - role: bookface.platform.web_containers
"""
IMAGE_PLAYS = f"""
- name: Image
  hosts: {HOST}
  gather_facts: true
  roles:
    - role: bookface.platform.bookface_image
  tasks:
    - name: Hand over its name
      ansible.builtin.copy:
        content: "{{{{ bookface_image_reference }}}}"
        dest: "{{{{ playbook_dir }}}}/image"
        mode: "0644"
"""


class Site:
    """The database, the load balancer, and the containers that the role makes."""

    def __init__(self, image: str = "", most: int = 5) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="roll-"))
        self.network = f"bookface-{self.directory.name}"
        self.config = self.directory / "haproxy.cfg"
        self.socket = self.directory / "admin.sock"
        self.master = self.directory / "master.sock"
        self.database = Postgres()
        self.image = image
        front, stats, *ports = free_ports(2 + most)
        self.ports = sorted(ports)
        self._front, self._stats = front, stats
        self.url = f"http://{LOOPBACK}:{front}/"
        self.gateway = ""
        self._derived: list[str] = []
        # Containers that shall be there, for those who remember them.
        self.wanted: dict[str, str] = {}
        # Variables that they were last converged with, for runs that shall change nothing else.
        self.kept: dict[str, Any] = {}
        self._haproxy: subprocess.Popen[bytes] | None = None

    # Start and end.

    def open(self) -> None:
        """Start the database and the load balancer; no container yet, but an image, if need be."""
        if self.containers():
            raise HarnessError(
                f"this machine runs containers with the label {LABEL}, which would be replaced: "
                + ", ".join(self.containers())
            )
        self.database.__enter__()
        self.database.sql("create database bf")
        self.database.sql(SCHEMA.read_text(), "bf")
        self.database.sql(
            f"grant select, insert, update on all tables in schema public to {USER}", "bf"
        )
        self.database.sql(USERS, "bf")
        # As the role would create it; but the database comes first, and is reached through it.
        made = "platform.bookface.made=web_containers"
        docker("network", "create", "--label", made, self.network)
        self.gateway = docker(
            "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", self.network
        )
        self.image = self.image or self._build()
        self._balance()
        self._start_haproxy()

    def close(self) -> None:
        """End all of it."""
        if self._haproxy is not None:
            self._haproxy.terminate()
            self._haproxy.wait(20)
        for name in self.containers():
            docker("rm", "--force", name)
        for image in self._derived:
            docker("image", "rm", image, check=False)
        docker("network", "rm", self.network, check=False)
        self.database.__exit__()
        shutil.rmtree(self.directory)

    def _build(self) -> str:
        done = self.play(IMAGE_PLAYS, bookface_image_name="bookface/rolling")
        if done.returncode:
            raise HarnessError(f"bookface_image: {done.stdout[-2000:]}{done.stderr[-500:]}")
        return (self.directory / "image").read_text()

    def derived(self, tag: str, *lines: str) -> str:
        """Another image, made from the one that is there."""
        name = f"bookface/rolling:{tag}"
        recipe = "\n".join([f"FROM {self.image}", *lines])
        docker("build", "--quiet", "--tag", name, "-", text=recipe)
        self._derived.append(name)
        return name

    def edited(self, tag: str, edit: Callable[[str], str]) -> str:
        """Another image with another front page. The image has no shell to edit it with."""
        name, page = f"bookface/rolling:{tag}", self.directory / "index.php"
        inside = f"{docker('create', self.image)}:/var/www/html/index.php"
        container = inside.partition(":")[0]
        docker("cp", inside, str(page))
        page.write_text(edit(page.read_text()))
        docker("cp", str(page), inside)
        docker("commit", container, name)
        docker("rm", container)
        self._derived.append(name)
        return name

    # The load balancer.

    def _balance(self) -> None:
        """Write the load balancer's configuration for two containers."""
        servers = [
            {"name": f"{HOST}-{port}", "address": LOOPBACK, "port": port} for port in self.ports[:2]
        ]
        map_file = self.directory / "default_backend.map"
        map_file.write_text("# Empty on disk.\n")
        haproxy_config(
            self.config,
            {
                "haproxy_frontend": "bookface",
                "haproxy_bind": f"{LOOPBACK}:{self._front}",
                "haproxy_stats_bind": f"{LOOPBACK}:{self._stats}",
                "haproxy_stats_password": "bench",
                "haproxy_backends": [{"name": "docker", "servers": servers}],
                "haproxy_tcp_services": [
                    {
                        "name": "database",
                        "bind": f"{self.gateway}:{self.database.port}",
                        "servers": [
                            {"name": "db", "address": LOOPBACK, "port": self.database.port}
                        ],
                    }
                ],
                "__haproxy_default": "docker",
                "__haproxy_socket": str(self.socket),
                "__haproxy_map": str(map_file),
            },
        )

    def _start_haproxy(self) -> None:
        program = shutil.which("haproxy", path=PATH)
        if program is None:
            raise HarnessError("this needs haproxy: apt-get install haproxy")
        with (self.directory / "log").open("ab") as log:
            self._haproxy = subprocess.Popen(
                [program, "-W", "-S", str(self.master), "-f", str(self.config)],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
            )
        until(self.socket.exists, "HAProxy's socket")

    def cut_database(self, away: bool) -> None:
        """Let nobody through to the database, or let them again."""
        ask(self.socket, f"set server database/db state {'maint' if away else 'ready'}")

    def states(self) -> dict[str, str]:
        """Server → its state, as HAProxy shows it."""
        rows = csv.DictReader(ask(self.socket, "show stat").removeprefix("# ").splitlines())
        return {
            row["svname"]: row["status"]
            for row in rows
            if row["pxname"] == "docker" and row["svname"] not in ("BACKEND", "FRONTEND")
        }

    # The role.

    def variables(self, count: int = 2, **more: Any) -> dict[str, Any]:
        """What the role is told."""
        given = {
            "web_containers_list": [
                {"name": f"rolling-{number}", "port": port}
                for number, port in enumerate(self.ports[:count], 1)
            ],
            "web_containers_bind_address": LOOPBACK,
            "web_containers_image": self.image,
            "web_containers_network": self.network,
            "web_containers_config_directory": str(self.directory / "site"),
            "web_containers_loadbalancers": [BALANCER],
            "bookface_db_host": self.gateway,
            "bookface_db_port": self.database.port,
            "bookface_db_user": USER,
            "bookface_db_password": PASSWORD,
            "bookface_frontpage_limit": 5,
        }
        return given | self.kept | more

    def command(
        self,
        plays: str,
        options: Sequence[str],
        variables: Mapping[str, Any],
        hosts: Mapping[str, Mapping[str, Any]] = ONE,
        balancer: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """ansible-playbook on these plays; C(hosts) with what is different for each.

        C(balancer) is how the load balancer's machine is reached.
        """
        local = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
        }
        haproxy = {
            "haproxy_config": str(self.config),
            "haproxy_socket": str(self.socket),
            "haproxy_master_socket": str(self.master),
        }
        everybody = {
            BALANCER: {**local, **haproxy, **(balancer or {})},
            **{name: {**local, **variables, **own} for name, own in hosts.items()},
        }
        inventory, playbook = self.directory / "inventory.yml", self.directory / "play.yml"
        inventory.write_text(json.dumps({"all": {"hosts": everybody}}))
        playbook.write_text(plays)
        return ["ansible-playbook", "-i", str(inventory), *options, str(playbook)]

    def play(
        self,
        plays: str,
        *options: str,
        hosts: Mapping[str, Mapping[str, Any]] = ONE,
        balancer: Mapping[str, Any] | None = None,
        **variables: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run plays to their end."""
        return subprocess.run(
            self.command(plays, options, variables, hosts, balancer),
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            env=environment(),
        )

    def run(
        self, *options: str, balancer: Mapping[str, Any] | None = None, **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        """The role to its end; C(balancer) is how the load balancer's machine is reached."""
        return self.play(PLAYS, *options, balancer=balancer, **self.variables(**variables))

    def converge(self, **variables: Any) -> str:
        """The role to its end, which must be a good one; what it printed."""
        done = self.run(**variables)
        if done.returncode:
            raise HarnessError(f"web_containers: {done.stdout[-3000:]}{done.stderr[-500:]}")
        return done.stdout

    # What is there.

    @staticmethod
    def containers() -> dict[str, str]:
        """Name → id of all containers of the role, stopped ones, too."""
        listed = docker(
            "ps", "-a", "--no-trunc", "--filter", f"label={LABEL}", "--format", "{{.Names}} {{.ID}}"
        )
        return dict(line.split() for line in listed.splitlines())

    def serving(self) -> bool:
        """Whether all servers of the load balancer are up."""
        return set(self.states().values()) == {"UP"}

    def load(self, at_least: int = 200, rate: float = 50) -> Load:
        """Clients that ask for pages beside what is done."""
        urls = [f"{self.url}{path}" for path in ("", "showallusers.php")]
        return Load(urls, clients=8, rate=rate, at_least=at_least, expect="(?i)users:")


def environment() -> dict[str, str]:
    """What ansible-playbook needs beside the arguments; its output is read by programs."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{PATH}",
        "PYTHONPATH": str(COLLECTIONS),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
    }


@contextlib.contextmanager
def site(image: str = "") -> Iterator[Site]:
    """A site, gone afterwards; of an image that is there, or of one that the role builds."""
    made = Site(image)
    try:
        made.open()
        yield made
    finally:
        made.close()
