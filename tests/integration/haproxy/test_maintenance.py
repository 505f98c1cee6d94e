# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages that HAProxy itself serves, with the configuration that the role writes."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.bookface.platform.plugins.filter.page_problems import largest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.file import (
    read_file,
    write_candidate,
)
from conftest import Lab, WebServer
from faults import go_on, held, killed

from tests.support.loopback import haproxy_config
from tests.support.ports import free_port

# What a template or a format would change.
PAGE = '<p title="a\\tb\\"c">100 % %[src] %b {{ x }} {% y %} \'q\' 🛠 Grüße</p>\r\n'
# Largest with HAProxy's own size of a buffer.
LARGEST = largest({"haproxy_mode": "adopt"})
VISITOR, ALLOWED = "127.0.0.1", "127.0.0.2"


class Reply(NamedTuple):
    status: int
    body: str
    headers: dict[str, str]


class Site(Lab):
    """A load balancer whose configuration is the role's."""

    def write(self, **more: Any) -> None:
        checked = {"path": "/ready"}
        servers = {
            name: [{"name": name, "address": "127.0.0.1", "port": self.web[name].port}]
            for name in ("legacy", "docker")
        }
        haproxy_config(
            self.config,
            {
                "haproxy_frontend": "book-face",
                "haproxy_bind": f"127.0.0.1:{self.port}",
                "haproxy_stats_bind": f"127.0.0.1:{free_port()}",
                "haproxy_stats_password": "x",
                "haproxy_check": checked,
                "haproxy_server_options": "inter 200ms fall 1 rise 1",
                "haproxy_backends": [{"name": n, "servers": s} for n, s in servers.items()],
                "haproxy_maintenance_allow": [ALLOWED, "2001:db8::/32"],
                "__haproxy_default": "legacy",
                "__haproxy_socket": str(self.admin),
                "__haproxy_map": str(self.map),
                **more,
            },
        )
        self.page = self.directory / "maintenance.html"
        self.page.write_bytes(PAGE.encode())
        self.origins = self.directory / "origin.map"

    def ask(
        self, client: str = VISITOR, path: str = "/", method: str = "GET", **headers: str
    ) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10, source_address=(client, 0))
        try:
            connection.request(method, path, headers=headers)
            reply = connection.getresponse()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Reply(reply.status, reply.read().decode(), found)
        finally:
            connection.close()

    def seen(self) -> tuple[str, str]:
        """What a visitor gets, and somebody who is allowed to reach the site."""
        visitor, allowed = (self.ask(client).body for client in (VISITOR, ALLOWED))
        return self.named(visitor), self.named(allowed)

    @staticmethod
    def named(body: str) -> str:
        return "page" if body == PAGE else body

    def origin(self) -> tuple[str, str]:
        """What the map says on disk, and in the running HAProxy."""
        lines = [line for line in self.origins.read_text().splitlines() if line[:1] != "#"]
        live = self.stats.map_entries(str(self.origins), 5) or ()
        return " ".join(lines), " ".join(f"{key} {value}" for key, value in live)

    def rollback(self, **more: Any) -> dict[str, Any]:
        return self.end(
            self.begin("haproxy_default_backend", self.arguments(rollback=True, **more))
        )

    def proof(self, **more: Any) -> dict[str, Any]:
        arguments = {
            "socket": str(self.admin),
            "backend": "maintenance",
            "frontend": "book-face",
            "url": f"http://127.0.0.1:{self.port}/",
            "status": 503,
            "content": "",
            "seconds": 0.1,
            **more,
        }
        return self.end(self.begin("haproxy_proof", arguments))


@pytest.fixture(scope="module")
def running(web: dict[str, WebServer]) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="hx-") as directory:
        site = Site(Path(directory), web)
        site.write()
        try:
            site.start()
            yield site
        finally:
            site.stop()


@pytest.fixture
def site(running: Site) -> Site:
    """All traffic at legacy, whatever the test before has left."""
    running.switch("legacy", require_healthy=0)
    running.config.with_name("haproxy.cfg.previous.json").unlink(missing_ok=True)
    assert running.seen() == ("legacy", "legacy")
    assert running.origin() == ("", "")
    return running


def test_the_page_is_served_as_it_is(site: Site) -> None:
    checked = site.switch("maintenance", check=True)
    assert (checked["changed"], checked["origin"]) == (True, "legacy"), checked
    assert site.seen() == ("legacy", "legacy")
    worker = site.pid()
    done = site.switch("maintenance")
    assert (done["engine"], done["action"], done["servers"]) == ("runtime", "map", []), done
    assert done["diff"] == checked["diff"]
    assert "warnings" not in done
    assert site.pid() == worker
    for method, path in (("GET", "/"), ("GET", "/x?y=%20"), ("POST", "/"), ("HEAD", "/")):
        reply = site.ask(path=path, method=method)
        assert (reply.status, reply.body) == (503, PAGE if method != "HEAD" else "")
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert reply.headers["retry-after"] == "300"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-bookface-backend"] == "maintenance"
    for check in (False, True):
        again = site.switch("maintenance", check=check)
        assert (again["changed"], again["origin"]) == (False, "legacy"), again


@pytest.mark.load
def test_each_request_gets_the_site_or_the_page(site: Site) -> None:
    stop, served = threading.Event(), Counter[str]()
    failures: list[str] = []

    def load(keep: bool) -> None:
        connection = HTTPConnection("127.0.0.1", site.port, timeout=10)
        while not stop.is_set():
            try:
                connection.request("GET", "/")
                reply = connection.getresponse()
                got = reply.status, reply.read().decode()
                served[got[1]] += 1
                if got not in ((200, "legacy"), (503, PAGE)):
                    failures.append(repr(got))
            except (OSError, HTTPException) as error:
                failures.append(repr(error))
            if not keep:
                connection.close()
                connection = HTTPConnection("127.0.0.1", site.port, timeout=10)
        connection.close()

    clients = [threading.Thread(target=load, args=(keep,)) for keep in (True, True, False)]
    for client in clients:
        client.start()
    try:
        for number in (1, 2):
            site.until(lambda n=number: served["legacy"] > 100 * n, "requests to the site")
            assert site.switch("maintenance")["changed"]
            before = served["legacy"]
            pages = served[PAGE]
            site.until(lambda p=pages: served[PAGE] > p + 100, "requests to the page")
            # Those under way at the moment of the switch are answered by the site.
            assert served["legacy"] <= before + len(clients)
            assert site.rollback()["backend"] == "legacy"
            site.until(lambda b=before: served["legacy"] > b + 100, "requests to the site again")
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert not failures, (len(failures), failures[:5])
    assert site.seen() == ("legacy", "legacy")


def test_allowed_clients_reach_the_backend_from_before(site: Site) -> None:
    assert site.switch("docker")["changed"]
    assert site.switch("maintenance")["origin"] == "docker"
    assert site.seen() == ("page", "docker")
    assert site.origin() == ("book-face docker", "book-face docker")
    told = site.info()["frontends"]["book-face"]
    assert (told["live_backend"], told["origin"]) == ("maintenance", "docker")
    # They can look at the page, and so does the proof.
    assert site.ask(ALLOWED, **{"X-Bookface-Maintenance": "page"}).body == PAGE

    site.reload()
    assert site.seen() == ("page", "docker")
    site.stop()
    site.start()
    assert site.seen() == ("page", "docker")

    # The live entry of the switch is written again, the other one is there.
    assert site.switch("maintenance")["changed"]
    assert site.origin() == ("book-face docker", "book-face docker")
    assert site.rollback()["origin"] is None
    assert site.seen() == ("docker", "docker")
    assert site.origin() == ("", "")
    assert not site.rollback()["changed"]


def test_from_maintenance_to_another_backend_and_back(site: Site) -> None:
    """Such as after a switch whose proof has failed."""
    assert site.switch("maintenance")["changed"]
    assert site.switch("docker")["changed"]
    assert (site.seen(), site.origin()) == (("docker", "docker"), ("", ""))
    assert site.rollback()["backend"] == "maintenance"
    assert (site.seen(), site.origin()[0]) == (("page", "legacy"), "book-face legacy")
    assert not site.switch("maintenance")["changed"]
    # Another rollback would leave the page in place, and seem to have ended maintenance.
    for check in (True, False):
        refused = site.rollback(_ansible_check_mode=check)
        assert "has the traffic again since the last switch was rolled back" in refused["msg"]
        assert "Name the backend that serves the site, such as legacy (" in refused["msg"]
    assert site.seen() == ("page", "legacy")


@pytest.mark.parametrize("what", ["write_origin", "put", "mirror"])
def test_the_next_run_repairs_what_a_killed_one_has_left(site: Site, what: str) -> None:
    killed(site, "after", what, "maintenance")
    visitor, allowed = site.seen()
    assert visitor in ("legacy", "page")
    assert allowed == "legacy"
    site.reload()
    assert site.seen()[1] == "legacy"
    assert site.switch("maintenance")["origin"] == "legacy"
    assert (site.seen(), site.origin()[0]) == (("page", "legacy"), "book-face legacy")
    killed(site, "after", what, "docker", require_healthy=0)
    assert site.seen()[1] in ("legacy", "docker")
    done = site.switch("docker", require_healthy=0)
    assert "failed" not in done, done
    assert (site.seen(), site.origin()) == (("docker", "docker"), ("", ""))
    assert not site.switch("docker", require_healthy=0)["changed"]


def test_an_entry_that_is_left_is_removed(site: Site) -> None:
    site.origins.write_text("# c\nbook-face docker\nother legacy\n")
    site.stats.write_entry(str(site.origins), "book-face", "docker", False, 5)
    assert site.seen() == ("legacy", "docker")
    leftover = Path(write_candidate(read_file(str(site.origins)), b"x"))
    assert site.switch("legacy")["changed"]
    assert site.seen() == ("legacy", "legacy")
    assert site.origins.read_text() == "# c\nother legacy\n"
    assert not leftover.exists()
    site.origins.write_text("# c\n")


def test_an_entry_that_is_left_in_memory_alone_is_shown(site: Site) -> None:
    site.stats.write_entry(str(site.origins), "book-face", "docker", False, 5)
    for check in (True, False):
        done = site.switch("legacy", check=check)
        shown = {part["before_header"]: (part["before"], part["after"]) for part in done["diff"]}
        assert shown[f"live map {site.origins}"] == ("book-face docker\n", ""), done["diff"]
    assert site.seen() == ("legacy", "legacy")


def test_a_switch_that_fails_leaves_nothing(site: Site) -> None:
    """HAProxy itself refuses a page that is too large, before anything changes."""
    page = site.page.read_bytes()
    site.page.write_bytes(b"x" * 20000)
    try:
        failed = site.switch("maintenance", engine="reload")
    finally:
        site.page.write_bytes(page)
    assert "exceeds the buffer size" in failed["msg"], failed
    assert (site.seen(), site.origin()) == (("legacy", "legacy"), ("", ""))


def test_what_cannot_be_switched_is_restored(site: Site) -> None:
    """HAProxy dies once the file has been replaced."""
    with held(site, "after", "put", "maintenance", wait=2) as program:
        site.crash()
        failed = go_on(site, program)
    site.start()
    assert "could not be switched to maintenance" in failed["msg"], failed
    assert (site.seen(), site.origin()) == (("legacy", "legacy"), ("", ""))


def test_what_cannot_be_noted_is_restored(site: Site) -> None:
    """HAProxy dies once the running one has the origin: then not everything is untouched."""
    with held(site, "after", "write_origin", "maintenance", wait=1) as program:
        site.crash()
        failed = go_on(site, program)
    site.start()
    assert "could not note where the traffic comes from" in failed["msg"], failed
    assert "Nothing was changed" not in failed["msg"]
    assert f"the map {site.origins} is as before; its live entries are unknown" in failed["msg"]
    assert (site.seen(), site.origin()) == (("legacy", "legacy"), ("", ""))


def test_a_reload_is_enough(site: Site) -> None:
    done = site.switch("maintenance", engine="reload")
    assert (done["action"], site.seen()) == ("reload", ("page", "legacy")), done
    done = site.switch("docker", engine="reload", require_healthy=0)
    assert (done["action"], site.seen()) == ("reload", ("docker", "docker")), done
    assert site.origin() == ("", "")


def test_no_share_of_the_clients(site: Site) -> None:
    refused = site.switch("maintenance", percent=10)
    assert "percent is 10, but backend 'maintenance' has no servers" in refused["msg"], refused
    # But the site can be opened for some first.
    assert site.switch("maintenance")["changed"]
    assert site.switch("docker", percent=50)["changed"]
    found = [site.ask(Cookie=f"bookface_cohort={n}").body for n in (0, 49, 50)]
    assert found == ["docker", "docker", PAGE]
    assert site.ask(ALLOWED).body == "legacy"
    assert site.switch("docker")["previous_backend"] == "maintenance"
    assert (site.seen(), site.origin()) == (("docker", "docker"), ("", ""))


def test_the_proof_expects_the_page(site: Site) -> None:
    before = site.switch("maintenance")["counted"]
    proved = site.proof(before=before)
    assert "failed" not in proved, proved
    assert proved["traffic"]["percent"] == 100
    site.switch("legacy", require_healthy=0)
    assert site.proof(before=before)["reason"] == "status"
    # What the page has answered in an earlier maintenance proves nothing.
    again = site.switch("maintenance")["counted"]
    assert again["sessions"] >= proved["counted"]["sessions"] > 0


def test_the_largest_page(site: Site) -> None:
    site.page.write_bytes(b"x" * LARGEST)
    site.reload()
    assert site.switch("maintenance", require_healthy=0)["changed"]
    reply = site.ask()
    site.page.write_bytes(PAGE.encode())
    site.reload()
    assert (reply.status, len(reply.body)) == (503, LARGEST)


class Moody(BaseHTTPRequestHandler):
    """An application that has errors of its own."""

    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/busy" else 200)
        self.end_headers()
        self.wfile.write(b"ours")

    def log_message(self, *_args: object) -> None:
        pass


def test_the_page_while_no_server_is_left(web: dict[str, WebServer]) -> None:
    with tempfile.TemporaryDirectory(prefix="hx-") as directory:
        site = Site(Path(directory), web)
        down = site.directory / "down.html"
        down.write_bytes(PAGE.encode())
        application = ThreadingHTTPServer(("127.0.0.1", 0), Moody)
        threading.Thread(target=application.serve_forever, args=(0.05,), daemon=True).start()
        server = {"name": "a", "address": "127.0.0.1", "port": application.server_address[1]}
        site.write(
            haproxy_backends=[{"name": "legacy", "servers": [server]}],
            haproxy_down_page="down.html",
            haproxy_down_retry_after=7,
            __haproxy_down_file=str(down),
        )
        try:
            site.start()
            assert (site.ask().status, site.ask().body) == (200, "ours")
            assert (site.ask(path="/busy").status, site.ask(path="/busy").body) == (503, "ours")
            application.shutdown()
            application.server_close()
            site.until(lambda: site.ask().status == 503, "no server is left")
            reply = site.ask(path="/busy")
            assert (reply.status, reply.body) == (503, PAGE)
            assert reply.headers["retry-after"] == "7"
            assert reply.headers["cache-control"] == "no-store"
            assert reply.headers["content-type"] == "text/html; charset=utf-8"
        finally:
            site.stop()
