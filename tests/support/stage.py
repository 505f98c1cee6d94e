"""Real servers on the loopback for the bench of the database, each with the CPU time it took.

PostgreSQL with its defaults, memcached, Apache with mod_php, and PgBouncer, Varnish and HAProxy
with what the roles' own templates make. Nothing needs root.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.errors import HarnessError
from tests.support.loopback import LOOPBACK, haproxy_config, plugin, render, templates
from tests.support.paths import PATH, ROLES, ROOT
from tests.support.ports import free_address, free_port, free_ports
from tests.support.waiting import until

if TYPE_CHECKING:
    from typing import Self

USER, PASSWORD = "bfuser", "for-the-bench-and-nothing-else"
# The pages' account of a site that has chosen few iterations of SCRAM for its pooler.
POOLED_USER, ITERATIONS = "bfpooled", 64
CODE = ROOT / "examples" / "bookface"
TICK = os.sysconf("SC_CLK_TCK")


def pooled_secret() -> str:
    """What PostgreSQL and PgBouncer keep of its password."""
    secret = plugin("filter.scram_secret").scram_secret
    return str(secret(PASSWORD, ITERATIONS, "W22ZaJ0SNY7soEsUEjb6gQ=="))


def program(name: str, package: str, directory: str = "") -> str:
    """Path of a program."""
    found = shutil.which(name, path=directory or PATH)
    if found is None:
        raise HarnessError(f"a bench of the database needs {name}: apt-get install {package}")
    return found


def postgresql(name: str) -> str:
    """Path of a program of the newest PostgreSQL here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    return program(name, "postgresql", str(found[-1]) if found else "/nonexistent")


def answers(port: int, host: str = LOOPBACK) -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def cpu_seconds(root: int) -> float:
    """CPU time of a process, of all below it, and of those of them that have ended."""
    # What ends while we look may be missed: its parent gets its time after we read the parent.
    seen = _ticks(root)
    while (again := _ticks(root)).keys() != seen.keys():
        seen = again
    return sum(again.values()) / TICK


def _ticks(root: int) -> dict[int, int]:
    """Each process from this one down → its time, and that of the children it has waited for."""
    times: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            times[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    members = {root}
    while True:
        more = {pid for pid, (parent, _) in times.items() if parent in members} - members
        if not more:
            return {pid: times[pid][1] for pid in members if pid in times}
        members |= more


class Server:
    """A process in the foreground with a directory of its own."""

    def __init__(self, name: str, account: str) -> None:
        self.name = name
        self.account = account if os.geteuid() == 0 else None
        self.directory = Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
        self.directory.chmod(0o755)
        self._own(self.directory)
        self._process: subprocess.Popen[bytes] | None = None

    def _own(self, path: Path) -> None:
        if self.account:
            account = pwd.getpwnam(self.account)
            os.chown(path, account.pw_uid, account.pw_gid)

    def _write(self, name: str, text: str, mode: int = 0o600) -> Path:
        path = self.directory / name
        path.write_text(text)
        path.chmod(mode)
        self._own(path)
        return path

    def _start(
        self,
        command: Sequence[str],
        port: int,
        host: str = LOOPBACK,
        account: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        log = self.directory / "log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(command),
                user=account,
                cwd="/",
                env={**os.environ, **(env or {})},
                stdout=output,
                stderr=output,
                # Apache ends its whole process group with itself.
                start_new_session=True,
            )
        self._process = process

        def started() -> bool:
            if process.poll() is not None:
                raise HarnessError(f"{self.name} did not start:\n{log.read_text()[-2000:]}")
            return self.ready(port, host)

        until(started, f"{self.name} to start")

    def ready(self, port: int, host: str) -> bool:
        """Whether it can be used."""
        return answers(port, host)

    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds(self._process.pid) if self._process else 0.0

    def open(self) -> None:
        """Start it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and remove what it had."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.directory)


class Postgres(Server):
    """PostgreSQL with the application's account and any number of its databases."""

    def __init__(self) -> None:
        super().__init__("postgresql", "postgres")
        self.port = free_port()

    def open(self) -> None:
        """Make a cluster and start it."""
        data = self.directory / "data"
        command = [postgresql("initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8"]
        done = subprocess.run(
            [*command, "--locale=C.UTF-8"],
            user=self.account,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise HarnessError(f"initdb: {done.stderr.strip()}")
        (data / "pg_hba.conf").write_text(
            "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
        }
        options = [text for name in settings for text in ("-c", f"{name}={settings[name]}")]
        self._start(
            [postgresql("postgres"), "-D", str(data), *options], self.port, account=self.account
        )
        self.sql(f"create role {USER} login password '{PASSWORD}'")
        self.sql(f"create role {POOLED_USER} login in role {USER} password '{pooled_secret()}'")

    def ready(self, port: int, host: str) -> bool:
        """It accepts connections before it answers."""
        command = [postgresql("pg_isready"), "-q", "-h", host, "-p", str(port)]
        return subprocess.run(command, check=False).returncode == 0

    def command(self, name: str, database: str, user: str = "postgres") -> list[str]:
        """psql or pgbench, connected over the socket."""
        where = ["-h", str(self.directory), "-p", str(self.port), "-U", user]
        return [postgresql(name), *where, *(["-d", database] if name == "psql" else [database])]

    def sql(self, text: str, database: str = "postgres") -> str:
        """Bare rows of some SQL."""
        done = subprocess.run(
            [*self.command("psql", database), "-XqAt", "-v", "ON_ERROR_STOP=1"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise HarnessError(f"{done.stderr.strip()[:2000]}")
        return done.stdout.strip()

    def documents(self, text: str, database: str) -> list[Any]:
        """Answers in JSON, one after the other."""
        found, decoder, rest = [], json.JSONDecoder(), self.sql(text, database)
        while rest:
            document, end = decoder.raw_decode(rest)
            found.append(document)
            rest = rest[end:].lstrip()
        return found


class Pooler(Server):
    """PgBouncer in front of one database, with the settings of the role pgbouncer."""

    def __init__(self, database: Postgres, name: str, user: str, secret: str) -> None:
        super().__init__("pgbouncer", "postgres")
        self.port = free_port()
        self._database = database
        self._name = name
        self._account = {"bookface_login": user, "bookface_db_secret": secret}

    def open(self) -> None:
        """Write its files and start it."""
        variables = {
            "ansible_managed": "",
            "__pgbouncer_directory": str(self.directory),
            "__pgbouncer_addresses": [LOOPBACK],
            "bookface_db_name": self._name,
            **self._account,
            "pgbouncer_database_host": LOOPBACK,
            "pgbouncer_database_port": self._database.port,
            "pgbouncer_port": self.port,
            "pgbouncer_pool_size": 20,
            "pgbouncer_client_connections": 1000,
            "pgbouncer_wait_seconds": 30,
            "pgbouncer_settings": {},
        }
        for file in ("userlist.txt", "pgbouncer.ini"):
            text = templates("pgbouncer").get_template(f"{file}.j2").render(variables)
            self._write(file, text.replace("/run/pgbouncer", str(self.directory)))
        command = [program("pgbouncer", "pgbouncer"), str(self.directory / "pgbouncer.ini")]
        self._start(command, self.port, account=self.account)


class Memcached(Server):
    """memcached on an address of its own: bookface knows only the port 11211."""

    def __init__(self) -> None:
        super().__init__("memcached", "nobody")
        self.address = free_address()

    def open(self) -> None:
        """Start it."""
        command = [program("memcached", "memcached"), "-l", self.address, "-p", "11211", "-U", "0"]
        command += ["-I", "2m"]
        self._start(command, 11211, self.address, account=self.account)

    def flush(self) -> None:
        """Forget everything, as if all had expired."""
        with socket.create_connection((self.address, 11211), timeout=5) as connection:
            connection.sendall(b"flush_all\r\n")
            if connection.recv(64) != b"OK\r\n":
                raise HarnessError("memcached did not forget")


class Apache(Server):
    """Apache with mod_php, one port and web root for each site."""

    MODULES = ("mpm_prefork", "authz_core", "dir", "mime")

    def __init__(self, sites: Sequence[str]) -> None:
        super().__init__("apache", "www-data")
        self.ports = dict(zip(sites, free_ports(len(sites)), strict=True))

    def open(self) -> None:
        """Write the configuration, copy the code, start."""
        modules = Path("/usr/lib/apache2/modules")
        apache = program("apache2", "apache2-bin")
        php = sorted(modules.glob("libphp*.so"))
        if not php:
            raise HarnessError("Apache lacks PHP: apt-get install libapache2-mod-php")
        lines = [f"LoadModule {name}_module {modules}/mod_{name}.so" for name in self.MODULES]
        lines += [
            f"LoadModule php_module {php[-1]}",
            f"ServerRoot {self.directory}",
            "ServerName bench",
            f"PidFile {self.directory}/pid",
            f"DefaultRuntimeDir {self.directory}",
            f"ErrorLog {self.directory}/errors",
            "TypesConfig /dev/null",
            "DirectoryIndex index.php",
            "MaxRequestWorkers 64",
            "ServerLimit 64",
            "MaxKeepAliveRequests 0",
            r'<FilesMatch "\.php$">',
            "SetHandler application/x-httpd-php",
            "</FilesMatch>",
        ]
        if self.account:
            lines += [f"User {self.account}", f"Group {self.account}"]
        for site, port in self.ports.items():
            root = self.path(site)
            shutil.copytree(CODE / "code", root)
            lines += [
                f"Listen {LOOPBACK}:{port}",
                f"<VirtualHost {LOOPBACK}:{port}>",
                f'DocumentRoot "{root}"',
                "</VirtualHost>",
                f'<Directory "{root}">',
                "Require all granted",
                "</Directory>",
            ]
        config = self._write("apache.conf", "\n".join([*lines, ""]), 0o644)
        # Only the front page passes a password to the database; libpq finds it here for the others.
        passwords = self._write("pgpass", f"*:*:*:*:{PASSWORD}\n")
        env = {"PGPASSFILE": str(passwords)}
        command = [apache, "-D", "FOREGROUND", "-f", str(config)]
        self._start(command, next(iter(self.ports.values())), env=env)

    def path(self, site: str) -> Path:
        """The web root of a site."""
        return self.directory / site

    def configure(self, site: str, settings: Mapping[str, object]) -> None:
        """Give a site its configuration; it is read at every request."""
        candidate = self._write("config.json", json.dumps(settings), 0o644)
        candidate.replace(self.path(site) / "config.json")

    def place(self, site: str, name: str, content: bytes) -> None:
        """A file as it is."""
        file = self.path(site) / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)

    def url(self, site: str, path: str) -> str:
        """Address of a page."""
        return f"http://{LOOPBACK}:{self.ports[site]}/{path}"


class Varnish(Server):
    """The page cache, with the role's own rules."""

    def __init__(self) -> None:
        super().__init__("varnish", "root")
        self.port, self.origin_port = free_ports(2)

    def open(self) -> None:
        """Write the rules and start it."""
        rules = self.directory / "default.vcl"
        ports = {"page_cache_port": self.port, "page_cache_origin_port": self.origin_port}
        render("page_cache", "default.vcl.j2", rules, ports)
        command = [program("varnishd", "varnish"), "-j", "none", "-F", "-n"]
        command += [str(self.directory / "work"), "-a", f"{LOOPBACK}:{self.port}", "-T", "none"]
        self._start([*command, "-f", str(rules), "-s", "malloc,64m"], self.port)


class Front(Server):
    """HAProxy in front of one web site: with the page cache beside it, pictures in its memory."""

    def __init__(self, site_port: int, pages: Varnish | None, pictures: bool) -> None:
        super().__init__("haproxy", "root")
        self.port = free_port()
        self._site_port = site_port
        self._caches: dict[str, object] = {"haproxy_cache": pictures}
        if pages:
            self._caches |= {
                "haproxy_page_cache": True,
                "bookface_page_cache_port": pages.port,
                "bookface_page_cache_origin_port": pages.origin_port,
            }

    def open(self) -> None:
        """Write the configuration and start it."""
        config, map_file = self.directory / "haproxy.cfg", self.directory / "map"
        map_file.write_text("# Empty on disk.\n")
        server = {"name": "web", "address": LOOPBACK, "port": self._site_port}
        variables = {
            "haproxy_bind": f"{LOOPBACK}:{self.port}",
            "haproxy_stats_bind": f"{LOOPBACK}:{free_port()}",
            "haproxy_stats_password": PASSWORD,
            "haproxy_backends": [{"name": "legacy", "servers": [server]}],
            **self._caches,
            "__haproxy_default": "legacy",
            "__haproxy_socket": str(self.directory / "admin.sock"),
            "__haproxy_map": str(map_file),
        }
        haproxy_config(config, variables)
        command = [program("haproxy", "haproxy"), "-db", "-f", str(config)]
        self._start(command, self.port)

    def url(self, path: str) -> str:
        """Address of a page."""
        return f"http://{LOOPBACK}:{self.port}/{path}"


@dataclass(frozen=True)
class Scale:
    """Rows of a town of one size."""

    users: int
    posts: int
    comments: int

    @property
    def pictures(self) -> int:
        """Every tenth user has one of their own."""
        return self.users // 10


def seed(database: Postgres, name: str, scale: Scale) -> None:
    """Make a database as the role database makes it, with its made-up town."""
    database.sql(f"create database {name}")
    database.sql((CODE / "bootstrap_db.sql").read_text(), name)
    database.sql(f"grant select, insert, update on all tables in schema public to {USER}", name)
    known = ROLES / "database" / "vars" / "main.yml"
    variables: dict[str, Any] = yaml.safe_load(known.read_text())
    variables["__database_seed_jpeg"] = "".join(variables["__database_seed_jpeg_lines"])
    for what in ("users", "posts", "comments", "pictures"):
        variables[f"database_seed_{what}"] = getattr(scale, what)
    for table in ("pictures", "posts", "comments", "users"):
        template = templates("database").get_template(f"seed/{table}.sql.j2")
        database.sql(template.render(variables), name)
    database.sql("vacuum (analyze)", name)


def fetch(url: str, expect: str = "") -> bytes:
    """A page, which must hold what a good one holds: bookface answers 200 whatever happens."""
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=300)
    try:
        connection.request("GET", f"/{path}")
        body = connection.getresponse().read()
    finally:
        connection.close()
    if not re.search(expect, body.decode("utf-8", "replace")):
        raise HarnessError(f"{url} does not show {expect}: {body[:300]!r}")
    return body


@dataclass(frozen=True)
class Cost:
    """What a page costs at one client: seconds of the clock (median) and of all servers' CPUs."""

    seconds: float
    cpu: float


class Stage:
    """All servers together."""

    def __init__(self, sites: Sequence[str]) -> None:
        with contextlib.ExitStack() as opened:
            self.database = opened.enter_context(Postgres())
            self.cache = opened.enter_context(Memcached())
            self.web = opened.enter_context(Apache(sites))
            self.others: list[Server] = []
            self._opened = opened.pop_all()

    def close(self) -> None:
        """End them all."""
        self._opened.close()

    @contextlib.contextmanager
    def beside(self, server: Server) -> Iterator[None]:
        """Count this one in, and end it."""
        with server:
            self.others.append(server)
            try:
                yield
            finally:
                self.others.remove(server)

    def cpu(self) -> float:
        """CPU seconds of every process that serves."""
        return sum(one.cpu() for one in (self.database, self.cache, self.web, *self.others))

    def cost(self, url: str, expect: str, seconds: float) -> Cost:
        """Ask for a page again and again, one client, at least once."""
        times: list[float] = []
        before, begin = self.cpu(), time.monotonic()
        while not times or time.monotonic() - begin < seconds:
            start = time.perf_counter()
            fetch(url, expect)
            times.append(time.perf_counter() - start)
        return Cost(sorted(times)[len(times) // 2], (self.cpu() - before) / len(times))
