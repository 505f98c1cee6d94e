"""Real things on loopback for the tests of the work-alike: PostgreSQL, PHP, memcached."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.namespace import Namespace, namespace
from tests.support.ports import free_address, free_port
from tests.support.waiting import until

PROJECT = Path(__file__).resolve().parents[3]
CODE = PROJECT / "examples/bookface/code"
BOOTSTRAP_SQL = PROJECT / "examples/bookface/bootstrap_db.sql"
PROBES = PROJECT / "roles/toolbox/files/probe"

LOOPBACK = "127.0.0.1"
DB_USER = "bfuser"
# Every character that some layer between config.json and libpq treats in its own way.
DB_PASSWORD = "p'w\\ d:;\"=%#ü"  # noqa: S105  (of a cluster that lives for one test run)

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) + b"\xff\xd9"
POST_JPEG = b"\xff\xd8\xff\xe1post" + bytes(range(255, -1, -1)) + b"\xff\xd9"

SEED_SQL = f"""
insert into users (userID, name, age, bio, picture, posts, comments, lastPostDate) values
    ('u-ada', 'Ada', 36, 'Counts & computes', 'ada.jpg', 2, 1, '2024-05-02 12:00+00'),
    ('u-bob', 'Bob', null, null, null, 0, 1, '2020-01-01 12:00+00'),
    ('u-eve', 'Eve', null, null, 'broken.jpg', 0, 0, '2019-01-01 12:00+00');
insert into posts (postID, userID, text, image, postDate) values
    ('p-old', 'u-ada', 'The older post', null, '2024-05-01 12:00+00'),
    ('p-new', 'u-ada', 'The newest post', 'post.jpg', '2024-05-02 12:00+00');
insert into comments (commentID, postID, userID, text, postDate) values
    ('c-2', 'p-old', 'u-ada', 'Second comment', '2024-05-01 14:00+00'),
    ('c-1', 'p-old', 'u-bob', 'First comment', '2024-05-01 13:00+00');
insert into pictures (pictureID, picture) values
    ('ada.jpg', '{JPEG.hex()}'), ('post.jpg', '{POST_JPEG.hex()}'), ('broken.jpg', 'no hex');
"""  # noqa: S608  (all of it stands above)


def program(name: str, package: str) -> str:
    """Return the path of a program; its absence fails the test, it never skips it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install {package}", pytrace=False)
    return found


def postgresql_program(name: str) -> str:
    # A server of another version has its programs there; psql is the system's.
    other = Path(os.environ.get("BOOKFACE_POSTGRESQL", "/nonexistent")) / name
    if other.exists():
        return str(other)
    found = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: float(p.parts[4])
    )
    if not found:
        pytest.fail(f"{name} is missing: apt-get install postgresql", pytrace=False)
    return str(found[-1])


@contextlib.contextmanager
def debian_cluster(room: Path, *empty: str) -> Iterator[tuple[Namespace, int]]:
    """Debian's PostgreSQL as a role finds it, in directories that nobody else sees, and its port.

    C(empty) are more of these directories.
    """
    for directory in (room, room.parent, room.parent.parent):
        directory.chmod(0o755)
    cluster = f"{Path(postgresql_program('postgres')).parts[4]} main"
    places = ("/etc/postgresql", "/run/postgresql", "/var/lib/postgresql", "/var/log/postgresql")
    with namespace(room, empty=[*places, *empty]) as inside:
        port = free_port()
        inside.run("bash", "-c", f"pg_createcluster --port={port} {cluster} -- --no-sync")
        inside.run("bash", "-c", f"pg_ctlcluster {cluster} start")
        try:
            yield inside, port
        finally:
            inside.run("bash", "-c", f"pg_ctlcluster {cluster} stop -m immediate")


@functools.cache
def require_php() -> str:
    php = program("php", "php-cli")
    modules = subprocess.run([php, "-m"], capture_output=True, text=True, check=True).stdout
    for module, package in (
        ("pdo_pgsql", "php-pgsql"),
        ("pgsql", "php-pgsql"),
        ("memcache", "php-memcache"),
    ):
        if module not in modules.split():
            pytest.fail(f"PHP lacks {module}: apt-get install {package}", pytrace=False)
    return php


def end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


class Cluster:
    """A PostgreSQL cluster of its own: temporary directory, free port, passwords over TCP."""

    def __init__(self) -> None:
        postgresql_program("initdb")  # before anything is made that would stay behind
        # Not below pytest's own directory: that one is closed to the user PostgreSQL runs as.
        self.directory = Path(tempfile.mkdtemp(prefix="bookface-pg-"))
        self.port = free_port()
        self.log = self.directory / "log"
        self._user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses root
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._initdb()
        self.start()
        self.sql(f"create role {DB_USER} login password $pw${DB_PASSWORD}$pw$")
        if int(self.sql("show server_version_num")) < 130000:
            for database in ("postgres", "template1"):
                self.sql(
                    "create function gen_random_uuid() returns uuid language sql"
                    " as 'select md5(random()::text)::uuid'",
                    database,
                )
        self.sql("create database bf")
        self.sql(BOOTSTRAP_SQL.read_text(), "bf")
        self.sql(f"grant select, insert, update on all tables in schema public to {DB_USER}", "bf")

    def _initdb(self) -> None:
        command = [postgresql_program("initdb"), "-D", str(self.directory / "data")]
        command += ["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        done = subprocess.run(
            command, user=self._user, cwd="/", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        (self.directory / "data/pg_hba.conf").write_text(
            "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )

    def start(self) -> None:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "log_statement": "all",
            "log_line_prefix": "%u|",
            "max_connections": "30",
            "password_encryption": "scram-sha-256",  # not the default before 14
        }
        command = [postgresql_program("postgres"), "-D", str(self.directory / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, user=self._user, cwd="/", stdout=log, stderr=log
            )
        process = self._process
        until(
            lambda: process.poll() is not None or self._answers(),
            lambda: f"PostgreSQL answers:\n{self.log.read_text()}",
        )
        assert process.poll() is None, f"PostgreSQL did not start:\n{self.log.read_text()}"

    def _answers(self) -> bool:
        ready = [postgresql_program("pg_isready"), "-q", "-h", str(self.directory)]
        return subprocess.run([*ready, "-p", str(self.port)], check=False).returncode == 0

    def stop(self) -> None:
        if self._process is not None:
            end(self._process, signal.SIGINT)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def sql(self, text: str, database: str = "postgres") -> str:
        """Run SQL as the superuser; returns bare rows."""
        command = [postgresql_program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", str(self.directory), "-p", str(self.port), "-U", "postgres"]
        done = subprocess.run(
            [*command, "-d", database], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@dataclass(frozen=True)
class Database:
    """The application's database, with what SEED_SQL puts in."""

    cluster: Cluster
    name: str
    log_offset: int

    @classmethod
    def fresh(cls, cluster: Cluster) -> Database:
        cluster.sql(f"truncate users, posts, comments, pictures; {SEED_SQL}", "bf")
        return cls(cluster, "bf", cluster.log.stat().st_size)

    def sql(self, text: str) -> str:
        return self.cluster.sql(text, self.name)

    def statements(self) -> list[str]:
        """Return what bfuser sent since the test began, in order, as the server logged it."""
        start = f"{DB_USER}|LOG:  "
        sent = []
        for line in self.cluster.log.read_bytes()[self.log_offset :].decode().splitlines():
            if line.startswith(start):
                kind, _, statement = line[len(start) :].partition(": ")
                if kind == "statement" or kind.startswith("execute "):
                    sent.append(statement)
        return sent

    def settings(self, **changes: object) -> dict[str, object]:
        """Return a site's configuration for this database, by the keys of config.json."""
        return {
            "dbhost": LOOPBACK,
            "dbport": self.cluster.port,
            "db": self.name,
            "dbuser": DB_USER,
            "dbpassw": DB_PASSWORD,
            "webhost": "bookface.example",
            **changes,
        }

    def passfile(self, path: Path, password: str = DB_PASSWORD) -> dict[str, str]:
        """Write libpq's password file; returns the environment that names it."""
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        path.write_text(f"*:*:*:{DB_USER}:{escaped}\n")
        path.chmod(0o600)  # libpq ignores it otherwise
        return {"PGPASSFILE": str(path)}


@dataclass(frozen=True)
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


def write_config_json(root: Path, settings: Mapping[str, object]) -> None:
    (root / "config.json").write_text(json.dumps(settings))


def write_config_php(root: Path, settings: Mapping[str, object]) -> None:
    """Write the older style: plain variables and nothing more, in place of code/config.php."""
    lines = ["<?php"]
    for name, value in settings.items():
        quoted = str(value).replace("\\", "\\\\").replace("'", "\\'")
        lines.append(f"${name} = '{quoted}';")
    (root / "config.php").write_text("\n".join([*lines, "?>", "", ""]))


class Site:
    """PHP's own web server on a copy of the code, with the probes mapped beside it."""

    def __init__(self, root: Path, env: Mapping[str, str], php_options: list[str]) -> None:
        self.root = root
        self.port = free_port()
        self._log = root.parent / "php.log"
        router = root.parent / "router.php"
        router.write_text(
            "<?php\n"
            "$probe = preg_match('#^/platform/(ready|live)$#',"
            " parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH), $match);\n"
            "if (!$probe) { return false; }\n"
            f"require '{PROBES}/' . $match[1] . '.php';\n"
        )
        # Notices into the page: a page that provokes one is broken, and the tests see it.
        options = ["-d", "display_errors=1", "-d", "error_reporting=-1", "-d", "log_errors=1"]
        command = [require_php(), *php_options, *options, "-d", "error_log="]
        command += ["-S", f"{LOOPBACK}:{self.port}", "-t", str(root), str(router)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd="/", env={"PATH": os.environ["PATH"], **env}, stdout=log, stderr=log
            )
        until(
            lambda: self._process.poll() is not None or accepts(LOOPBACK, self.port),
            lambda: f"php -S answers:\n{self.log()}",
        )
        assert self._process.poll() is None, f"php -S did not start:\n{self.log()}"

    def log(self) -> str:
        return self._log.read_text()

    def get(
        self,
        page: str,
        params: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Response:
        path = f"/{page}" + (f"?{urllib.parse.urlencode(params)}" if params else "")
        sent = dict(headers or {})
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=30)
        start = time.monotonic()
        try:
            connection.request("GET" if body is None else "POST", path, body, sent)
            reply = connection.getresponse()
            content = reply.read()
        finally:
            connection.close()
        return Response(reply.status, reply.headers, content, time.monotonic() - start)

    def ready(self) -> Response:
        return self.get("platform/ready", headers={"X-Bookface-Probe": "test"})

    def stop(self) -> None:
        end(self._process)


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def memcached() -> Iterator[str]:
    """Start memcached on an address of its own: bookface knows only the port 11211."""
    address = free_address()
    command = [program("memcached", "memcached"), "-l", address, "-p", "11211", "-U", "0"]
    process = subprocess.Popen([*command, *(["-u", "nobody"] if os.geteuid() == 0 else [])])
    try:
        until(lambda: process.poll() is not None or accepts(address, 11211), "memcached answers")
        assert process.poll() is None, "memcached did not start"
        yield address
    finally:
        end(process, signal.SIGKILL)  # it takes its time otherwise, and has nothing to lose


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port that drops every attempt to connect, as a host behind a dead route does."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((LOOPBACK, 0))
        listener.listen(0)
        for _ in range(4):  # fill its queue: from then on the kernel ignores newcomers
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextlib.contextmanager
def deaf_server(handshake: bool) -> Iterator[int]:
    """Yield the port of a server that accepts and then keeps silent.

    With handshake it logs clients in first, as a pooler does while its database is down.
    """
    held = []

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                held.append(client)
                if handshake:
                    (length,) = struct.unpack("!I", client.recv(4))
                    client.recv(length - 4)
                    # AuthenticationOk, ReadyForQuery
                    client.sendall(b"R" + struct.pack("!II", 8, 0) + b"Z" + b"\0\0\0\5I")

    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen(8)
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for client in held:
                client.close()
            thread.join(5)
