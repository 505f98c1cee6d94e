r"""A load client that never retries and counts every failure.

A request has failed when it was refused, reset, timed out (whole request, connecting included),
ended early, answered 5xx, answered with other content than expected, or sent on a kept-alive
connection that the server had closed without having announced it. Whatever the cause, the next
request is another one, on a new connection.

As a command:

    python -m tests.support.load http://127.0.0.1:8080/ \
        --rate 200 --duration 10 --expect '<h1>Welcome'

From Python, in the foreground or beside something that must not disturb the traffic:

    from tests.support.load import Load

    summary = Load(["http://127.0.0.1:8080/"], requests=1000, expect="Welcome").run()

    with Load(["http://127.0.0.1:8080/"], rate=200, at_least=500) as load:
        load.wait_for(100, seconds=10)
        switch()
    assert load.summary.failed == 0, load.summary.examples

Kinds of failure:

    refused          nobody listens
    unreachable      connecting failed in another way
    reset            reset on a new connection, or once the answer had begun
    timeout          not complete within --timeout
    ended_early      end of file before the end that Content-Length or chunks promised
    closed_on_reuse  a reused connection was closed or reset before the first byte of the answer
    status_5xx       a complete answer with status 500 to 599
    wrong_content    a complete answer whose body does not match --expect
    bad_response     not HTTP, or bytes that no request asked for
    local            this machine ran out of ports, files or memory: fix the client first

Each request has at most one kind. Other statuses (404, 302) are no failures in themselves:
look at `by_status`, or say what you expect. Names are resolved once, IPv4 preferred. A client
has one request at a time, so a stalled server is asked less often than --rate says.
"""

from __future__ import annotations

from .client import Load
from .errors import LoadError
from .statistics import Asked, Summary, longest_gap, percentile, read_log

__all__ = ["Asked", "Load", "LoadError", "Summary", "longest_gap", "percentile", "read_log"]
