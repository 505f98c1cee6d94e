# SPDX-License-Identifier: GPL-3.0-or-later
"""rotate.yml on a server of this machine's, in directories that nobody else sees.

The web server here is somebody else's: what a run has done when it is killed is what ours would
meet.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from workalike.support import DB_PASSWORD, DB_USER, LOOPBACK, Cluster, debian_cluster

from tests.support.commands import Run, playbook_on
from tests.support.namespace import Namespace
from tests.support.paths import ROOT
from tests.support.waiting import until

# As the role does it once the server runs.
CONTENT = """
- hosts: databases
  become: true
  gather_facts: true
  gather_subset: [min]
  tasks:
    - ansible.builtin.include_role:
        name: bookface.platform.database
        tasks_from: content
        apply: {become: true, become_user: postgres}
"""
BY_HAND = ("-e", "by_hand=web")
BRIDGE, SECOND = "bfuser_rotation", "bfuser_rotation2"


class Server:
    """PostgreSQL as the role database sets it up, and playbooks on it."""

    def __init__(self, inside: Namespace, room: Path, port: int) -> None:
        self.inside, self.room, self.port = inside, room, port
        self.content = str(room / "content.yml")
        Path(self.content).write_text(CONTENT)
        self.hosts = room / "inventory.yml"
        self.web = True

    def shell(self, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.inside.run("bash", "-c", command, check=check)

    def sql(self, text: str) -> str:
        psql = f"psql -XqAtp {self.port} -v ON_ERROR_STOP=1 bf"
        return self.shell(f"su postgres -c '{psql}' <<'END'\n{text}\nEND").stdout.strip()

    def accounts(self) -> list[str]:
        return self.sql(
            "select rolname from pg_roles where rolcanlogin and rolname ~ '^bfuser' order by 1"
        ).split()

    def page(self, user: str, password: str) -> str:
        """Who somebody is that connects as a page does, or nothing."""
        ask = "select current_user || ' ' || count(*) || ' ' || current_setting('work_mem')"
        asked = f"{ask} || ' ' || current_setting('lock_timeout') from users"
        return self.shell(
            f"PGPASSWORD={password} psql -XqAt -h {LOOPBACK} -p {self.port} -U {user} bf"
            f' -c "{asked}"',
            check=False,
        ).stdout.strip()

    @contextmanager
    def at_work(self, user: str, password: str, seconds: int) -> Iterator[subprocess.Popen[str]]:
        """A session that answers that late."""
        psql = f"PGPASSWORD={password} psql -XqAt -h {LOOPBACK} -p {self.port} -U {user} bf"
        asked = f"{psql} -c \"select 'at work' from pg_sleep({seconds})\""  # noqa: S608
        command = self.inside.enter("bash", "-c", asked)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as session:
            active = f"select state from pg_stat_activity where usename = '{user}'"  # noqa: S608
            until(lambda: self.sql(active) == "active", "the session to be at work")
            yield session

    def play(self, playbook: str, password: str, *options: str, kill: str = "") -> Run:
        host = {
            "ansible_connection": "local",
            "ansible_become_method": "su",
            "ansible_python_interpreter": "/usr/bin/python3",
            "bookface_db_host": LOOPBACK,
            "bookface_db_port": self.port,
            "bookface_db_password": password,
            "bookface_db_owner_password": f"owner-{password}",
        }
        hosts = {"databases": {"hosts": {"db": host}}}
        if self.web:
            # Somebody else's.
            web = host | {"bookface_address": LOOPBACK}
            hosts["legacy_web"] = {"hosts": {"web": web}}
        self.hosts.write_text(json.dumps({"all": {"children": hosts}}))
        plugins = [os.environ.get("ANSIBLE_CALLBACK_PLUGINS", ""), f"{ROOT}/tests/support/ansible"]
        env = os.environ | {
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_CALLBACK_PLUGINS": ":".join(filter(None, plugins)),
            "BOOKFACE_KILL_AT": kill,
        }
        command = ("ansible-playbook", "-i", str(self.hosts), playbook, *options)
        return Run.of(self.inside.run(*command, env=env, check=False))

    def rotate(self, password: str, *options: str) -> Run:
        return self.play("rotate.yml", password, *BY_HAND, *options)

    def killed(self, task: str, password: str) -> None:
        run = self.play("rotate.yml", password, *BY_HAND, kill=task)
        assert run.code == -signal.SIGKILL, run.output


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    room = tmp_path_factory.mktemp("rotation")
    with debian_cluster(room, "/etc/pgbouncer") as (inside, port):
        server = Server(inside, room, port)
        server.play(server.content, "first").ok()
        server.sql("alter role bfuser in database bf set work_mem = '5MB'")
        server.sql("alter role bfuser set lock_timeout = '7s'")
        server.shell('echo \'"bfuser" "theirs"\' > /etc/pgbouncer/userlist.txt')
        yield server


def test_killed_and_continued(server: Server) -> None:
    """At each point there is a password for every web server, whichever it has by then."""
    page = "bfuser 0 5MB 7s"
    assert server.page("bfuser", "first") == page

    # Only rotate.yml changes it.
    refused = server.play(server.content, "new")
    assert "To change it while the site serves, run rotate.yml" in refused.message("db")
    assert refused.changed["db"] == 0
    checked = server.rotate("new", "--check", "-e", "bookface_pooler=true").ok()
    assert f"bfuser would get another password. Meanwhile the pages log in as {BRIDGE}." in (
        checked.text
    )
    assert checked.changed["web"] == 0, "its pooler is not ours"
    assert server.accounts() == ["bfuser"]

    server.killed("Change the password", "new")
    assert server.accounts() == ["bfuser", BRIDGE]
    # It is who the pages are.
    assert server.page(BRIDGE, "new") == server.page("bfuser", "first") == page
    assert not server.page("bfuser", "new")
    block = server.shell(
        "sed -n '/BEGIN bookface/,/END bookface/p' /etc/postgresql/*/*/pg_hba.conf"
    )
    assert block.stdout.count("\n") == 4, "that of the web server, and that of the owner"

    # Web servers may log in as the bridge, whose password is not the old one.
    back = server.play(server.content, "first")
    assert "A rotation is unfinished: run rotate.yml" in back.message("db")
    assert back.changed["db"] == 0

    # Another password in the middle: those who have the bridge's keep it.
    server.killed("Change the password", "newer")
    assert server.accounts() == ["bfuser", BRIDGE, SECOND]
    assert server.page(SECOND, "newer") == server.page(BRIDGE, "new") == page

    # A page that has begun is not disturbed by the end.
    with server.at_work(SECOND, "newer", 7) as slow:
        ended = server.rotate("newer").ok()
        assert slow.communicate()[0] == "at work\n"
    assert ended.changed["db"] > 0
    assert server.sql("select rolname from pg_roles where rolname ~ '^bfuser_'") == ""
    assert server.page("bfuser", "newer") == page
    again = server.rotate("newer").ok()
    assert again.changed["db"] == 0, again.output
    assert "newer" not in server.shell("cat /var/log/postgresql/*").stdout


def test_a_login_that_the_database_lacks(server: Server) -> None:
    """Web servers would get it all the same."""
    before = server.accounts()
    unknown = server.rotate("other", "-e", "bookface_db_user=somebody").message("db")
    assert "somebody may not log in on db. Correct bookface_db_user" in unknown
    missing = server.rotate("other", "-e", "database_version=9").message("db")
    assert "Expected one server called main of version 9" in missing
    assert server.accounts() == before


def test_without_a_web_server(server: Server) -> None:
    """The password would change for those that are not in the inventory."""
    server.web = False
    try:
        refused = server.rotate("other").message("localhost")
    finally:
        server.web = True
    assert "no host in legacy_web or docker_hosts or swarm_managers" in refused


def test_another_kind_of_password(server: Server) -> None:
    """Nobody logs in with one that the access rules do not take: there is nothing to rotate."""
    server.sql("set password_encryption = 'md5'; alter role bfuser password 'old'")
    server.play(server.content, "repaired").ok()
    assert server.page("bfuser", "repaired")


def test_a_password_that_nobody_can_compare(server: Server) -> None:
    refused = server.rotate("smile \U0001f600").message("db")
    assert "bookface_db_password has characters that SCRAM cannot prepare" in refused


# Plans of two databases, each with its bridge and those that are there; whether web servers can log
# in on both.
FAR: dict[str, tuple[tuple[str, list[str]], tuple[str, list[str]], bool]] = {
    "equally": ((BRIDGE, []), (BRIDGE, [BRIDGE]), True),
    "killed_between_them": (("", [BRIDGE]), (BRIDGE, [BRIDGE]), True),
    "nothing_to_do": (("", []), ("", []), True),
    "one_has_no_bridge": (("", []), (BRIDGE, []), False),
    "two_bridges": ((BRIDGE, []), (SECOND, [BRIDGE, SECOND]), False),
}
TWO = """
- hosts: databases
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks: ROOT/playbooks/tasks/rotation_bridges.yml
      run_once: true
"""


@pytest.mark.parametrize("case", FAR)
def test_two_databases(case: str, tmp_path: Path) -> None:
    first, second, good = FAR[case]
    databases = {
        name: {"database_rotation": {"current": not bridge, "bridge": bridge, "leftovers": there}}
        for name, (bridge, there) in (("db1", first), ("db2", second))
    }
    given = {"bookface_db_user": "bfuser", "ansible_python_interpreter": "/usr/bin/python3"}
    inventory, playbook = tmp_path / "inventory.yml", tmp_path / "two.yml"
    children = {"databases": {"hosts": databases}}
    inventory.write_text(json.dumps({"all": {"vars": given, "children": children}}))
    playbook.write_text(TWO.replace("ROOT", str(ROOT)))
    run = playbook_on(inventory, str(playbook))
    if good:
        run.ok()
    else:
        shown = ", ".join(
            f"{name}: {bridge or 'their own account'}"
            for name, (bridge, _there) in (("db1", first), ("db2", second))
        )
        assert shown in run.message("db1")


def test_a_swarm_that_does_not_tell(tmp_path: Path) -> None:
    """Left out by hand, it would lose the database."""
    host = {
        "ansible_connection": "local",
        "ansible_become_method": "su",
        "ansible_python_interpreter": "/usr/bin/python3",
        "bookface_db_host": LOOPBACK,
        "bookface_docker_host": f"unix://{tmp_path}/none.sock",
    }
    inventory = tmp_path / "inventory.yml"
    hosts = {"swarm_managers": {"hosts": {"manager": host}}, "databases": {"hosts": {"db": {}}}}
    inventory.write_text(json.dumps({"all": {"children": hosts}}))
    given = json.dumps({"bookface_db_password": DB_PASSWORD})
    refused = playbook_on(inventory, "rotate.yml", "-e", given).message("manager")
    assert "manager does not tell which services its swarm has. Docker does not answer" in refused


def test_a_database_of_one_s_own_must_know_the_account(cluster: Cluster, tmp_path: Path) -> None:
    """The platform does not make it; a web server that is not ours stays as it is."""
    host = {
        "ansible_connection": "local",
        "ansible_become_method": "su",
        "ansible_python_interpreter": "/usr/bin/python3",
        "bookface_db_host": LOOPBACK,
        "bookface_db_port": cluster.port,
        "bookface_db_user": DB_USER,
    }
    inventory = tmp_path / "inventory.yml"
    hosts = {"legacy_web": {"hosts": {"web": host}}}
    inventory.write_text(json.dumps({"all": {"children": hosts}}))

    def rotate(password: str, *options: str) -> Run:
        given = json.dumps({"bookface_db_password": password})
        return playbook_on(inventory, "rotate.yml", "-e", given, *options)

    limited = rotate(DB_PASSWORD, "--limit", "web").message("web")
    assert "run rotate.yml without --limit. Nothing was changed." in limited

    foreign = rotate(DB_PASSWORD).message("web")
    assert "leave it out with -e by_hand=web: it keeps its login" in foreign

    refused = rotate("not-the-one", *BY_HAND).message("web")
    assert f"refuses {DB_USER}:" in refused
    assert "password authentication failed" in refused
    assert "Create a second account there, with the same rights" in refused
    assert rotate(DB_PASSWORD, *BY_HAND).ok().changed["web"] == 0
