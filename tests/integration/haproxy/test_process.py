# SPDX-License-Identifier: GPL-3.0-or-later
"""Without a master socket a reload is a signal: no process gets it but this HAProxy's master."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.process import (
    UnprovedError,
    find_process,
    resume_listeners,
)
from test_switch_refusals import nothing_changes, refused

from tests.support.paths import PATH

if TYPE_CHECKING:
    from conftest import Lab

# A service of somebody else: a process with a child of the same program.
SERVICE = "import os, time; c = os.fork(); print(c, flush=True) if c else 0; time.sleep(300)"


@contextmanager
def stranger() -> Iterator[tuple[subprocess.Popen[str], int]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as service:
        assert service.stdout
        try:
            child = int(service.stdout.readline())
            yield service, child
        finally:
            os.killpg(service.pid, signal.SIGKILL)


@contextmanager
def in_another_namespace(lab: Lab, pid: int) -> Iterator[str]:
    """A socket whose HAProxy gives another process id, as one in a container does."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            reply = lab.stats.ask(self.rfile.readline().decode().rstrip("\n"), 5)
            self.wfile.write(re.sub(r"(?m)^Pid: \d+", f"Pid: {pid}", reply).encode())

    path = str(lab.directory / "other.sock")
    with socketserver.ThreadingUnixStreamServer(path, Handler) as front:
        threading.Thread(target=front.serve_forever, args=(0.05,), daemon=True).start()
        yield path
        front.shutdown()


def test_a_stranger_with_the_workers_number_gets_no_signal(lab: Lab) -> None:
    with stranger() as (service, child), in_another_namespace(lab, child) as path:
        with nothing_changes(lab):
            refused(
                lab,
                "docker",
                f"gives {child} as its process id, but process",
                "set master_socket",
                engine="reload",
                socket=path,
                master_socket="",
            )
        assert service.poll() is None


def test_a_stranger_is_not_stopped_where_the_listener_has_ended(lab: Lab) -> None:
    """The signal that resumes HAProxy's listeners stops every other program."""
    path = str(lab.directory / "left.sock")
    with socketserver.UnixStreamServer(path, socketserver.BaseRequestHandler) as left:
        listen = "import socket; socket.socket(fileno=0).listen()"
        subprocess.run([sys.executable, "-c", listen], stdin=left.socket, check=True)
        with stranger() as (service, child):
            for pid in (service.pid, child):
                assert find_process(pid, path).worker == pid
                with pytest.raises(UnprovedError, match=f"process {pid} runs .*, not HAProxy"):
                    resume_listeners(pid, path)
                assert re.search(r"^State:\t[RS]", Path(f"/proc/{pid}/status").read_text(), re.M)


def test_a_worker_that_ends_before_the_signal(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(pid: int, _number: int) -> None:
        raise ProcessLookupError(errno.ESRCH, "No such process")

    monkeypatch.setattr(os, "kill", ended)
    with pytest.raises(UnprovedError, match=r"could not be signalled: .*No such process"):
        resume_listeners(lab.pid(), str(lab.admin))


def test_a_master_of_another_configuration_gets_no_signal(lab: Lab) -> None:
    """It would reload, and read its own file."""
    other = lab.directory / "other.cfg"
    shutil.copy(lab.config, other)
    worker = lab.pid()
    refused(
        lab,
        "docker",
        f"does not load {other}",
        engine="reload",
        config=str(other),
        master_socket="",
    )
    assert (lab.pid(), lab.traffic()) == (worker, "legacy")


def test_its_own_master_is_proved_before_and_after_reloads(lab: Lab) -> None:
    assert lab.process
    for backend in ("docker", "legacy"):
        found = find_process(lab.pid(), str(lab.admin))
        assert (found.master, found.files) == (lab.process.pid, (str(lab.config),))
        assert lab.switch(backend, engine="reload", master_socket="")["action"] == "reload"
    with pytest.raises(UnprovedError, match="cannot be examined"):
        find_process(lab.pid() + 100000, str(lab.admin))


def test_one_that_listens_in_a_directory_of_its_own(stopped: Lab) -> None:
    """Without -W, HAProxy itself has changed its root directory."""
    lab = stopped
    lab.config.write_text(lab.text().replace("global\n", f"global\n    chroot {lab.map.parent}\n"))
    other = lab.directory / "other.cfg"
    shutil.copy(lab.config, other)
    with (lab.directory / "log").open("ab") as log:
        lab.process = subprocess.Popen(
            ["haproxy", "-db", "-f", str(lab.config)], stdout=log, stderr=log, env={"PATH": PATH}
        )
    lab.until(lambda: lab.answers() is not None and lab.checked(), "HAProxy")
    refused(lab, "docker", f"does not load {other}", config=str(other))


def test_a_service_with_mounts_of_its_own(stopped: Lab) -> None:
    """As Debian's unit has by BindReadOnlyPaths. Its files are those that are seen here."""
    lab = stopped
    (lab.directory / "log").touch()
    other, unnamed = lab.directory / "other.cfg", lab.directory / "more.cfg"
    shutil.copy(lab.config, other)
    unnamed.write_text("backend more\n    server m1 127.0.0.1:9\n")
    (lab.directory / "device").touch()
    mount = f"mount --bind {lab.directory}/log {lab.directory}/device"
    run = f"exec haproxy -W -S {lab.master} -f {lab.config} -f {unnamed}"
    with (lab.directory / "log").open("ab") as log:
        lab.process = subprocess.Popen(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", f"{mount} && {run}"],
            stdout=log,
            stderr=log,
            env={"PATH": PATH, "LATER_PORT": str(lab.port + 1)},
        )
    lab.until(lambda: lab.answers() is not None and lab.checked(), "HAProxy")
    refused(lab, "docker", f"does not load {other}", config=str(other))
    with lab.config.open("a") as file:
        file.write('frontend later\n    bind "127.0.0.1:${LATER_PORT}"\n    default_backend off\n')
    done = lab.switch("docker")
    assert f"HAProxy also loads {unnamed}" in str(done["warnings"]), done
    assert lab.traffic() == "docker"


def test_a_file_that_is_mounted_alone(stopped: Lab) -> None:
    """As into a container: it would keep the old file, and read that at its next reload."""
    lab = stopped
    (lab.directory / "inside").touch()
    inside = str(lab.directory / "inside")
    mount = f"mount --bind {lab.config} {inside} && exec haproxy -W -S {lab.master} -f {inside}"
    with (lab.directory / "log").open("ab") as log:
        lab.process = subprocess.Popen(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", mount],
            stdout=log,
            stderr=log,
            env={"PATH": PATH},
        )
    lab.until(lambda: lab.answers() is not None, "HAProxy")
    before = lab.config.read_text()
    refused(lab, "docker", f"has {lab.config} mounted as a single file", "Mount the directory")
    assert f"has {lab.config} mounted as a single file" in str(lab.info()["warnings"])
    assert (lab.config.read_text(), lab.traffic()) == (before, "legacy")
    # An editor has replaced it meanwhile: what is mounted has no name any more.
    edited = lab.directory / "edited"
    edited.write_text(f"{before}# edited\n")
    edited.rename(lab.config)
    refused(lab, "docker", f"has {lab.config} mounted as a single file", "Mount the directory")
    assert f"has {lab.config} mounted as a single file" in str(lab.info()["warnings"])
