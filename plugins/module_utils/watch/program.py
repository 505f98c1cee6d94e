# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command bookface-watch."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.watch import config as configs
from ansible_collections.bookface.platform.plugins.module_utils.watch import run, services, uptime
from ansible_collections.bookface.platform.plugins.module_utils.watch.changes import Incident
from ansible_collections.bookface.platform.plugins.module_utils.watch.config import (
    Config,
    ConfigError,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.history import (
    History,
    HistoryError,
    open_history,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.message import (
    clock,
    duration,
    named,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.notify import (
    deliver,
    targets_of,
)
from ansible_collections.bookface.platform.plugins.module_utils.watch.report import WATCH

# Another run is under way: nothing is wrong, and nothing was done.
BUSY = 75
# Seconds that one receiver has.
ONE_SENDING = 10.0
# Seconds until people are told again that looks fail.
BLIND_AGAIN = 3600.0
# A pause that somebody has forgotten ends by itself.
LONGEST_PAUSE = 86400.0
UNITS = {"m": 60, "h": 3600, "d": 86400}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands. Returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.alone:
            return int(options.command(options))
        return int(options.command(configs.load(options.config), options))
    except run.LockedError as error:
        _say(f"bookface-watch: {error}.")
        return BUSY
    except (ConfigError, HistoryError) as error:
        sys.stderr.write(f"bookface-watch: {error}.\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bookface-watch", description="Watches the platform, mends it, and tells people."
    )
    parser.add_argument("--config", type=Path, default=configs.DEFAULT, help="its settings")
    parser.set_defaults(alone=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("run", help="look once, and mend; what the timer does")
    one.set_defaults(command=_run)
    one = commands.add_parser("history", help="show uptime and incidents")
    one.add_argument("--since", type=_seconds, default="24h", help="such as 90m, 24h or 7d")
    one.add_argument("--format", choices=["text", "json"], default="text")
    one.set_defaults(command=_history)
    one = commands.add_parser("pause", help="have no look for some time, such as during site.yml")
    one.add_argument("time", type=_pause, nargs="?", default="1h", help="such as 30m or 2h")
    one.set_defaults(command=_pause_looks)
    one = commands.add_parser("resume", help="end a pause")
    one.set_defaults(command=_resume)
    one = commands.add_parser("deliver", help="send the messages that wait")
    one.set_defaults(command=_deliver)
    one = commands.add_parser("test-notify", help="send a test message to everybody, now")
    one.set_defaults(command=_test_notify)
    one = commands.add_parser("check-inventory", help="check that Ansible can read an inventory")
    one.add_argument("path")
    one.set_defaults(command=_check_inventory)
    # These two need no settings that can be read.
    one = commands.add_parser("check", help="check the URLs that come as JSON; asks nobody")
    one.set_defaults(command=_check, alone=True)
    one = commands.add_parser("tell-blind", help="say that bookface-watch.service has failed")
    one.set_defaults(command=_tell_blind, alone=True)
    return parser


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)([mhd])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"expected such as 90m, 24h or 7d, got {text}")
    return float(found[1]) * UNITS[found[2]]


def _pause(text: str) -> float:
    seconds = _seconds(text)
    if seconds > LONGEST_PAUSE:
        raise argparse.ArgumentTypeError(f"expected at most 24h, got {text}")
    return seconds


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run(config: Config, _options: argparse.Namespace) -> int:
    return run.look(config, _say, start_delivery=run.deliver_by)


def _pause_looks(config: Config, options: argparse.Namespace) -> int:
    until = time.time() + options.time
    run.pause(config, until, _say)
    _say(f"paused until {clock(until)}; bookface-watch resume ends that")
    return 0


def _resume(config: Config, _options: argparse.Namespace) -> int:
    run.resume(config)
    return 0


def _deliver(config: Config, _options: argparse.Namespace) -> int:
    if not config.history.exists():
        return 0
    with run.locked(config.state / "deliver.lock", "another delivery"):
        history, _moved = open_history(config.history, thorough=False)
        try:
            targets = config.targets()
            if not history.due(time.time()):
                return 0
            done = deliver(history, targets, services.sender(ONE_SENDING))
        finally:
            history.close()
    if done.sent:
        _say(f"messages: {done.sent} sent")
    if done.dropped:
        _say(f"messages: {done.dropped} given up, too old or for a receiver that was removed")
    for failure in done.failures:
        _say(f"messages: {failure}")
    # A receiver that is down is not a failure of this unit: it is tried again.
    return 0


def _test_notify(config: Config, _options: argparse.Namespace) -> int:
    targets = config.targets()
    if not targets:
        _say("nobody is notified: watch_notify_urls is empty")
        return 1
    send = services.sender(ONE_SENDING)
    failed = False
    for target in targets:
        outcome = send(
            target,
            f"{config.site}: a test of the watch",
            "This is a test. Messages about the platform look like this one.",
        )
        failed |= not outcome.ok
        _say(f"{target}: {'delivered' if outcome.ok else outcome.error}")
    return int(failed)


def _tell_blind(options: argparse.Namespace) -> int:
    """For what keeps `run` from telling it: without the history, and without a readable config."""
    stamp = Path(os.environ.get("RUNTIME_DIRECTORY", "/run/bookface-watch")) / "told-blind"
    with contextlib.suppress(OSError):
        if time.time() < stamp.stat().st_mtime + BLIND_AGAIN:
            return 0
    urls = options.config.with_name("notify.json")
    try:
        config = configs.load(options.config)
        site, targets = config.site, config.targets()
    except ConfigError:
        site, targets = "bookface", configs.targets_in(urls)
    # Systemd says how it ended, from version 251 on.
    result = os.environ.get("MONITOR_SERVICE_RESULT")
    body = (
        f"BLIND: nobody knows how the platform is: bookface-watch.service on {socket.gethostname()}"
        f" has failed{f' ({result})' if result else ''}. To do:"
        " journalctl -u bookface-watch. While it lasts, this is said every hour."
    )
    send = services.sender(ONE_SENDING)
    outcomes = [(target, send(target, f"{site}: the watch is blind", body)) for target in targets]
    for target, outcome in outcomes:
        _say(f"{target}: {'delivered' if outcome.ok else outcome.error}")
    if any(outcome.ok for _receiver, outcome in outcomes):
        stamp.touch()
    return int(not all(outcome.ok for _receiver, outcome in outcomes))


def _check(_options: argparse.Namespace) -> int:
    targets = targets_of(json.load(sys.stdin))
    if not targets:
        return 0
    unknown = [target for target in targets if not services.known(target)]
    for target in unknown:
        _say(
            f"{target}: Apprise does not know this kind of URL, or it is incomplete. Expected such"
            " as discord://ID/TOKEN, slack://A/B/C, ntfys://HOST/TOPIC, json://HOST/PATH or"
            " mailto://USER:PASSWORD@HOST: https://appriseit.com"
        )
    return int(bool(unknown))


def _check_inventory(config: Config, options: argparse.Namespace) -> int:
    error = run.inventory_error(config, options.path)
    if error:
        _say(error)
    return int(bool(error))


def _history(config: Config, options: argparse.Namespace) -> int:
    if not config.history.exists():
        _say("there is no history yet: the first run writes it")
        return 0
    history, damage = open_history(config.history, thorough=False)
    try:
        found = overview(history, config, time.time(), options.since)
    finally:
        history.close()
    if damage:
        _say(damage)
    _say(json.dumps(found, indent=2) if options.format == "json" else shown(found))
    return 0


def overview(history: History, config: Config, now: float, period: float) -> dict[str, Any]:
    """What happened since then, as data."""
    since = now - period
    looks = history.looks(since)
    incidents = history.incidents(since)
    spans = uptime.observed(looks, now, config.interval * run.SPEAKS_FOR)
    bare = uptime.joined(span for span, _incident in spans)
    known = history.known()
    last_seeing = history.last_seeing()
    # Of what nobody has seen for a while nobody knows how it is.
    stale = (
        last_seeing is None
        or now > last_seeing + config.interval * run.SPEAKS_FOR
        or (bool(looks) and looks[-1].status == "blind")
    )
    return {
        "site": config.site,
        "since": _iso(since),
        "until": _iso(now),
        "stale": stale,
        "last_seen": None if last_seeing is None else _iso(last_seeing),
        "looks": {
            "count": len(looks),
            "blind": sum(look.status == "blind" for look in looks),
            "last": looks[-1].status if looks else None,
            "last_time": _iso(looks[-1].time) if looks else None,
            "paused_until": _iso(paused) if (paused := run.paused_until(config)) > now else None,
        },
        "uptime": uptime.whole(spans),
        "parts": [
            {
                "id": name,
                "state": "unknown" if stale else one.state,
                "uptime": uptime.of_part(
                    bare, [each for each in incidents if each.part.id == name], one.first_seen
                ),
            }
            for name, one in sorted(known.items())
            if one.part != WATCH
        ],
        "active": history.active(),
        "incidents": [_incident(one, now) for one in incidents],
        "messages": {
            "waiting": history.waiting_count(),
            "held_back": len(history.held()),
            "given_up": history.fact("dropped", 0),
        },
    }


def _incident(one: Incident, now: float) -> dict[str, Any]:
    return {
        "part": one.part.id,
        "name": named(one.part),
        "begin": _iso(one.begin),
        "end": None if one.end is None else _iso(one.end),
        "seconds": round((now if one.end is None else one.end) - one.begin, 1),
        "state": one.state,
        "cause": one.cause,
        "actions": list(one.actions),
        "wanted": one.wanted,
    }


def shown(found: dict[str, Any]) -> str:
    """The same for people."""
    looks, messages = found["looks"], found["messages"]
    lines = [
        f"{found['site']}, {found['since']} to {found['until']}",
        f"{looks['count']} looks, {looks['blind']} of them blind; the last one:"
        f" {looks['last'] or 'none'}" + (f", {looks['last_time']}" if looks["last"] else ""),
        *([f"paused until {looks['paused_until']}"] if looks["paused_until"] else []),
        *(
            [f"STALE: no look has seen anything since {found['last_seen'] or 'the beginning'}"]
            if found["stale"]
            else []
        ),
        f"nothing broken: {_percent(found['uptime'])}",
        *(f"{host} serves from {backend}" for host, backend in sorted(found["active"].items())),
        "",
        "Parts",
        *(
            f"  {_percent(one['uptime']):>8}  {one['state']:7}  {one['id']}"
            for one in found["parts"]
        ),
        "",
        f"Incidents: {len(found['incidents']) or 'none'}",
    ]
    for one in found["incidents"]:
        took = duration(one["seconds"])
        lines.append(
            f"  {one['begin']}  {one['name']}: {one['state']} "
            + (f"for {took}" if one["end"] else f"since then ({took})")
            + (f": {one['cause']}" if one["cause"] else "")
            + (f"; {', '.join(one['actions'])}" if one["actions"] else "")
            + (f"; to do: {one['wanted']}" if one["wanted"] else "")
        )
    if any(messages.values()):
        lines += [
            "",
            f"Messages: {messages['waiting']} wait, {messages['held_back']} held back,"
            f" {messages['given_up']} given up so far",
        ]
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    # Rounded down: 100 % means that nothing was ever down.
    return "not seen" if share is None else f"{int(share * 1e5) / 1e3:.3f} %"


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
