"""`make bench-image`: the image of the role bookface_image and one as sites usually have it.

    python -m bench.image [--quick] [--output FILE]

README.md beside this file says what is measured, and how.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from bench import report
from bench.database import EXPECT, FRONT, PICTURE, index_statements, picture, say
from bench.report import BenchError, Row, spread
from tests.support import rolling
from tests.support.engine import docker
from tests.support.errors import HarnessError
from tests.support.loopback import LOOPBACK
from tests.support.paths import ROLES, ROOT
from tests.support.stage import (
    CODE,
    PASSWORD,
    POOLED_USER,
    USER,
    Pooler,
    Postgres,
    Scale,
    fetch,
    pooled_secret,
    seed,
)
from tests.support.waiting import until

ROLE = ROLES / "bookface_image"
LAB = ROOT / "bench" / "image_lab"
RELEASE = "trixie"
OTHER, OURS = "usual", "apache-minimal"
PROFILE = "profile"
EXPECT = {**EXPECT, PROFILE: r"<h1>\w+ \w+</h1>"}
CLIENTS = 8


@dataclass(frozen=True)
class Work:
    """How much is measured."""

    ways: Sequence[str]
    scale: Scale
    starts: int = 11
    rounds: int = 9  # many short ones: a neighbour's busy minute is then one of them
    requests: Mapping[str, int] = field(
        default_factory=lambda: {FRONT: 350, PROFILE: 800, PICTURE: 1500}
    )
    rolled: int = 20_000  # requests while containers are replaced
    rest: float = 5.0  # seconds before memory is looked at
    cold: bool = True  # build without what earlier builds left
    other_options: str = ""


WAYS = (OTHER, OURS, "apache-slim", "nginx-minimal", "nginx-slim")
FULL = Work(WAYS, Scale(1000, 5000, 10_000))
QUICK = Work(
    (OTHER, OURS, "apache-slim"),
    Scale(100, 300, 500),
    starts=1,
    rounds=1,
    requests={FRONT: 20, PROFILE: 20, PICTURE: 40},
    rolled=500,
    rest=0.5,
    cold=False,
    other_options="--no-install-recommends",
)


@dataclass
class Seen:
    """What was measured of one image."""

    megabytes: float = 0.0
    build: dict[str, float] = field(default_factory=dict)
    start: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    rate: dict[str, list[float]] = field(default_factory=dict)
    p95: dict[str, list[float]] = field(default_factory=dict)


# --- Images ---------------------------------------------------------------------------------------


def tag(way: str) -> str:
    """Name of an image."""
    return f"bookface/bench:{way}"


def gather(way: str, place: Path) -> dict[str, str]:
    """Put together what a build takes; returns its arguments."""
    shutil.copytree(CODE / "code", place / "code")
    if way == OTHER:
        shutil.copytree(LAB, place, dirs_exist_ok=True)
        return {}
    server, _, variant = way.partition("-")
    for part in ("image", server):
        shutil.copytree(ROLE / "files" / part, place, dirs_exist_ok=True)
    shutil.copytree(ROLE / "files" / "root", place / "root", dirs_exist_ok=True)
    probes = place / "root/usr/local/share/bookface-probe"
    shutil.copytree(ROLES / "toolbox/files/probe", probes)
    (place / "code" / "config.json").symlink_to("/etc/bookface/config.json")
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    extensions = " ".join(sorted(defaults["bookface_image_php_extensions"]))
    return {
        "SERVER": server,
        "VARIANT": variant,
        "PACKAGES": "",
        "PHP_EXTENSIONS": extensions,
        "CODE_MAY_CHANGE": "0",
    }


def build(way: str, work: Work, seen: Seen) -> None:
    """Build an image, and once more with one more line in the code."""
    with tempfile.TemporaryDirectory(prefix="bench-image-") as directory:
        place = Path(directory)
        arguments = {"BASE": f"bookface/debian:{RELEASE}", **gather(way, place)}
        if way == OTHER:
            arguments["APT_OPTIONS"] = work.other_options
        words = [
            word for name in arguments for word in ("--build-arg", f"{name}={arguments[name]}")
        ]
        for when in ("cold", "warm"):
            fresh = ["--no-cache"] if work.cold and when == "cold" else []
            begin = time.monotonic()
            docker("build", "-q", "-t", tag(way), *fresh, *words, directory)
            seen.build[when] = time.monotonic() - begin
            with (place / "code" / "stylesheet.css").open("a") as file:
                file.write(f"/* {time.time_ns()} */\n")
    seen.megabytes = int(docker("image", "inspect", "-f", "{{.Size}}", tag(way))) / 1e6


def base() -> None:
    """Debian on the engine, by the role for it."""
    done = subprocess.run(
        [
            "ansible",
            "localhost",
            "--connection=local",
            "--module-name=ansible.builtin.include_role",
            "--args=name=bookface.platform.base_image",
            f"--extra-vars=base_image_release={RELEASE}",
            f"--extra-vars=ansible_python_interpreter={sys.executable}",
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BenchError(f"base_image: {(done.stdout + done.stderr)[-2000:]}")


# --- The database, where containers reach it ----------------------------------------------------


class ReachedPostgres(Postgres):
    """PostgreSQL that listens for containers as well."""

    def __init__(self, gateway: str, subnet: str) -> None:
        super().__init__()
        self.gateway, self._subnet = gateway, subnet

    def _start(self, command: Sequence[str], port: int, *rest: object, **more: object) -> None:
        with (self.directory / "data" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {self._subnet} scram-sha-256\n")
        old = f"listen_addresses={LOOPBACK}"
        wider = [word.replace(old, f"{old},{self.gateway}") for word in command]
        super()._start(wider, port, *rest, **more)  # type: ignore[arg-type]


class ReachedPooler(Pooler):
    """PgBouncer that listens for containers."""

    def __init__(self, database: ReachedPostgres, name: str) -> None:
        super().__init__(database, name, POOLED_USER, pooled_secret())
        self._gateway = database.gateway

    def _start(self, command: Sequence[str], port: int, *rest: object, **more: object) -> None:
        file = self.directory / "pgbouncer.ini"
        listen = re.compile(r"^(listen_addr = .*)$", re.MULTILINE)
        file.write_text(listen.sub(rf"\1,{self._gateway}", file.read_text()))
        super()._start(command, port, *rest, **more)  # type: ignore[arg-type]


# --- Containers ---------------------------------------------------------------------------------


class Site:
    """One container at a time of each image, all with the same database."""

    def __init__(self, network: str, database: ReachedPostgres, name: str) -> None:
        self._network, self._database, self._name = network, database, name
        self._directory = Path(tempfile.mkdtemp(prefix="bench-image-site-"))
        self._directory.chmod(0o755)
        passwords = self._directory / "pgpass"
        passwords.write_text(f"*:*:*:*:{PASSWORD}\n")
        passwords.chmod(0o400)
        os.chown(passwords, 33, 33)
        self.configure()

    def close(self) -> None:
        """Remove what it had."""
        shutil.rmtree(self._directory)

    def configure(self, **changes: object) -> None:
        """The pages' configuration, which they read at every request."""
        settings = {
            "dbhost": self._database.gateway,
            "dbport": self._database.port,
            "db": self._name,
            "dbuser": USER,
            "dbpassw": PASSWORD,
            "frontpage_limit": 50,
        }
        candidate = self._directory / "candidate"
        candidate.write_text(json.dumps({**settings, **changes}))
        candidate.chmod(0o644)
        candidate.replace(self._directory / "config.json")

    def start(self, way: str, *command: str) -> str:
        """Start a container; returns its name."""
        name = f"{self._network}-{way}"
        options = ["--name", name, "--network", self._network]
        if way == OTHER:
            # As root it may read the password file of no other account, so it gets the password.
            options += ["-e", f"PGPASSWORD={PASSWORD}"]
            options += ["-v", f"{self._directory}/config.json:/var/www/html/config.json:ro"]
        else:
            # As the role web_containers runs it.
            options += ["--read-only", "--tmpfs", "/tmp:mode=1777", "--cap-drop", "ALL", "--init"]  # noqa: S108
            options += ["--security-opt", "no-new-privileges"]
            options += ["-e", "PGPASSFILE=/etc/bookface/pgpass"]
            options += ["-v", f"{self._directory}:/etc/bookface:ro"]
        docker("run", "-d", *options, *command)
        return name

    @contextlib.contextmanager
    def running(self, way: str) -> Iterator[str]:
        """A container that answers; yields its address."""
        name = self.start(way, tag(way))
        try:
            url = address(name, way)
            until(lambda: healthy(url), f"{way} to answer: {docker('logs', name)}")
            yield url
        finally:
            docker("rm", "-f", "-v", name)

    def measure_start(self, way: str, *command: str) -> float:
        """Seconds from the wish to the first good answer."""
        begin = time.monotonic()
        name = self.start(way, *(command or (tag(way),)))
        try:
            url = address(name, way)
            check = listening if command else healthy
            until(lambda: check(url), f"{way} to answer")
            return time.monotonic() - begin
        finally:
            docker("rm", "-f", "-v", name)


def address(name: str, way: str) -> str:
    """Where a container answers: asked directly, without Docker's proxy in between."""
    ip = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
    return f"http://{ip}:{80 if way == OTHER else 8080}/"


def healthy(url: str) -> bool:
    """Whether the front page is a good one."""
    with contextlib.suppress(OSError, HarnessError):
        return bool(fetch(url, EXPECT[FRONT]))
    return False


def listening(url: str) -> bool:
    """Whether anybody answers at all."""
    with contextlib.suppress(OSError):
        fetch(url)
        return True
    return False


def pss(name: str) -> float:
    """Megabytes of memory of all processes in a container, shared pages by their share."""
    total = 0
    for pid in docker("top", name, "-o", "pid").split()[1:]:
        # A process may end while we look.
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE)[1])  # type: ignore[index]
    return total / 1000


def ask(url: str, requests: int) -> tuple[float, float]:
    """Requests/s and p95 in ms of eight clients that keep their connections."""
    command = ["ab", "-q", "-k", "-l", "-c", str(CLIENTS), "-n", str(requests), url]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    found = [
        re.search(pattern, done.stdout, re.MULTILINE)
        for pattern in (r"^Requests per second: +([\d.]+)", r"^ +95% +(\d+)")
    ]
    good = re.search(r"^Failed requests: +0$", done.stdout, re.MULTILINE)
    if not (all(found) and good) or "Non-2xx" in done.stdout:
        raise BenchError(f"ab {url}: {done.stdout[-1500:]}{done.stderr[-500:]}")
    rate, p95 = (float(one[1]) for one in found if one)
    return rate, p95


def memory(site: Site, network: str, way: str, work: Work, seen: Seen) -> None:
    """Alone on the engine, so that nobody shares its pages: idle, and the most under load."""
    with site.running(way) as url:
        time.sleep(work.rest)
        name = f"{network}-{way}"
        seen.idle.append(pss(name))
        most, ended = [0.0], threading.Event()

        def look() -> None:
            while not ended.wait(0.2):
                most.append(pss(name))

        watcher = threading.Thread(target=look)
        watcher.start()
        ask(url, work.requests[FRONT])
        most.append(pss(name))
        ended.set()
        watcher.join()
        seen.busy.append(max(most))


# --- The table ----------------------------------------------------------------------------------


def row(
    what: str, ours: Sequence[float], other: Sequence[float], unit: str, target: str | None = None
) -> Row:
    """Medians side by side; the unit holds least, most and number of both."""
    return Row(
        what,
        statistics.median(ours),
        f"{unit}, {spread(ours)}, other {spread(other)}",
        other=statistics.median(other),
        target=target,
    )


def rows_of(way: str, ours: Seen, other: Seen) -> list[Row]:
    """One image against the usual one; judged if it is the default."""
    judged = way == OURS

    def named(what: str) -> str:
        return what if judged else f"{way}: {what}"

    def target(text: str) -> str | None:
        return text if judged else None

    rows = [
        Row(named("size"), ours.megabytes, "MB", other.megabytes, target("<= 0.1")),
        *(
            Row(named(f"build: {when}"), ours.build[when], "s", other.build[when])
            for when in ("cold", "warm")
        ),
        row(
            named("start to first healthy answer"),
            ours.start,
            other.start,
            "s",
            target("<= 0.25"),
        ),
        row(named("idle memory"), ours.idle, other.idle, "MB PSS", target("<= 0.5")),
        row(named("memory under load"), ours.busy, other.busy, "MB PSS, the most"),
    ]
    for page, short in ((FRONT, "front page"), (PROFILE, "profile"), (PICTURE, "picture")):
        rows.append(
            row(
                named(f"requests/s: {short}"),
                ours.rate[page],
                other.rate[page],
                "requests/s",
                target(">= 0.9"),
            )
        )
        rows.append(row(named(f"p95: {short}"), ours.p95[page], other.p95[page], "ms"))
    return rows


def throughput(site: Site, paths: Mapping[str, str], work: Work, seen: Mapping[str, Seen]) -> None:
    """Every page of every image in turn."""
    with contextlib.ExitStack() as stack:
        urls = {way: stack.enter_context(site.running(way)) for way in work.ways}
        for url, (page, path) in itertools.product(urls.values(), paths.items()):
            fetch(url + path, EXPECT[page])
            ask(url + path, CLIENTS * 4)  # compiled and connected
        for number in range(work.rounds):
            order = list(urls.items())
            for (page, path), (way, url) in itertools.product(
                paths.items(), order if number % 2 == 0 else reversed(order)
            ):
                rate, p95 = ask(url + path, work.requests[page])
                seen[way].rate.setdefault(page, []).append(rate)
                seen[way].p95.setdefault(page, []).append(p95)


def pooled(site: Site, pooler: ReachedPooler, path: str, work: Work) -> Row:
    """The same container with and without the pooler beside it, in turn."""
    direct: dict[str, object] = {}
    ways = {"without": direct, "with": {"dbport": pooler.port, "dbuser": POOLED_USER}}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    with site.running(OURS) as url:
        for _, way in itertools.product(range(work.rounds), ways):
            site.configure(**ways[way])
            fetch(url + path, EXPECT[PICTURE])
            rates[way].append(ask(url + path, work.requests[PICTURE])[0])
    site.configure()
    return Row(
        "picture with pooler: requests/s / without",
        statistics.median(rates["with"]),
        f"requests/s, {spread(rates['with'])}, without {spread(rates['without'])}",
        other=statistics.median(rates["without"]),
        target=">= 5",
    )


@contextlib.contextmanager
def network() -> Iterator[tuple[str, str, str]]:
    """A network of containers: name, gateway, subnet."""
    name = f"bench-image-{os.getpid()}"
    docker("network", "create", name)
    try:
        told = docker(
            "network",
            "inspect",
            "-f",
            "{{with index .IPAM.Config 0}}{{.Gateway}} {{.Subnet}}{{end}}",
            name,
        )
        gateway, subnet = told.split()
        yield name, gateway, subnet
    finally:
        docker("network", "rm", name)


def remove_images() -> None:
    """Take away what was built; the engine may keep parts of it for the next build."""
    images = docker("images", "-q", "bookface/bench").split()
    if images:
        docker("rmi", "-f", *images)


def replaced_under_load(requests: int, image: str) -> Row:
    """Replace both containers again and again until so many requests were made."""
    with rolling.site(image) as made:
        made.converge()
        until(made.serving, "both servers")
        replaced = 0
        with made.load(at_least=requests, rate=0) as load:
            while replaced == 0 or load.requests < requests:
                before = set(made.containers().values())
                made.converge(web_containers_log_files=4 + replaced % 4)
                replaced += len(set(made.containers().values()) - before)
    return Row(
        "rolling replacement: failed requests",
        load.summary.failed,
        f"of {load.summary.requests} requests, {replaced} containers replaced",
        target="<= 0",
    )


def bench(work: Work) -> tuple[list[Row], dict[str, str]]:
    """Everything: the rows, and the versions of what was measured."""
    seen = {way: Seen() for way in work.ways}
    base()
    with contextlib.ExitStack() as stack:
        stack.callback(remove_images)
        for way in work.ways:
            say(f"build {way}")
            build(way, work, seen[way])
        net, gateway, subnet = stack.enter_context(network())
        database = stack.enter_context(ReachedPostgres(gateway, subnet))
        seed(database, "bf", work.scale)
        for statement in index_statements(database, "bf"):
            database.sql(statement, "bf")
        user = database.sql("select userid from posts group by 1 having count(*) > 2 limit 1", "bf")
        paths = {FRONT: "index.php", PROFILE: f"showuser.php?user={user}"}
        paths[PICTURE] = picture(database, "bf")
        site = stack.enter_context(contextlib.closing(Site(net, database, "bf")))
        versions = {"postgresql": database.sql("show server_version").split()[0], **told_versions()}

        say("start")
        floor: list[float] = []
        engine_alone = ("--entrypoint", "busybox", tag(OURS), "httpd", "-f", "-p", "8080")
        for number in range(work.starts):
            for way in work.ways if number % 2 == 0 else reversed(work.ways):
                seen[way].start.append(site.measure_start(way))
            floor.append(site.measure_start(OURS, *engine_alone))
        say("memory")
        for _, way in itertools.product(range(min(3, work.rounds)), work.ways):
            memory(site, net, way, work, seen[way])
        say("pages")
        throughput(site, paths, work, seen)
        say("pooler")
        pooler = stack.enter_context(ReachedPooler(database, "bf"))
        with_pooler = pooled(site, pooler, paths[PICTURE], work)
        say("rolling replacement")
        rolled = replaced_under_load(work.rolled, tag(OURS))

    other = seen[OTHER]
    rows = [*rows_of(OURS, seen[OURS], other), with_pooler, rolled]
    rows.append(row("start of a container, nothing of a site in it", floor, other.start, "s"))
    for way in work.ways:
        if way not in (OTHER, OURS):
            rows += rows_of(way, seen[way], other)
    return rows, versions


def told_versions() -> dict[str, str]:
    """Versions of the engine and of what is in our image."""
    shown = docker(
        "run",
        "--rm",
        "--entrypoint",
        "apache2",
        tag(OURS),
        "-f",
        "/etc/apache2/bookface.conf",
        "-v",
    )
    apache = re.search(r"Apache/(\S+)", shown)
    return {
        "docker": docker("version", "-f", "{{.Server.Version}}"),
        "debian": RELEASE,
        "apache": apache[1] if apache else "unknown",
    }


if __name__ == "__main__":
    sys.exit(report.run("image", lambda quick: bench(QUICK if quick else FULL)))
