"""What the role legacy_web puts into the web root, and what Apache then shows of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Run
from tests.support.namespace import Namespace, namespace
from tests.support.ports import free_port
from tests.support.waiting import until

from .support import CODE, LOOPBACK, accepts, end, program

PLAY = """
- hosts: all
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: bookface.platform.legacy_web, tasks_from: configure.yml}
"""
# Debian's own configuration, as far as it matters here.
APACHE = """
ServerRoot /etc/apache2
PidFile {room}/pid
ServerName test
ErrorLog {room}/error.log
DefaultRuntimeDir {room}
Mutex file:{room} default
User www-data
Group www-data
{modules}
TypesConfig /etc/mime.types
Include mods-available/php*.load
Include mods-available/php*.conf
<Directory />
    Require all denied
</Directory>
<FilesMatch "^\\.ht">
    Require all denied
</FilesMatch>
Include ports.conf
ServerTokens OS
ServerSignature On
TraceEnable On
IncludeOptional sites-enabled/*.conf
"""
MODULES = ("mpm_prefork", "alias", "authz_core", "dir", "mime")
# Of the source, which is a flat checkout.
PRIVATE = [
    ".env", ".git/HEAD", ".git/config", ".git/objects/12/34", "Dockerfile", "README.md",
    "composer.json", "docker-compose.yml", "images/.env", "index.php.bak", "site.yml",
]  # fmt: skip
PUBLIC = [".well-known/security.txt", "images/deeper/a.txt", "page.html"]
# Put into the web root by hand.
OWN_PRIVATE = [".svn/entries", "dump.sql", "images/id_rsa", "server.key"]


class Web:
    """Apache with what the role has written, in directories that are not this machine's."""

    def __init__(self, room: Path, inside: Namespace) -> None:
        self.inside = inside
        self.room = room
        self.source, self.root = room / "source", room / "html"
        self.port = free_port()
        shutil.copytree(CODE, self.source)
        for name in PRIVATE + PUBLIC:
            self.write(self.source, name)
        (self.source / "environment.txt").symlink_to(".env")
        (self.source / "start.php").symlink_to("index.php")

    def write(self, top: Path, name: str, text: str = "") -> None:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text or f"content of {name}")

    def converge(self) -> Run:
        """Configure it as the role does, which would then restart it as a service.

        Without the trial, for which it has neither systemd nor a database.
        """
        variables = {
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "bookface_source": {"type": "path", "location": str(self.source)},
            "bookface_db_host": LOOPBACK,
            "bookface_db_password": "secret",
            "legacy_web_root": str(self.root),
            "legacy_web_port": self.port,
        }
        (self.room / "play.yml").write_text(PLAY)
        (self.room / "inventory.yml").write_text(json.dumps({"all": {"hosts": {"web": variables}}}))
        files = ("-i", f"{self.room}/inventory.yml", f"{self.room}/play.yml")
        files += ("--skip-tags", "trial")
        env = os.environ | {"ANSIBLE_PIPELINING": "1"}
        return Run.of(self.inside.run("ansible-playbook", *files, env=env, check=False)).ok()

    def start(self) -> subprocess.Popen[bytes]:
        modules = Path(program("apache2", "apache2-bin")).parents[1] / "lib/apache2/modules"
        loaded = (f"LoadModule {name}_module {modules}/mod_{name}.so" for name in MODULES)
        conf = APACHE.format(room=self.room, modules="\n".join(loaded))
        (self.room / "apache2.conf").write_text(conf)
        unit = self.inside.run("cat", "/etc/systemd/system/apache2.service.d/bookface.conf").stdout
        env = dict(re.findall("(?m)^Environment=(.+?)=(.*)$", unit))
        env |= {"PATH": os.environ["PATH"], "APACHE_LOG_DIR": str(self.room)}
        command = ["apache2", "-f", f"{self.room}/apache2.conf", "-DFOREGROUND"]
        with (self.room / "apache.log").open("wb") as log:
            process = subprocess.Popen(
                self.inside.enter(*command),
                env=env,
                stdout=log,
                stderr=log,
                # In the end Apache sends a signal to its whole group.
                start_new_session=True,
            )
        until(lambda: process.poll() is not None or accepts(LOOPBACK, self.port), "Apache answers")
        assert process.poll() is None, (self.room / "apache.log").read_text()
        return process

    def get(self, path: str, method: str = "GET") -> tuple[int, str, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=30)
        try:
            connection.request(method, path)
            reply = connection.getresponse()
            return reply.status, reply.read().decode(errors="replace"), reply.headers
        finally:
            connection.close()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A server that an earlier release of the role has set up: it copied everything."""
    room = tmp_path_factory.mktemp("legacy")
    # Apache's account comes by.
    for directory in (room, room.parent, room.parent.parent):
        directory.chmod(0o755)
    with namespace(room, copied=["/etc"], empty=["/var/lib"]) as inside:
        inside.run("mkdir", "-p", "/etc/apache2/sites-available", "/etc/apache2/sites-enabled")
        # By hand, too.
        inside.run("sh", "-c", "sed -i 's/^expose_php.*/expose_php = On/' /etc/php/*/*/php.ini")
        web = Web(room, inside)
        shutil.copytree(web.source, web.root, symlinks=False)
        web.write(web.root, ".git/HEAD", "of an earlier commit")
        shutil.rmtree(web.root / "images/deeper")
        for name in [*OWN_PRIVATE, "own.html"]:
            web.write(web.root, name)
        for path in web.root.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        web.converge()
        assert web.converge().changed["web"] == 0
        process = web.start()
        yield web
        end(process)


def test_copies_of_what_no_client_may_read_are_gone(web: Web) -> None:
    """Also under the name of a link, which was followed."""
    left = [name for name in [*PRIVATE, "environment.txt"] if (web.root / name).exists()]
    assert left == []
    assert not (web.root / ".git").exists()


def test_the_site_is_there_and_so_is_what_somebody_else_put_there(web: Web) -> None:
    for name in [*PUBLIC, "own.html"]:
        assert web.get(f"/{name}")[:2] == (200, f"content of {name}"), name
    start = web.inside.run("cat", f"{web.root}/start.php").stdout
    assert start == (CODE / "index.php").read_text()
    assert (web.root / "images/deeper").stat().st_mode & 0o7777 == 0o755
    kept = [name for name in OWN_PRIVATE if (web.root / name).is_file()]
    assert kept == OWN_PRIVATE


@pytest.mark.parametrize("path", [*PRIVATE, *OWN_PRIVATE, "config.json", "config.json.old"])
def test_what_no_client_may_read_is_not_served(web: Web, path: str) -> None:
    """Whoever has put it there."""
    if path not in OWN_PRIVATE and path != "config.json":
        web.write(web.root, path)
    for name in (path, f"images/{path}", path.upper(), path.replace(".", "%2e"), f"//{path}"):
        status, body, _headers = web.get(f"/{name}")
        assert status == 403, name
        assert "content of" not in body


def test_apache_tells_no_version(web: Web) -> None:
    status, body, headers = web.get("/nowhere")
    assert (status, headers["Server"]) == (404, "Apache")
    assert "Apache/" not in body
    assert "X-Powered-By" not in web.get("/platform/live")[2]
    assert web.get("/", "TRACE")[0] == 405
