# SPDX-License-Identifier: GPL-3.0-or-later
"""What the image is and how its containers behave, of each kind that the role makes."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import re
import shutil
import signal
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import pytest
from workalike.support import (
    CODE,
    DB_PASSWORD,
    JPEG,
    Cluster,
    Database,
    Response,
    write_config_json,
    write_config_php,
)

from tests.support.waiting import until

from .conftest import KINDS, MARK, Engine, Kind, Role, Start, Web, settings


@pytest.fixture(params=KINDS, ids=str, scope="module")
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
def image(role: Role, kind: Kind) -> str:
    return role.build(kind)


def test_serves_the_site(image: str, start: Start, database: Database) -> None:
    web = start(image).answers()
    assert "<th>Users:</th><td>3</td>" in web.get("/").text
    # This page passes no password; libpq finds it in PGPASSFILE.
    assert "The newest post" in web.get("/showuser.php?user=u-ada").text
    picture = web.get("/showimage.php?user=u-ada")
    assert (picture.headers["Content-Type"], picture.body) == ("image/jpeg", JPEG)
    style = web.get("/stylesheet.css")
    assert style.headers["Content-Type"].startswith("text/css")
    assert style.body == (CODE / "stylesheet.css").read_bytes()
    assert (web.ready().status, web.ready().text) == (200, "ready\n")
    assert web.get("/platform/live").text == "alive\n"
    assert web.get("/platform/ready").status == 404
    for hidden in ("/config.json", "/.git/config", "/platform/metrics", "/platform/status"):
        assert web.get(hidden).status in (403, 404), hidden
    # Whether they are there or not.
    for hidden in ("/x.SQL", "/a/id_rsa", "/.env", "/index.php~", "/%2egit/", "/.well-known/.git"):
        assert web.get(hidden).status == 403, hidden
    assert web.get("/.well-known/nothing").status == 404
    assert web.get("/").headers["Server"] in ("Apache", "nginx")
    assert "PHP Warning" not in web.log()
    assert "X-Powered-By" not in web.get("/").headers


def test_says_what_it_is(image: str, kind: Kind, engine: Engine) -> None:
    found = engine.inspect(image)
    config = found["Config"]
    assert config["User"] == "33:33"
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    assert config["Entrypoint"] == ["tini", "-s", "--"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
    labels = config["Labels"]
    assert labels["org.opencontainers.image.source"] == "code" or labels[
        "org.opencontainers.image.source"
    ].endswith("bookface")
    assert re.fullmatch(r"[0-9a-f]{12}", labels["org.opencontainers.image.revision"])
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels["org.opencontainers.image.created"]
    )
    assert image.rpartition(":")[2] == labels["platform.bookface.content"][:12]
    layers = len(found["RootFS"]["Layers"])
    megabytes = found["Size"] / 1e6
    assert (
        (megabytes < (50 if kind.release == "trixie" else 80) and layers <= 3)
        if kind.variant == "minimal"
        else megabytes < 400
    )


def test_a_shell_is_in_slim_only(image: str, kind: Kind, engine: Engine) -> None:
    run = ("run", "--rm", "--label", MARK, "--entrypoint")
    said = engine(*run, "sh", image, "-c", "echo a shell", check=False)
    assert said == ("a shell" if kind.variant == "slim" else "")
    # The one tool of minimal: what the health check is made with looks around, too.
    assert "www-data" in engine(*run, "busybox", image, "id")


def test_code_is_unmodified_and_configuration_outside(image: str, engine: Engine) -> None:
    container = engine("create", "--label", MARK, image)
    archive = subprocess.run(
        ["docker", "cp", f"{container}:/var/www/html", "-"], check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tree:
        files = {m.name: tree.extractfile(m) for m in tree.getmembers() if m.isfile()}
        links = {m.name: m.linkname for m in tree.getmembers() if m.issym()}
        found = {name: hashlib.sha256(f.read()).hexdigest() for name, f in files.items() if f}
    engine("rm", container)
    expected = {
        f"html/{p.name}": hashlib.sha256(p.read_bytes()).hexdigest() for p in CODE.iterdir()
    }
    assert found == expected
    assert links == {"html/config.json": "/etc/bookface/config.json"}


def test_clients_have_their_own_address_in_the_log(
    image: str, start: Start, engine: Engine
) -> None:
    """If the load balancer says so, which this machine is; nobody else is believed."""
    others = "BOOKFACE_PROXIES=127.0.0.1 192.0.2.1"
    other = start(image, "-e", others).answers()
    gateway = engine.inspect(other.name)["NetworkSettings"]["Gateway"]
    other.get("/stylesheet.css?forged", X_Forwarded_For="203.0.113.9")
    until(lambda: "forged" in other.log(), other.log)
    assert "203.0.113.9" not in other.log()
    web = start(image, "-e", f"{others} {gateway}").answers()
    web.get("/stylesheet.css?told", X_Forwarded_For="203.0.113.9")
    # What a client says itself stands before what the load balancer adds.
    web.get("/stylesheet.css?claimed", X_Forwarded_For="203.0.113.9, 198.51.100.7")
    until(lambda: all(word in web.log() for word in ("told", "claimed")), web.log)
    lines = {w: line for line in web.log().splitlines() for w in ("told", "claimed") if w in line}
    assert lines["told"].startswith("203.0.113.9 ")
    assert lines["claimed"].startswith("198.51.100.7 ")
    assert '"GET /platform/live' not in web.log()


def test_a_slow_request_survives_a_stop(
    image: str, start: Start, engine: Engine, cluster: Cluster, database: Database
) -> None:
    web = start(image).answers()
    idle = web.connection()
    idle.request("GET", "/stylesheet.css")
    idle.getresponse().read()
    answers: list[Response | Exception] = []

    def ask() -> None:
        try:
            answers.append(web.get("/showuser.php?user=u-ada"))
        except (OSError, http.client.HTTPException) as error:
            answers.append(error)

    psql = [
        "psql",
        "-XqAt",
        "-h",
        str(cluster.directory),
        "-p",
        str(cluster.port),
        "-U",
        "postgres",
    ]
    stop = ["docker", "-H", engine.address, "stop", "-t", "60", web.name]
    with subprocess.Popen([*psql, "bf"], stdin=subprocess.PIPE, text=True) as holder:
        assert holder.stdin
        holder.stdin.write("begin; lock table users;\n")
        holder.stdin.flush()
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        until(
            lambda: (
                cluster.sql("select count(*) from pg_locks where mode = 'AccessExclusiveLock'")
                != "0"
            ),
            str,
        )
        client = threading.Thread(target=ask)
        client.start()
        until(lambda: cluster.sql(waits) == "1", lambda: "the page waits for the lock")
        with subprocess.Popen(stop, stdout=subprocess.DEVNULL) as stopping:
            # The server knows that it shall end, and waits for this request.
            until(lambda: not web.alive(), lambda: "takes no more requests")
            assert stopping.poll() is None
            assert web.state()["Running"]
            released = time.monotonic()
            holder.communicate("commit;\n")
        stopped = time.monotonic() - released
        assert stopping.returncode == 0
    client.join(30)
    assert isinstance(answers[0], Response), answers
    assert "The newest post" in answers[0].text
    assert web.state()["ExitCode"] == 0
    # Five seconds at most for the idle connection, the rest for a busy machine.
    assert stopped < 15
    assert idle.sock is None or idle.sock.recv(1) == b""


@pytest.mark.parametrize("tmp", [True, False], ids=["tmpfs", "no-tmpfs"])
def test_it_comes_back_after_a_kill(image: str, start: Start, engine: Engine, tmp: bool) -> None:
    web = start(image, "--restart", "unless-stopped", tmp=tmp).answers()
    # What a kill leaves behind may name a process of the next start, as here: 1 is always there.
    stale = "for file in /tmp/*.pid /dev/shm/*.pid; do [ ! -e $file ] || echo 1 > $file; done"
    for count in (1, 2):
        engine("exec", web.name, "busybox", "sh", "-c", stale)
        os.kill(web.state()["Pid"], signal.SIGKILL)
        until(lambda count=count: engine.inspect(web.name)["RestartCount"] == count, web.log)
        Web(engine, web.name, web.config).answers()
        assert engine.inspect(web.name)["RestartCount"] == count, web.log()


def test_a_part_that_dies_ends_the_container(
    image: str, kind: Kind, start: Start, engine: Engine
) -> None:
    parts = {"apache": ["apache2"], "nginx": ["nginx: master", "php-fpm: master"]}[kind.server]
    for part in parts:
        web = start(image).answers()
        processes = engine("top", web.name, "-o", "pid,ppid,args").splitlines()[1:]
        victim = next(
            line.split()[0] for line in processes if line.split(None, 2)[2].startswith(part)
        )
        os.kill(int(victim), signal.SIGKILL)
        until(lambda web=web: web.state()["Status"] == "exited", web.log)
        assert web.state()["ExitCode"] != 0, part


def test_metrics_if_asked_for(image: str, kind: Kind, start: Start) -> None:
    web = start(image, "-e", "BOOKFACE_METRICS=1").answers()
    answer = web.get("/platform/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert answer.seconds < 2
    samples = web.metrics()
    assert all(re.fullmatch(r"[a-z_]+({[a-z]+=\"\w+\"})?", name) for name in samples)
    wanted = {
        "apache": {"apache_up", "apache_accesses_total", 'apache_workers{state="busy"}'},
        "nginx": {
            "nginx_up",
            "phpfpm_up",
            "nginx_http_requests_total",
            'phpfpm_active_processes{pool="bookface"}',
        },
    }[kind.server]
    assert wanted | {"php_opcache_enabled", "php_opcache_hits_total"} <= set(samples)
    assert {samples[name] for name in samples if name.endswith(("_up", "_enabled"))} == {1}
    counter = "apache_accesses_total" if kind.server == "apache" else "nginx_http_requests_total"
    # A request is counted after its answer was sent: for a moment not yet.
    web.get("/stylesheet.css")
    until(
        lambda: web.metrics()[counter] >= samples[counter] + 2,
        lambda: f"{counter}: {web.metrics()[counter]}",
    )
    # Its source is the container's own: the published port does not lead there.
    assert web.get("/platform/status?auto").status == 404


def test_it_is_healthy_without_a_database(image: str, start: Start) -> None:
    web = start(image, config={"dbhost": "/nowhere"}).answers()
    until(lambda: web.state()["Health"]["Status"] == "healthy", lambda: str(web.state()))
    assert web.ready().status == 503


def test_a_configuration_that_is_no_json(image: str, start: Start, cluster: Cluster) -> None:
    """The container lives, is never ready, and says why; mended it is, without a restart."""
    web = start(image, config="{").answers()
    assert (web.ready().status, web.ready().text) == (503, "not ready: configuration\n")
    until(lambda: "bookface probe: config.php ended the script" in web.log(), web.log)
    assert web.get("/platform/live").status == 200
    before = web.state()
    candidate = web.config / "new"
    candidate.mkdir()
    write_config_json(candidate, settings(cluster))
    (candidate / "config.json").replace(web.config / "config.json")
    until(lambda: web.ready().status == 200, lambda: web.ready().text)
    after = web.state()
    assert (after["Pid"], after["StartedAt"]) == (before["Pid"], before["StartedAt"])


def test_nothing_secret_is_inside(image: str, engine: Engine) -> None:
    saved = subprocess.run(["docker", "save", image], check=True, capture_output=True).stdout
    told = engine("history", "--no-trunc", image) + str(engine.inspect(image))
    for secret in (DB_PASSWORD, "bookface.example"):
        assert secret.encode() not in saved
        assert secret not in told


class TestCode:
    """Inside or mounted, and of either style."""

    def test_mounted_code_may_change(
        self, role: Role, start: Start, tmp_path: Path, database: Database
    ) -> None:
        root = str(tmp_path / "code")
        choice = {
            **KINDS[0].variables(),
            "bookface_image_code": "mounted",
            "bookface_image_code_root": root,
        }
        ended = role.run(**choice).ok()
        assert role.run(**choice).ok().changed["one"] == 0
        [directory] = (tmp_path / "code").iterdir()
        assert f'"bookface_image_code_directory": "{directory}"' in ended.output
        web = start(ended.reference, "-v", f"{directory}:/var/www/html:ro").answers()
        assert "<th>Users:</th><td>3</td>" in web.get("/").text
        page = directory / "index.php"
        page.write_text("<?php echo 'another release';")
        until(lambda: web.get("/").text == "another release", lambda: web.get("/").text, 5)
        # What is put there stays there, and is not served if no client may read it.
        (directory / "dump.sql").write_text("secret")
        (directory / "own.html").write_text("mine")
        assert (web.get("/dump.sql").status, web.get("/own.html").text) == (403, "mine")
        # By hand, and taken back by the next run. An earlier release of the role left the rest.
        unused = tmp_path / "code/0123456789ab"
        for name in (".env", "sub/.svn/entries", "README.md", "index.php"):
            (unused / name).parent.mkdir(parents=True, exist_ok=True)
            (unused / name).write_text(name)
        used = tmp_path / "code/ba9876543210"
        shutil.copytree(unused, used)
        start(ended.reference, "-v", f"{used}:/var/www/html:ro")
        assert role.run(**choice).ok().changed["one"] == 2
        assert page.read_bytes() == (CODE / "index.php").read_bytes()
        assert {path.name for path in unused.rglob("*")} == {"index.php", "sub"}
        assert (used / "sub/.svn/entries").exists()
        assert (directory / "dump.sql").exists()

    @pytest.mark.parametrize("server", ["apache", "nginx"])
    def test_code_inside_is_compiled_once(self, role: Role, start: Start, server: str) -> None:
        kind = next(k for k in KINDS if k.server == server and k.variant == "minimal")
        web = start(role.build(kind), "-e", "BOOKFACE_METRICS=1").answers()
        web.get("/")
        before = web.metrics()["php_opcache_misses_total"]
        for _ in range(5):
            web.get("/")
        assert web.metrics()["php_opcache_misses_total"] == before

    def test_an_older_release_has_its_config_php_read_at_every_request(
        self,
        role: Role,
        start: Start,
        engine: Engine,
        cluster: Cluster,
        database: Database,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        """It is PHP code, which is compiled and kept elsewhere."""
        tree = tmp_path_factory.mktemp("older")
        for path in CODE.iterdir():
            if path.name != "config.php":
                (tree / path.name).write_bytes(path.read_bytes())
        for name in (".env", "dump.sql", "Dockerfile"):
            (tree / name).write_text("secret of the source")
        choice = {
            **KINDS[0].variables(),
            "bookface_source": {"type": "path", "location": str(tree)},
        }
        web = start(role.run(**choice).ok().reference)
        write_config_php(web.config, settings(cluster))
        web.answers()
        found = engine("exec", web.name, "busybox", "ls", "-A", "/var/www/html").split()
        assert set(found) == {path.name for path in CODE.iterdir()} | {"config.json"}
        assert "<th>Users:</th><td>3</td>" in web.get("/").text
        candidate = web.config / "new"
        candidate.mkdir()
        write_config_php(candidate, settings(cluster, db="another"))
        (candidate / "config.php").replace(web.config / "config.php")
        assert "database &quot;another&quot; does not exist" in web.get("/").text
