# SPDX-License-Identifier: GPL-3.0-or-later
"""The runtime engine, judged by file, live entry and traffic."""

from __future__ import annotations

import os
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from conftest import Lab, haproxy_version
from faults import reload_by_somebody

from tests.support.ports import free_port


def test_check_then_real_then_repeat(lab: Lab) -> None:
    before = lab.text()
    worker = lab.pid()

    checked = lab.switch("docker", check=True)
    assert checked["changed"] is True
    assert checked["validator"] != "" or lab.stats.info(5).version.startswith("3.")
    assert lab.config.read_text() == before
    assert lab.entry() == ()
    assert lab.traffic() == "legacy"
    assert lab.files() == ["haproxy.cfg"]
    line, live = checked["diff"]
    assert line["before"] == "    default_backend\tlegacy  # decides\n"
    assert line["after"] == "    default_backend\tdocker  # decides\n"
    assert (live["before"], live["after"]) == ("", "book-face docker\n")

    done = lab.switch("docker")
    assert done["changed"] is True
    assert done["engine"] == "runtime"
    assert done["action"] == "map"
    assert done["diff"] == checked["diff"]
    assert (done["previous_backend"], done["backend"]) == ("legacy", "docker")
    assert done["worker"]["pid"] == worker
    assert done["map"] == str(lab.map)
    assert [(s["name"], s["passed"]) for s in done["servers"]] == [
        ("docker1", True),
        ("docker2", False),
    ]
    assert done["elapsed_ms"]["total"] >= done["elapsed_ms"]["validate"] > 0
    assert lab.config.read_text() == lab.text(default="docker")
    assert lab.entry() == ("docker",)
    assert lab.traffic() == "docker"
    assert lab.pid() == worker

    for check in (False, True):
        again = lab.switch("docker", check=check)
        assert again["changed"] is False
        assert again["action"] == "nothing"
        assert again["diff"][0]["before"] == again["diff"][0]["after"]
        assert again["diff"][1]["before"] == again["diff"][1]["after"]
    back = lab.switch("legacy")
    assert (back["changed"], back["previous_backend"]) == (True, "docker")
    assert lab.traffic() == "legacy"
    assert lab.entry() == ("legacy",)
    assert lab.files() == ["haproxy.cfg"]


@pytest.mark.load
def test_no_request_fails_under_load(lab: Lab) -> None:
    stop = threading.Event()
    failures: list[str] = []
    served: list[tuple[float, str]] = []

    def load(keep: bool) -> None:
        connection = HTTPConnection("127.0.0.1", lab.port, timeout=10)
        while not stop.is_set():
            began = time.monotonic()
            try:
                connection.request("GET", "/")
                reply = connection.getresponse()
                body = reply.read().decode()
                if reply.status != 200 or body not in ("legacy", "docker"):
                    failures.append(f"{reply.status} {body}")
                served.append((began, body))
            except (OSError, HTTPException) as error:
                failures.append(repr(error))
            if not keep:
                connection.close()
                connection = HTTPConnection("127.0.0.1", lab.port, timeout=10)
        connection.close()

    threads = [threading.Thread(target=load, args=(n % 2 == 0,)) for n in range(6)]
    for thread in threads:
        thread.start()
    try:
        for target in ("docker", "legacy", "docker"):
            assert lab.switch(target)["changed"] is True
            # Requests that were under way may still end at the old one; new ones may not.
            switched, mark = time.monotonic(), len(served)
            lab.until(lambda mark=mark: len(served) > mark + 50, "more requests")
            assert {body for began, body in served[mark:] if began > switched} == {target}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(served) > 200


def test_edit_by_hand_without_reload_is_brought_live(lab: Lab) -> None:
    lab.config.write_text(lab.text(default="docker"))
    assert lab.traffic() == "legacy"
    checked = lab.switch("docker", check=True)
    assert (checked["changed"], checked["action"]) == (True, "map")
    assert lab.traffic() == "legacy"
    done = lab.switch("docker")
    assert (done["changed"], done["action"], done["validator"]) == (True, "map", "")
    assert lab.traffic() == "docker"
    assert lab.switch("docker")["changed"] is False


def test_interrupted_switch_is_finished_by_the_next_run(lab: Lab) -> None:
    """Killed between rename and map: the file is ahead of the traffic."""
    assert lab.switch("docker")["changed"] is True
    lab.config.write_text(lab.text(default="legacy"))
    done = lab.switch("legacy")
    assert (done["changed"], done["previous_backend"]) == (True, "docker")
    assert done["previous_backend_on_disk"] == "legacy"
    assert lab.traffic() == "legacy"


def test_after_a_reload_the_file_decides_and_the_entry_is_written_again(lab: Lab) -> None:
    lab.switch("docker")
    lab.reload()
    assert lab.entry() == ()
    assert lab.traffic() == "docker"
    # The servers may not have passed a check of this worker yet, and need not.
    done = lab.switch("docker", require_healthy=0)
    assert (done["changed"], done["action"]) == (True, "map")
    assert lab.entry() == ("docker",)
    assert lab.switch("docker")["changed"] is False


def test_entry_that_names_no_backend_is_corrected(lab: Lab) -> None:
    lab.switch("docker")
    lab.stats.write_entry(str(lab.map), "book-face", "nosuch", True, 5)
    assert lab.traffic() == "legacy"
    done = lab.switch("docker")
    assert (done["changed"], done["action"]) == (True, "map")
    assert lab.traffic() == "docker"


def test_several_entries_become_one_value(lab: Lab) -> None:
    for value in ("legacy", "docker"):
        lab.stats.write_entry(str(lab.map), "book-face", value, False, 5)
    assert lab.switch("docker")["changed"] is True
    assert set(lab.entry() or ()) == {"docker"}
    assert lab.traffic() == "docker"
    assert lab.switch("docker")["changed"] is False


@pytest.mark.parametrize("master", [True, False])
def test_reload_by_others_around_the_write(stopped: Lab, master: bool) -> None:
    """A reload that has read the old file must not take the traffic back."""
    many = "".join(f"backend spare{n}\n    server s 127.0.0.1:9\n" for n in range(3000))
    lab = stopped
    lab.config.write_text(lab.text(extra=many))
    lab.start()
    targets = ("docker", "legacy")
    sockets = {} if master else {"master_socket": ""}
    replaced = 0
    steps = 6 if master else 4
    for step in range(steps):
        target = targets[step % 2]
        worker = lab.pid()
        program = lab.begin(
            "haproxy_default_backend",
            lab.arguments(backend=target, require_healthy=0, wait=20, **sockets),
        )
        time.sleep(0.15 + 0.07 * step)
        other = threading.Thread(target=reload_by_somebody, args=(lab,))
        other.start()
        result = lab.end(program)
        other.join()
        assert result.get("failed") is None, result
        lab.until(lambda: lab.answers() is not None, "HAProxy answers")
        replaced += lab.pid() != worker
        assert f"default_backend\t{target}" in lab.config.read_text()
        assert lab.traffic() == target, f"step {step}: {result}"
        assert lab.entry() in ((target,), ())
    assert replaced == steps


def test_symlink_owner_and_mode_are_kept(lab: Lab) -> None:
    real = lab.directory / "real.cfg"
    lab.config.rename(real)
    lab.config.symlink_to("real.cfg")
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 12345, 23456)
    owner = (real.stat().st_uid, real.stat().st_gid)
    done = lab.switch("docker", backup=True)
    assert done["config"] == str(real)
    assert lab.config.is_symlink()
    assert lab.config.readlink().name == "real.cfg"
    status = real.stat()
    assert (status.st_uid, status.st_gid) == owner
    assert status.st_mode & 0o7777 == 0o640
    assert real.read_text() == lab.text(default="docker")
    backup = Path(done["backup_file"])
    assert backup.name in lab.files()
    assert backup.read_text() == lab.text()
    assert backup.suffix != ".cfg"


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_every_other_byte_stays(stopped: Lab, ending: str) -> None:
    lab = stopped
    odd = lab.text(extra="# caf\u00e9 \ttab\n").replace("\n", ending).encode()
    odd = odd.replace(b"caf\xc3\xa9", b"caf\xe9\xff")
    lab.config.write_bytes(odd)
    lab.start()
    assert lab.switch("docker")["changed"] is True
    assert lab.config.read_bytes() == odd.replace(
        b"default_backend\tlegacy", b"default_backend\tdocker"
    )
    assert lab.traffic() == "docker"


def test_a_missing_line_is_inserted(stopped: Lab) -> None:
    lab = stopped
    text = lab.text().replace("    default_backend\tlegacy  # decides\n", "")
    lab.config.write_text(text)
    lab.start()
    assert lab.traffic() == "status 503"
    done = lab.switch("docker")
    assert (done["changed"], done["previous_backend"]) == (True, None)
    assert done["diff"][0]["before"] == ""
    assert done["diff"][0]["after"] == "    default_backend docker\n"
    assert lab.traffic() == "docker"
    assert lab.config.read_text().replace("    default_backend docker\n", "") == text


def test_the_last_of_several_lines_is_the_one_that_haproxy_obeys(stopped: Lab) -> None:
    lab = stopped
    text = lab.text(rule=False).replace(
        "    default_backend\tlegacy", "    default_backend dead\n    default_backend\tlegacy"
    )
    lab.config.write_text(text)
    lab.start()
    assert lab.traffic() == "legacy"
    assert lab.switch("docker")["previous_backend"] == "legacy"
    assert lab.traffic() == "docker"


def test_leftovers_of_a_killed_run_go_away(lab: Lab) -> None:
    (lab.directory / ".haproxy.cfg.bookface-abc.candidate").write_text("half")
    assert lab.switch("docker", check=True)["changed"] is True
    assert len(lab.files()) == 2
    assert lab.switch("docker")["changed"] is True
    assert lab.files() == ["haproxy.cfg"]


def test_without_a_master_socket(lab: Lab) -> None:
    done = lab.switch("docker", master_socket="")
    assert (done["changed"], done["engine"]) == (True, "runtime")
    assert lab.traffic() == "docker"


@pytest.mark.haproxy(before=(3, 3))
def test_with_a_program_beside_it(stopped: Lab) -> None:
    """HAProxy's own way to run another service; it is valid in master-worker mode alone."""
    lab = stopped
    text = lab.text(extra="program api\n    command /bin/sleep 600\n")
    if haproxy_version() >= (3, 1):
        text = text.replace("global\n", "global\n    expose-deprecated-directives\n", 1)
    lab.config.write_text(text)
    lab.start()
    assert lab.switch("docker", check=True)["changed"]
    assert lab.switch("docker")["changed"]
    assert lab.traffic() == "docker"


@pytest.mark.parametrize("prefix", ["", "ipv4@"])
def test_a_statistics_socket_with_an_address(stopped: Lab, prefix: str) -> None:
    lab = stopped
    address = f"{prefix}127.0.0.1:{free_port()}"
    socket = f"    stats socket {address} level admin\ndefaults\n"
    lab.config.write_text(lab.text().replace("defaults\n", socket, 1))
    lab.start()
    done = lab.switch("docker", socket=address)
    assert (done["engine"], lab.traffic()) == ("runtime", "docker"), done
    assert lab.info(socket=address)["frontends"]["book-face"]["live_backend"] == "docker"
    # An address does not tell which process listens, and a reload is a signal to it.
    refused = lab.switch("legacy", socket=address, engine="reload", master_socket="")
    assert "HAProxy cannot be reloaded" in refused["msg"], refused
    lab.stop()
    assert "Connection refused" in lab.switch("legacy", socket=address, wait=1)["msg"]


def test_paused_frontend_is_named(lab: Lab) -> None:
    assert lab.stats.ask("disable frontend book-face", 5).strip() == ""
    done = lab.switch("docker")
    assert "frontend book-face is paused and refuses its clients" in str(done["warnings"])
    assert lab.info()["frontends"]["book-face"]["paused"] is True
    lab.stats.enable_frontend("book-face", 5)
    assert lab.info()["frontends"]["book-face"]["paused"] is False
    assert "warnings" not in lab.switch("docker")
    assert lab.traffic() == "docker"
