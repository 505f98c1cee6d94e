#!/usr/bin/env python3
"""A real, small OpenStack on the loopback, see README.md.

    lab.py up      install, make and start what is missing; prints where clouds.yaml lies
    lab.py reset   as fresh after `up`
    lab.py down    stop, and remove its state (not the installed programs)

LAB_STATE names the directory of its state (default: openstack-lab in the temporary directory),
LAB_PORT the first of its ports (default: 26400).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from string import Template

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[2] / ".cache/openstack"
VENV = CACHE / "venv"
FIRST_PORT = int(os.environ.get("LAB_PORT", "26400"))
PASSWORD = "lab-only"  # noqa: S105  (of accounts that live as long as a test)
# Service → what serves it. The order of starting: the others log in to Keystone.
SERVICES = {
    "keystone": "keystone.wsgi.api",
    "placement": "placement.wsgi.api",
    "glance": "glance.wsgi.api",
    "neutron": "neutron.wsgi.api",
    "nova": "",
}
# What `reset` puts back. Services run in the directory of their state and name databases relative
# to it (Nova keeps such names in one of them), so a kept copy works in any directory.
KEPT = ("db", "images", "keys", "nova")


class LabError(RuntimeError):
    """Something of the lab's does not work; says where to look."""


class Lab:
    """The cloud whose state is in one directory."""

    def __init__(self, state: Path, first_port: int) -> None:
        self.state = state
        self.ports = {name: first_port + number for number, name in enumerate(SERVICES)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def clouds(self) -> Path:
        """clouds.yaml with `lab` (a tenant) and `lab-admin`."""
        return self.state / "clouds.yaml"

    def up(self) -> None:
        """Install, make and start what is missing."""
        install()
        if not self.clouds.exists() or not self._golden().exists():
            self.down()
            self._configure()
            if self._golden().exists():
                self._restore()
            else:
                self._make()
        self.start()

    def reset(self) -> None:
        """As it was when it was new."""
        self.stop()
        self._restore()
        self.start()

    def down(self) -> None:
        """Stop it and remove its state."""
        self.stop()
        shutil.rmtree(self.state, ignore_errors=True)

    def start(self, *only: str) -> None:
        """Start the services that do not run, and wait until they answer."""
        for name in only or SERVICES:
            if self._pid(name):
                continue
            self._refuse_taken_port(name)
            script = HERE / ("serve.py" if SERVICES[name] else "serve_nova.py")
            arguments = [SERVICES[name]] if SERVICES[name] else []
            with (self.state / f"log/{name}.out").open("ab") as output:
                self.processes[name] = subprocess.Popen(
                    [VENV / "bin/python", script, *arguments, str(self.ports[name])],
                    cwd=self.state,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            self._pid_file(name).write_text(str(self.processes[name].pid))
            if name == "keystone":
                self._wait(name)
        for name in only or SERVICES:
            self._wait(name)

    def stop(self) -> None:
        """Stop the services that this lab has started, and no other process."""
        running = {name: pid for name in SERVICES if (pid := self._pid(name))}
        for pid in running.values():
            os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 10
        for name, pid in running.items():
            while self._pid(name):
                if name in self.processes:
                    self.processes[name].poll()  # a child stays until it is asked for
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.05)
            self._pid_file(name).unlink()

    def _pid_file(self, name: str) -> Path:
        return self.state / f"run/{name}"

    def _pid(self, name: str) -> int | None:
        """Process of a service, unless it has ended and the number is somebody else's now."""
        if name in self.processes and self.processes[name].poll() is None:
            return self.processes[name].pid
        try:
            pid = int(self._pid_file(name).read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(HERE).encode() in command else None

    def _refuse_taken_port(self, name: str) -> None:
        """Another lab's service would answer in the place of ours."""
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.ports[name])) == 0:
                raise LabError(
                    f"port {self.ports[name]} of {name} is taken; stop what listens there, such as"
                    " a lab that was killed, or set LAB_PORT to the first of five others"
                )

    def _wait(self, name: str, seconds: int = 120) -> None:
        """Until it answers HTTP, whatever it says."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + seconds
        while True:
            try:
                opener.open(f"http://127.0.0.1:{self.ports[name]}/", timeout=10)
                return
            except urllib.error.HTTPError:
                return
            except OSError as error:
                ended = name in self.processes and self.processes[name].poll() is not None
                if ended or time.monotonic() > end:
                    told = (self.state / f"log/{name}.out").read_text().splitlines()[-5:]
                    raise LabError(f"{name} does not answer: {told}") from error
                time.sleep(0.1)

    def _environment(self) -> dict[str, str]:
        ours = {
            "PYTHONPATH": str(HERE / "parts"),
            "NO_PROXY": "127.0.0.1",
            "OS_CLIENT_CONFIG_FILE": str(self.clouds),
            "LAB_PORTS": json.dumps(self.ports),
            "LAB_PASSWORD": PASSWORD,
            "OS_KEYSTONE_CONFIG_FILES": "keystone.conf",
            "OS_NEUTRON_CONFIG_FILES": "neutron.conf",
            # The first one is asked for the applications, all of them for options.
            "OS_NOVA_CONFIG_FILES": f"{VENV}/etc/nova/api-paste.ini;nova.conf",
        }
        for name in ("KEYSTONE", "GLANCE", "PLACEMENT", "NEUTRON", "NOVA"):
            ours[f"OS_{name}_CONFIG_DIR"] = str(self.state / "etc")
        return os.environ | ours

    def _configure(self) -> None:
        """Directories, the services' configuration, and clouds.yaml."""
        for name in ("db", "etc", "images", "log", "neutron", "nova", "run", "staging", "tasks"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        for name in ("tokens", "receipts", "credentials"):
            (self.state / "keys" / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        address = f"http://127.0.0.1:{self.ports['keystone']}"
        account = (
            f"auth_type = password\nauth_url = {address}/v3\nusername = service\n"
            f"password = {PASSWORD}\nproject_name = service\nuser_domain_name = Default\n"
            "project_domain_name = Default\nregion_name = RegionOne"
        )
        common = (
            f"[keystone_authtoken]\nwww_authenticate_uri = {address}\n{account}\n"
            "service_token_roles = service\nservice_token_roles_required = true\n"
            f"[oslo_concurrency]\nlock_path = {self.state}/locks\n"
            "[oslo_messaging_notifications]\ndriver = noop\n"
        )
        values = {"state": self.state, "venv": VENV, "account": account, "password": PASSWORD}
        for source in (HERE / "etc").iterdir():
            text = Template(source.read_text()).substitute(values, **self.ports) + common
            (self.state / "etc" / source.name).write_text(text)

        def cloud(user: str, project: str) -> dict[str, object]:
            login = {"username": user, "password": PASSWORD, "project_name": project}
            domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
            auth = {"auth_url": f"{address}/v3"} | login | domains
            return {"region_name": "RegionOne", "auth": auth}

        known = {"lab": cloud("demo", "demo"), "lab-admin": cloud("admin", "admin")}
        self.clouds.write_text(json.dumps({"clouds": known}, indent=1))  # JSON is YAML

    def _golden(self) -> Path:
        """Databases as they are when the cloud is new. Another lab has others."""
        digest = hashlib.sha256(json.dumps(self.ports).encode())
        for path in sorted(HERE.rglob("*")):
            if path.is_file() and path.suffix in (".py", ".conf", ".txt"):
                digest.update(path.read_bytes())
        return CACHE / f"golden-{digest.hexdigest()[:16]}.tar"

    def _restore(self) -> None:
        for name in KEPT:
            shutil.rmtree(self.state / name)
        with tarfile.open(self._golden()) as archive:
            # Python before 3.11.4 knows no filters.
            archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
            archive.extractall(self.state)  # noqa: S202

    def _make(self) -> None:
        """Make the databases, fill them, and keep a copy. The services then run."""
        address = f"http://127.0.0.1:{self.ports['keystone']}/v3"
        owner = ("--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid()))
        cell = ("--database_connection", "sqlite:///db/nova_cell1.sqlite?timeout=60")
        cell0 = ("--database_connection", "sqlite:///db/nova_cell0.sqlite?timeout=60")

        def keystone() -> None:
            addresses = [f"--bootstrap-{kind}-url" for kind in ("admin", "internal", "public")]
            told = [word for option in addresses for word in (option, address)]
            self._manage(
                "keystone",
                ("db_sync",),
                ("fernet_setup", *owner),
                ("receipt_setup", *owner),
                ("credential_setup", *owner),
                ("bootstrap", "--bootstrap-password", PASSWORD,
                 "--bootstrap-region-id", "RegionOne", *told),
            )  # fmt: skip

        def nova() -> None:
            self._manage(
                "nova",
                ("api_db", "sync"),
                ("cell_v2", "map_cell0", *cell0),
                ("db", "sync"),
                ("cell_v2", "create_cell", "--name", "cell1", "--transport-url", "fake://", *cell),
            )

        def glance() -> None:
            self._manage("glance", ("db_sync",))

        def neutron() -> None:
            self._run("python", str(HERE / "schema.py"), "neutron", "sqlite:///db/neutron.sqlite")

        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(make) for make in (nova, keystone, neutron, glance)]:
                done.result()
        for file in (self.state / "db").glob("*.sqlite"):
            with sqlite3.connect(file) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
        self.start("keystone")
        self._run("python", str(HERE / "seed.py"), "identity")
        self.start()
        self._run("python", str(HERE / "seed.py"), "cloud")
        self._keep()

    def _keep(self) -> None:
        """Keep what `reset` puts back, while the services run: SQLite copies a consistent state."""
        copy = self.state / "copy"
        for name in KEPT:
            shutil.copytree(self.state / name, copy / name, ignore=_databases)
        for file in (self.state / "db").glob("*.sqlite"):
            kept = copy / "db" / file.name
            with closing(sqlite3.connect(file)) as there, closing(sqlite3.connect(kept)) as here:
                there.backup(here)
        whole = self._golden().with_suffix(".part")
        with tarfile.open(whole, "w") as archive:
            archive.add(copy, arcname=".")
        whole.rename(self._golden())
        shutil.rmtree(copy)

    def _manage(self, service: str, *commands: tuple[str, ...]) -> None:
        """Commands of a service's management program, one after the other."""
        config = "glance-api" if service == "glance" else service
        first = ("--config-file", f"{self.state}/etc/{config}.conf")
        told = json.dumps([[*first, *command] for command in commands])
        self._run("python", str(HERE / "manage.py"), f"{service}.cmd.manage", told)

    def _run(self, program: str, *arguments: str) -> None:
        log = self.state / "log/make.log"
        with log.open("ab") as output:
            done = subprocess.run(
                [VENV / "bin" / program, *arguments],
                check=False, cwd=self.state, env=self._environment(), stdout=output, stderr=output,
            )  # fmt: skip
        if done.returncode != 0:
            raise LabError(f"{program} {' '.join(arguments)} failed: see {log}")


def _databases(_directory: str, names: list[str]) -> set[str]:
    """Files that belong to a database, its journal among them."""
    return {name for name in names if ".sqlite" in name}


def install() -> None:
    """The services' programs, once, in a virtual environment of their own."""
    pins = (HERE / "requirements.txt").read_text() + (HERE / "constraints.txt").read_text()
    mark = VENV / ".made"
    if mark.exists() and mark.read_text() == pins:
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    # The set is complete, so nothing needs to be resolved; and most of its modules are never
    # imported, so Python compiles those that are when it first does.
    options = ["--quiet", "--no-deps", "--no-compile", "--requirement", HERE / "constraints.txt"]
    subprocess.run([VENV / "bin/pip", "install", *options], check=True)
    mark.write_text(pins)


def main() -> int:
    """One command."""
    commands = {"up": Lab.up, "reset": Lab.reset, "down": Lab.down}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    state = os.environ.get("LAB_STATE") or f"{tempfile.gettempdir()}/openstack-lab"
    lab = Lab(Path(state), FIRST_PORT)
    try:
        commands[sys.argv[1]](lab)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    if sys.argv[1] != "down":
        print(f"export OS_CLIENT_CONFIG_FILE={lab.clouds}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
