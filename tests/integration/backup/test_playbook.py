"""playbooks/backup.yml on a server of this machine's, in directories that nobody else sees."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from workalike.support import BOOTSTRAP_SQL, LOOPBACK, debian_cluster

from tests.support.commands import Run
from tests.support.namespace import Namespace

FUTURE = [f"bf-2099010{day}T000000Z.dump" for day in range(1, 8)]
PAST = [f"bf-2020010{day}T000000Z.dump" for day in range(1, 8)]
DIRECTORY = "/var/backups/site"


class Server:
    """PostgreSQL with bookface's tables, and the playbook."""

    def __init__(self, inside: Namespace, room: Path, port: int) -> None:
        self.inside, self.room, self.port = inside, room, port

    def shell(self, command: str) -> str:
        return self.inside.run("bash", "-c", command).stdout

    def modes(self, *paths: str | Path) -> list[str]:
        shown = self.inside.run("stat", "--format=%a %U", *(str(path) for path in paths)).stdout
        return shown.splitlines()

    def backup(self, **variables: object) -> Run:
        host = {
            "ansible_connection": "local",
            "ansible_become_method": "su",
            "ansible_python_interpreter": "/usr/bin/python3",
            "bookface_db_host": LOOPBACK,
            "bookface_db_port": self.port,
            "database_backup_directory": DIRECTORY,
            **variables,
        }
        inventory = self.room / "inventory.yml"
        hosts = {"databases": {"hosts": {"db": host}}}
        inventory.write_text(json.dumps({"all": {"children": hosts}}))
        command = ("ansible-playbook", "-i", str(inventory), "playbooks/backup.yml")
        env = os.environ | {"ANSIBLE_PIPELINING": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
        return Run.of(self.inside.run(*command, env=env, check=False))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    room = tmp_path_factory.mktemp("backup")
    with debian_cluster(room, "/var/backups") as (inside, port):
        server = Server(inside, room, port)
        psql = f"su postgres -c 'psql -Xqp {server.port} -v ON_ERROR_STOP=1 -d {{}}'"
        server.shell(f"{psql.format('postgres')} <<< 'create database bf'")
        server.shell(f"{psql.format('bf')} < {BOOTSTRAP_SQL}")
        yield server


def test_backups_of_a_wrong_clock_do_not_cost_the_one_just_made(
    server: Server, tmp_path: Path
) -> None:
    """And directories that exist keep their owner and their mode."""
    old = " ".join(FUTURE + PAST)
    server.shell(
        f"mkdir -m 2775 {DIRECTORY}; cd {DIRECTORY}; touch {old}; chown -R postgres:adm {DIRECTORY}"
    )
    tmp_path.chmod(0o1777)
    ran = server.backup(database_backup_fetch=str(tmp_path)).ok()
    left = set(server.shell(f"ls -A {DIRECTORY}").split())
    (made,) = left - {*FUTURE, *PAST}
    assert re.fullmatch(r"bf-20\d{6}T\d{6}Z\.dump", made)
    assert left == {*FUTURE, *PAST[1:], made}
    assert f"WARNING: {', '.join(FUTURE)} in {DIRECTORY} on db: dated after" in ran.text
    assert server.modes(DIRECTORY, f"{DIRECTORY}/{made}") == ["2775 postgres", "600 postgres"]
    assert [path.name for path in tmp_path.iterdir()] == [made]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
    assert stat.S_IMODE((tmp_path / made).stat().st_mode) == 0o600


def test_directories_that_are_made_are_closed(server: Server, tmp_path: Path) -> None:
    """What killed runs have left in the one for copies goes, if it is old and ours."""
    copies = tmp_path / "copies"
    copies.mkdir(0o700)
    for name, age in (("old0old0", 2), ("new0new0", 0)):
        (copies / f".bookface-backup-{name}").mkdir(0o700)
        (copies / f".bookface-backup-{name}/bf.dump").touch()
        then = (copies / f".bookface-backup-{name}").stat().st_mtime - age * 86400
        os.utime(copies / f".bookface-backup-{name}", (then, then))
    directory = "/var/backups/new/deeper"
    server.backup(database_backup_directory=directory, database_backup_fetch=str(copies)).ok()
    assert server.modes(directory) == ["700 postgres"]
    (dump,) = server.shell(f"ls -A {directory}").split()
    assert {path.name for path in copies.iterdir()} == {".bookface-backup-new0new0", dump}


def test_a_directory_that_belongs_to_others_is_named(server: Server) -> None:
    server.shell("mkdir -m 755 /var/backups/root")
    ran = server.backup(database_backup_directory="/var/backups/root")
    assert ran.code != 0
    assert "The account postgres cannot write into /var/backups/root on db." in ran.message("db")
    assert server.modes("/var/backups/root") == ["755 root"]
