"""The page cache on the load balancer, as clients see it."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator

import pytest
from conftest import Platform
from testinfra.host import Host

from tests.support.load import Load
from tests.support.waiting import until

# What the documents promise: fresh, and for so much longer shown while one request renews it.
FRESH, RENEW = 2, 3


@pytest.fixture
def host(platform: Platform) -> Host:
    """The load balancer."""
    return platform.machine("lb1")


@pytest.fixture
def front_door(platform: Platform) -> str:
    """Where clients come in."""
    return f"http://{platform.address('lb1')}"


def ask(host: Host, path: str) -> tuple[dict[str, str], str]:
    """Headers in small letters and body of a page, from the load balancer's own loopback."""
    said = host.check_output("curl -s -m 60 -i %s", f"http://127.0.0.1{path}")
    head, _, body = said.replace("\r\n", "\n").partition("\n\n")
    headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:])
    return headers | {"status": head.split()[1]}, body


def from_cache(host: Host, path: str) -> bool:
    return ask(host, path)[0]["x-bookface-server"] == "cache"


def together(host: Host, path: str, clients: int = 32) -> None:
    """So many clients ask at the same time, and all get a page."""
    command = f"seq {clients} | xargs -P {clients} -I% curl -sf -m 60 -o /dev/null '{path}'"
    host.check_output("sh -c %s", command.replace(path, f"http://127.0.0.1{path}"))


def access_log(machine: Host) -> str:
    """What Apache has logged up to now: a request of our own is in it, so those before are, too."""
    mark = f"/stylesheet.css?{uuid.uuid4()}"
    machine.check_output("curl -s -o /dev/null %s", f"http://127.0.0.1{mark}")
    log = ""

    def marked() -> bool:
        nonlocal log
        log = machine.check_output("cat /var/log/apache2/bookface-access.log")
        return mark in log

    until(marked, f"Apache logs the request for {mark}", 10)
    return log


def requests(platform: Platform, path: str) -> int:
    """How often the web servers have been asked for a page."""
    logs = [access_log(platform.machine(name)) for name in ("web1", "web2")]
    return sum(log.count(f'"GET {path} ') for log in logs)


@pytest.fixture(scope="module")
def profiles(platform: Platform) -> Iterator[str]:
    """Addresses of profiles; each test takes one that nobody has asked for."""
    platform.machine("lb1").check_output("varnishadm ban 'req.url ~ .'")
    users = platform.machine("db1").check_output(
        "su -s /bin/sh postgres -c %s",
        "psql -qtA bf -c 'select userid from users order by createdate, userid limit 20'",
    )
    return iter([f"/showuser.php?user={user}" for user in users.split()])


@pytest.mark.parametrize("path", ["/", "/index.php", "/showallusers.php"])
def test_a_page_is_kept_for_a_moment(host: Host, path: str) -> None:
    ask(host, path)
    headers, body = ask(host, path)
    assert headers["x-bookface-server"] == "cache"
    assert headers["x-bookface-backend"] == "legacy"
    assert int(headers["age"]) <= FRESH + RENEW
    assert "users:" in body.lower()


@pytest.mark.parametrize(
    "path",
    [
        "/?nomemcache=1",
        "/showuser.php?user=1&post=2",
        "/stylesheet.css",
        "/showimage.php?user=1",
        "/addpost.php",
        "/newuser.php?user=&image=",
    ],
)
def test_all_else_is_asked_for_each_time(host: Host, path: str) -> None:
    ask(host, path)
    assert not from_cache(host, path)


def test_the_web_servers_see_the_client_and_not_the_cache(
    platform: Platform, host: Host, front_door: str, profiles: Iterator[str]
) -> None:
    path = next(profiles)
    platform.machine("web1").check_output("curl -sf -o /dev/null %s", front_door + path)
    address = platform.address("web1")
    behind: list[str] = []

    def logged() -> list[str]:
        log = host.check_output("journalctl -u haproxy -o cat --since -60s")
        behind[:] = [line for line in log.splitlines() if path in line and "legacy/web" in line]
        return behind

    until(logged, f"HAProxy logs the request for {path}", 20)
    assert re.search(r"\{([^}]*)\}", behind[0])[1] == address  # type: ignore[index]


@pytest.mark.parametrize("known", [False, True], ids=["first", "expired"])
def test_clients_at_the_same_time_are_one_request(
    platform: Platform, host: Host, profiles: Iterator[str], known: bool
) -> None:
    path = next(profiles)
    if known:
        ask(host, path)
        time.sleep(FRESH + 0.5)
    before = requests(platform, path)
    began = time.monotonic()
    together(host, path)
    lives = int((time.monotonic() - began) / FRESH)  # more where the machine is slow
    # An expired page is renewed behind the clients' backs.
    until(lambda: requests(platform, path) > before, "a web server is asked for the page", 20)
    assert requests(platform, path) <= before + 1 + lives


def test_a_write_is_made_each_time_and_seen_in_time(host: Host, profiles: Iterator[str]) -> None:
    path = next(profiles)
    user = path.partition("=")[2]
    together(host, path)
    posts = ask(host, path)[1].count("<article>")
    for text in ("same", "same"):
        headers, _ = ask(host, f"/addpost.php?user={user}&post={text}")
        assert headers["x-bookface-server"] in ("web1", "web2")
    until(
        lambda: ask(host, path)[1].count("<article>") == posts + 2,
        "the profile shows both posts",
        FRESH + RENEW + 1,
    )


def test_a_lost_database_shows_old_pages_and_keeps_no_error(
    platform: Platform, host: Host, profiles: Iterator[str]
) -> None:
    database = platform.machine("db1")
    known, unknown = next(profiles), next(profiles)
    good = ask(host, known)[1]
    assert "profile" in good
    database.check_output("systemctl stop postgresql@17-main")
    try:
        # At once: the web servers still count as up, and print an error with status 200.
        headers, body = ask(host, unknown)
        assert "SQLSTATE" in body or headers["status"] == "503"
        assert "SQLSTATE" not in ask(host, known)[1]
        # Past the time in which it would be renewed, and the web servers are out.
        time.sleep(FRESH + RENEW + 1)
        for _ in range(3):
            headers, body = ask(host, known)
            assert (headers["status"], body) == ("200", good)
        assert ask(host, unknown)[0]["status"] == "503"
    finally:
        database.check_output("systemctl start postgresql@17-main")
    until(lambda: ask(host, unknown)[0]["status"] == "200", "the page comes again", 30)
    headers, body = ask(host, unknown)
    assert "profile" in body
    assert "SQLSTATE" not in body


@pytest.mark.load
def test_a_dead_cache_costs_no_request(host: Host, front_door: str) -> None:
    with Load([front_door + "/"], clients=8, rate=30, expect="Users:") as load:
        assert load.wait_for(60, seconds=30)
        host.check_output("systemctl kill --signal=KILL varnish")
        assert load.wait_for(load.requests + 100, seconds=30)
        # systemd has started it again.
        until(lambda: from_cache(host, "/"), "pages come from the cache again", 20)
        assert load.wait_for(load.requests + 100, seconds=30)
    assert load.summary.failed == 0, load.summary.as_text()


def test_a_gradual_shift_passes_it_by(platform: Platform, host: Host) -> None:
    platform.switch("-e", "target=docker", "-e", "percent=50")
    try:
        answers = [ask(host, "/")[0] for _ in range(6)]
        assert "cache" not in {headers["x-bookface-server"] for headers in answers}
    finally:
        platform.switch("-e", "target=legacy")


@pytest.mark.load
def test_a_switch_under_load_loses_nothing_and_proves_itself(
    platform: Platform, host: Host, front_door: str
) -> None:
    with Load([front_door + "/"], clients=16, rate=100, expect="Users:") as load:
        assert load.wait_for(100, seconds=30)
        there = platform.switch("-e", "target=docker")
        assert load.wait_for(load.requests + 100, seconds=30)
        until(
            lambda: ask(host, "/")[0]["x-bookface-backend"] == "docker",
            "the cache has a page of docker's",
            FRESH + RENEW + 5,
        )
        back = platform.switch("-e", "target=legacy")
    assert load.summary.failed == 0, load.summary.as_text()
    assert "requests served by docker" in there
    assert "served by legacy" in back
