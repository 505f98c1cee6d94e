"""The load client on the command line, see the package."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.files import write_json

from .client import Load
from .errors import LoadError
from .mix import DEFAULT_MIX


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="load",
        description="A load client that never retries and counts every failure.",
        epilog="Without --duration or --requests it runs until SIGINT or SIGTERM. "
        "Exit status: 0 no request failed, 1 some failed, 2 invalid arguments.",
    )
    add = parser.add_argument
    add("urls", nargs="+", metavar="URL", help="http://HOST[:PORT]/PATH; several are asked in turn")
    add("--clients", type=int, default=8, metavar="N", help="clients at the same time (8)")
    add("--mix", default=DEFAULT_MIX, help=f"kinds of clients and their shares ({DEFAULT_MIX})")
    add("--rate", type=float, default=0, metavar="R", help="requests/s in all; 0: no limit (0)")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--duration", type=float, default=0, metavar="S", help="seconds to run")
    end.add_argument("--requests", type=int, default=0, metavar="N", help="requests to make")
    add(
        "--at-least",
        type=int,
        default=0,
        metavar="N",
        help="stop on a signal only once N requests are done",
    )
    add(
        "--max-seconds",
        type=float,
        default=None,
        metavar="S",
        help="end after S seconds in any case (3600, or --duration if that is more)",
    )
    add("--expect", metavar="REGEX", help="every body must match it somewhere")
    add("--header", action="append", default=[], metavar="'NAME: VALUE'", help="add a header")
    add("--timeout", type=float, default=10, metavar="S", help="for a whole request (10)")
    add("--json", type=Path, metavar="FILE", help="write the summary there")
    add("--log", type=Path, metavar="FILE", help="write one JSON line per request there")
    add("--progress", action="store_true", help="a line every few seconds on stderr")
    add("--allow-public", action="store_true", help="allow addresses that are not private")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    try:
        if args.json is not None and not os.access(args.json.parent, os.W_OK | os.X_OK):
            raise LoadError(f"json: {args.json.parent} is not a writable directory")
        max_seconds = args.max_seconds
        load = Load(
            args.urls,
            clients=args.clients,
            mix=args.mix,
            rate=args.rate,
            duration=args.duration,
            requests=args.requests,
            at_least=args.at_least,
            max_seconds=max(3600.0, args.duration) if max_seconds is None else max_seconds,
            expect=args.expect,
            headers=args.header,
            timeout=args.timeout,
            log=args.log,
            progress=args.progress,
            allow_public=args.allow_public,
        )
        summary = load.run(stop_signals=(signal.SIGINT, signal.SIGTERM))
        if args.json is not None:
            write_json(args.json, summary.as_dict())
        if not summary.requests:
            raise LoadError("stopped before the first request")
    except (LoadError, OSError) as error:
        print(f"load: error: {error}", file=sys.stderr)
        return 2
    print(summary.as_text())
    if summary.requests < args.at_least:
        print(
            f"load: ended by {summary.stopped_by} before {args.at_least} requests were done",
            file=sys.stderr,
        )
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
