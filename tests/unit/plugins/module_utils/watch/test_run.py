"""Looks as the timer runs them, with a small program in place of ansible-playbook."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.watch import notify, program, run
from ansible_collections.bookface.platform.plugins.module_utils.watch.history import (
    History,
    open_history,
)

from tests.support.receiver import Receiver, receiving
from tests.unit.plugins.module_utils.watch.looks import part, text

ROOT = Path(__file__).resolve().parents[5]
WEB = "docker1/container/bookface_1"
TOKEN = "SeCrEtToKeN"  # noqa: S105  (of a test)

# Writes the report that is prepared, with the time of now, and ends with its exit status.
HEAL = """
import datetime, json, os, pathlib, sys, time
here = pathlib.Path(__file__).parent
(report,) = [one.partition("=")[2] for one in sys.argv if one.startswith("heal_report_file=")]
print("PLAY [Heal]", os.environ["GREETING"], flush=True)
exec((here / "before.py").read_text())
found = json.loads((here / "report.json").read_text())
found["time"] = datetime.datetime.now(datetime.timezone.utc).isoformat()
pathlib.Path(report).write_text(json.dumps(found))
sys.exit(found["exit_status"])
"""


class Installed:
    """A watch, as the role installs it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.state.mkdir()
        (directory / "heal.py").write_text(textwrap.dedent(HEAL))
        self.config = directory / "config.json"
        self.configure()
        self.before("")
        self.find(part(WEB))
        self.notify()

    def configure(self, **settings: Any) -> None:
        values = {
            "site": "bookface",
            "command": [sys.executable, str(self.directory / "heal.py"), "-e", "x=y"],
            "environment": {"GREETING": "hello"},
            "state": str(self.state),
            "urls": str(self.directory / "notify.json"),
            **settings,
        }
        self.config.write_text(json.dumps(values))

    def before(self, code: str) -> None:
        (self.directory / "before.py").write_text(code)

    def find(self, *parts: dict[str, Any], **more: Any) -> None:
        (self.directory / "report.json").write_text(text(0, *parts, **more))

    def notify(self, *urls: str) -> None:
        (self.directory / "notify.json").write_text(json.dumps(urls))

    def command(self, *arguments: str) -> int:
        return program.main(["--config", str(self.config), *arguments])

    def process(self, *arguments: str) -> list[str]:
        code = (
            "from ansible_collections.bookface.platform.plugins.module_utils.watch import program;"
            "raise SystemExit(program.main())"
        )
        return [sys.executable, "-c", code, "--config", str(self.config), *arguments]

    def history(self, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            self.process("history", "--format", "json", *arguments),
            env=ENVIRONMENT,
            check=True,
            capture_output=True,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found


ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}/.ansible/collections"}


@pytest.fixture
def watch(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


def test_a_look_is_remembered_and_said(
    watch: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    watch.find(part(WEB), part("lb1/service/haproxy", cause="dead", action="started"))
    assert watch.command("run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mended: 2 up, 0 down, 0 unknown, in ")
    assert lines[1] == "  lb1/service/haproxy: up, started: dead"
    assert lines[2] == "MENDED: service haproxy on lb1. Cause: dead. It was started."
    found = watch.history()
    assert found["looks"]["count"] == 1
    assert found["looks"]["last"] == "mended"
    assert found["active"] == {"lb1": "docker"}
    assert [one["actions"] for one in found["incidents"]] == [["started"]]
    assert "hello" in (watch.state / "last-run.log").read_text()


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("sys.exit(3)", "exit status 3 and left no report"),
        ("print('fatal: [lb1]: UNREACHABLE!'); sys.exit(0)", "exit status 0 and left no report"),
        ("os.kill(os.getpid(), 9)", "exit status -9 and left no report"),
        ("pathlib.Path(report).write_text('{'); sys.exit(0)", "the report is no JSON"),
        ("pathlib.Path(report).write_bytes(b'\\xff'); sys.exit(0)", "left no report"),
        ("raise ValueError('broken playbook')", "exit status 1 and left no report"),
    ],
)
def test_without_a_report_the_watch_is_blind_and_says_so(
    watch: Installed, capsys: pytest.CaptureFixture[str], before: str, words: str
) -> None:
    watch.configure(notify_after=1)
    assert watch.command("run") == 0
    # The report of the look before is no report of this one.
    watch.before(before)
    assert watch.command("run") == run.BLIND
    said = capsys.readouterr().out
    assert words in said
    assert "BLIND: nobody knows how the platform is" in said
    assert "  | PLAY [Heal] hello" in said
    found = watch.history()
    assert (found["looks"]["count"], found["looks"]["blind"]) == (2, 1)
    assert found["looks"]["last"] == "blind"
    watch.before("")
    assert watch.command("run") == 0
    assert "UP AGAIN: the watch" in capsys.readouterr().out


def test_a_playbook_that_is_not_there(watch: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    watch.configure(command=["/nonexistent/ansible-playbook"])
    assert watch.command("run") == run.BLIND
    assert "could not be started: No such file or directory" in capsys.readouterr().out


def test_a_run_that_hangs_is_ended(watch: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    watch.configure(timeout=0.5)
    watch.before("time.sleep(60)")
    began = time.monotonic()
    assert watch.command("run") == run.BLIND
    assert time.monotonic() - began < 10
    assert "did not end within 0.5 s, and was ended" in capsys.readouterr().out


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.01)


def test_a_second_run_ends_at_once_and_says_why(
    watch: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    watch.before("(here / 'began').touch(); time.sleep(60)")
    first = subprocess.Popen(
        watch.process("run"),
        env={**ENVIRONMENT, "TMPDIR": str(watch.directory)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(watch.directory / "began")
        assert watch.command("run") == program.BUSY
        said = capsys.readouterr().out
        assert f"another run is under way (process {first.pid} since 20" in said
        # Killed, it leaves a playbook that still works: nothing runs beside that, either.
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert watch.command("run") == program.BUSY
    finally:
        # The playbook has a session of its own; its arguments name this directory alone.
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().split(b"\0")
            except OSError:
                continue
            if str(watch.directory / "heal.py").encode() in words:
                os.kill(int(entry.parent.name), signal.SIGKILL)
    watch.before("")
    deadline = time.monotonic() + 20
    while (code := watch.command("run")) == program.BUSY:
        assert time.monotonic() < deadline
    assert code == 0


def test_a_pause_waits_for_the_look_and_ends_by_itself(
    watch: Installed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.before("(here / 'began').touch(); time.sleep(0.5); (here / 'ended').touch()")
    first = subprocess.Popen(watch.process("run"), env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    wait_for(watch.directory / "began")
    assert watch.command("pause", "30m") == 0
    assert (watch.directory / "ended").exists()
    assert first.wait() == 0
    assert "waiting for the look that is under way\npaused until " in capsys.readouterr().out
    assert watch.command("run") == 0
    assert capsys.readouterr().out.startswith("paused until ")
    found = watch.history()["looks"]
    assert found["count"] == 1
    assert found["paused_until"] is not None
    later = time.time() + 1801
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: later)
        assert watch.command("history") == 0
    assert "paused" not in capsys.readouterr().out
    assert watch.command("resume") == 0
    assert watch.command("run") == 0
    assert watch.history()["looks"]["count"] == 2
    with pytest.raises(SystemExit):
        watch.command("pause", "25h")


@pytest.fixture
def receiver() -> Any:
    with receiving() as server:
        yield server


def test_down_and_up_again_reach_a_receiver_that_was_broken(
    watch: Installed, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    watch.notify(f"json://user:{TOKEN}@{receiver.address}/{TOKEN}")
    assert watch.command("run") == 0
    watch.find(part(WEB, "down", cause="exited"))
    receiver.answer = 500
    for _ in range(3):
        assert watch.command("run") == 0
        assert watch.command("deliver") == 0
    assert len(receiver.got) == 1
    assert watch.history()["messages"]["waiting"] == 1
    assert "notification 1 (json): answered 500, at try 1; it is tried again" in (
        capfd.readouterr().out
    )
    history, _ = open_history(watch.state / "history.db")
    (waiting,) = [
        one
        for row in history._connection.execute("select target from outbox")
        for one in history.waiting(row[0])
    ]
    history.failed(waiting.id, "answered 500", 0)
    history.close()
    receiver.answer = 200
    watch.find(part(WEB))
    for _ in range(3):
        assert watch.command("run") == 0
        assert watch.command("deliver") == 0
    titles = [got["title"] for got in receiver.got[1:]]
    assert titles == [
        "bookface: container bookface_1 on docker1 is down",
        "bookface: container bookface_1 on docker1 is up again",
    ]
    for path in watch.state.iterdir():
        assert TOKEN.encode() not in path.read_bytes(), path
    assert TOKEN not in str(capfd.readouterr())


def test_a_look_is_remembered_with_its_message_or_not_at_all(
    watch: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a kill between the two would swallow the message."""

    def killed(*_arguments: object) -> str:
        raise KeyboardInterrupt

    watch.configure(notify_after=1)
    watch.find(part(WEB, "down"))
    with monkeypatch.context() as patched:
        patched.setattr(notify, "accept", killed)
        with pytest.raises(KeyboardInterrupt):
            watch.command("run")
    assert watch.history()["looks"]["count"] == 0
    assert watch.history()["parts"] == []


def test_a_delivery_is_started_only_if_there_is_something(watch: Installed) -> None:
    began = watch.directory / "delivered"
    watch.configure(deliver=["touch", str(began)], notify_after=1)
    watch.notify("json://127.0.0.1:9/")
    assert watch.command("run") == 0
    assert not began.exists()
    watch.find(part(WEB, "down"))
    assert watch.command("run") == 0
    assert began.exists()
    # A pause is of the looks, not of the messages.
    began.unlink()
    assert watch.command("pause", "30m") == 0
    assert watch.command("run") == 0
    assert began.exists()


@pytest.mark.parametrize(
    "command", [["/nonexistent/systemctl"], ["sh", "-c", "echo no >&2; false"]]
)
def test_a_delivery_that_cannot_be_started_is_said(
    watch: Installed, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    watch.configure(deliver=command, notify_after=1)
    watch.notify("json://127.0.0.1:9/")
    watch.find(part(WEB, "down"))
    assert watch.command("run") == 0
    assert "the delivery of messages could not be started: " in capsys.readouterr().out


def test_a_test_message_says_who_got_it(
    watch: Installed, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    assert watch.command("test-notify") == 1
    assert "watch_notify_urls is empty" in capfd.readouterr().out
    watch.notify(f"json://{receiver.address}/{TOKEN}")
    assert watch.command("test-notify") == 0
    assert capfd.readouterr().out == "notification 1 (json): delivered\n"
    watch.notify(f"json://{receiver.address}/{TOKEN}", f"nosuch://{TOKEN}")
    assert watch.command("test-notify") == 1
    out, err = capfd.readouterr()
    assert "notification 2 (nosuch): Apprise does not know this kind of URL" in out
    assert TOKEN not in out + err


def test_urls_are_checked_before_they_are_anywhere(
    watch: Installed, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.config.unlink()
    for urls, code in (([], 0), (["json://a.example/"], 0), (["json://a/", f"no://{TOKEN}"], 1)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(urls)))
        assert watch.command("check") == code
    out, err = capfd.readouterr()
    assert out.startswith("notification 2 (no): Apprise does not know this kind of URL")
    assert TOKEN not in out + err


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("echo secret", ""),
        ("echo secret; echo 'ERROR: no vault secrets' >&2; echo secret >&2; false", "ERROR: no"),
        ("echo secret >&2; exit 5", "ansible-inventory ended with exit status 5"),
    ],
)
def test_an_inventory_is_read_as_a_look_would(
    watch: Installed,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    error: str,
) -> None:
    fake = watch.directory / "ansible-inventory"
    fake.write_text(f"#!/bin/sh\n[ $GREETING = hello ] && [ $2 = /copy ] || exit 9\n{program}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{watch.directory}:{os.environ['PATH']}")
    assert watch.command("check-inventory", "/copy") == (1 if error else 0)
    out, err = capfd.readouterr()
    assert out.startswith(error)
    assert "secret\n" not in out + err


def test_a_failed_look_is_told_without_history_or_settings(
    watch: Installed, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = watch.directory / "runtime"
    runtime.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(runtime))
    monkeypatch.setenv("MONITOR_SERVICE_RESULT", "timeout")
    watch.notify(f"json://{receiver.address}/{TOKEN}")
    receiver.answer = 500
    assert watch.command("tell-blind") == 1
    # Nobody got it, so it is tried at the next failure.
    receiver.answer = 200
    watch.config.write_text("{")
    for _ in range(3):
        assert watch.command("tell-blind") == 0
    assert len(receiver.got) == 2
    assert receiver.got[-1]["title"] == "bookface: the watch is blind"
    assert " has failed (timeout). " in receiver.got[-1]["message"]
    os.utime(runtime / "told-blind", (1, 1))
    assert watch.command("tell-blind") == 0
    assert len(receiver.got) == 3
    assert not (watch.state / "history.db").exists()


def test_a_history_of_before_says_nothing_of_now(
    watch: Installed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.command("run")
    found = watch.history()
    assert (found["stale"], [one["state"] for one in found["parts"]]) == (False, ["up"])
    last = found["last_seen"]
    watch.before("sys.exit(3)")
    watch.command("run")
    found = watch.history()
    assert (found["stale"], [one["state"] for one in found["parts"]]) == (True, ["unknown"])
    watch.before("")
    watch.command("run")
    assert watch.history()["stale"] is False
    later = time.time() + 301
    monkeypatch.setattr(time, "time", lambda: later)
    capsys.readouterr()
    watch.command("history", "--since", "1m")
    said = capsys.readouterr().out
    assert f"STALE: no look has seen anything since {last[:11]}" in said
    assert "  unknown  docker1/container/bookface_1" in said


@pytest.mark.parametrize("written", ["{", '{"a": 1}', f'["{TOKEN}", 1]', f'"{TOKEN}"'])
def test_urls_that_cannot_be_read_keep_nobody_from_mending(
    watch: Installed, capfd: pytest.CaptureFixture[str], written: str
) -> None:
    (watch.directory / "notify.json").write_text(written)
    assert watch.command("run") == 0
    assert watch.command("test-notify") == 1
    out, err = capfd.readouterr()
    assert "run watch.yml again" in out
    assert "run watch.yml again" in err
    assert TOKEN not in out + err


def test_a_damaged_history_is_told(watch: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    watch.command("run")
    (watch.state / "history.db").write_text("damaged")
    assert watch.command("run") == 0
    assert "NOTE: the history was damaged" in capsys.readouterr().out
    assert watch.history()["looks"]["count"] == 1


def test_a_history_that_cannot_be_written_is_said(
    watch: Installed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(History, "add", full)
    assert watch.command("run") == 1
    out, err = capsys.readouterr()
    assert out.startswith("healthy: 1 up")
    assert "history.db cannot be written: database or disk is full." in err


def test_settings_that_cannot_be_read(watch: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    watch.config.write_text("{")
    assert watch.command("run") == 1
    assert "Run watch.yml again" in capsys.readouterr().err


def test_numbers_may_be_text(watch: Installed) -> None:
    """As ansible-core 2.17 and 2.18 write them."""
    watch.configure(
        interval="60", timeout="600", notify_after="1", still_down="1800", per_hour="12", keep="9e6"
    )
    watch.notify("json://127.0.0.1:9/")
    watch.find(part(WEB, "down"))
    assert watch.command("run") == 0
    found = watch.history()
    assert found["messages"]["waiting"] == 1
    watch.configure(timeout="soon")
    assert watch.command("run") == 1


def test_history_is_for_people_too(watch: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch.command("history") == 0
    assert "no history yet" in capsys.readouterr().out
    watch.find(part(WEB, "down", cause="exited", wanted="a look"))
    watch.command("run")
    capsys.readouterr()
    assert watch.command("history", "--since", "7d") == 0
    said = capsys.readouterr().out
    assert "1 looks, 0 of them blind; the last one: broken" in said
    assert "lb1 serves from docker" in said
    assert "container bookface_1 on docker1: down since then" in said
    assert ": exited; to do: a look" in said
    with pytest.raises(SystemExit):
        watch.command("history", "--since", "soon")


def test_apprise_is_not_imported_for_a_look(watch: Installed) -> None:
    """A look costs a fraction of what the library's import alone does."""
    code = (
        "import sys\n"
        "from ansible_collections.bookface.platform.plugins.module_utils.watch import program\n"
        "program.main()\n"
        "print(sorted(name for name in sys.modules if name in ('apprise', 'ansible', 'yaml')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--config", str(watch.config), "run"],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
