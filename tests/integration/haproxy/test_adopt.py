# SPDX-License-Identifier: GPL-3.0-or-later
"""Adopting configurations that others wrote: real HAProxy, the role's own templates, traffic."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.support.load import Load
from tests.support.ports import free_port

if TYPE_CHECKING:
    from conftest import Lab

TEMPLATES = Path(__file__).resolve().parents[3] / "roles/haproxy/templates"


def tabs(lab: Lab) -> bytes:
    """Tabs, comments in two encodings, a rule of the site's own, its servers in the last lines."""
    return (
        f"# grüße\nglobal\n\tstats socket {lab.admin} mode 600 level admin\n\n"
        "defaults\n\tmode\thttp\n\ttimeout connect 2s\n\ttimeout client 20s\n"
        "\ttimeout server 20s\n\n"
        "# the site\nfrontend www\n"
        f"\tbind 127.0.0.1:{lab.port}\n\tacl is_image path_beg /img\n"
        "\tuse_backend images if is_image\n\tdefault_backend web # ours\n\n"
        f"backend images\n\tserver i 127.0.0.1:{lab.web['slow'].port}\n"
        f"backend web\n\tserver w 127.0.0.1:{lab.web['legacy'].port} check\n\n# end "
    ).encode() + b"\xe9 \xff\n"


def windows(lab: Lab) -> bytes:
    """CR LF, no indents, a rule in an .if block, last a defaults section that suits no web site."""
    return "\r\n".join(
        [
            "global",
            f"stats socket {lab.admin} mode 600 level admin",
            "defaults site",
            "mode http",
            "timeout connect 2s",
            "timeout client 20s",
            "timeout server 20s",
            "frontend 'www' from site",
            f"bind 127.0.0.1:{lab.port}",
            "default_backend web",
            ".if version_atleast(2.4)",
            "use_backend images if { path_beg /img }",
            ".endif",
            "backend web from site",
            f"server w 127.0.0.1:{lab.web['legacy'].port} check",
            "backend images from site",
            f"server i 127.0.0.1:{lab.web['slow'].port}",
            "defaults mail",
            "mode tcp",
            "balance source",
            "option httpchk GET /mail",
            "http-check expect string mail",
            "timeout connect 1s",
            "timeout client 1s",
            "timeout server 1s",
            "default-server inter 60s",
            "",
        ]
    ).encode()


def inherits(lab: Lab) -> bytes:
    """The default_backend stands in the defaults; the front is a listen section."""
    return (
        f'global\n  stats socket "{lab.admin}" mode 600 level admin\n'
        "defaults\n  mode http\n  option httpchk HEAD /\n  timeout connect 2s\n"
        "  timeout client 20s\n  timeout server 20s\n  default_backend web\n"
        f"listen www\n  bind 127.0.0.1:{lab.port}\n  use_backend images if {{ path_beg /img }}\n"
        f"backend images\n  server i 127.0.0.1:{lab.web['slow'].port}\n"
        f"backend web\n  server w 127.0.0.1:{lab.web['legacy'].port}\n"
    ).encode()


Style = Callable[["Lab"], bytes]
STYLES = pytest.mark.parametrize("style", [tabs, windows, inherits])


def rendered(name: str, lab: Lab, **more: Any) -> str:
    """A template of the role, with this laboratory's servers."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701
    )
    environment.filters |= {"bool": bool, "quote": shlex.quote}
    server = {"name": "docker1", "address": "127.0.0.1", "port": lab.web["docker"].port}
    variables: dict[str, Any] = {
        "haproxy_backends": [{"name": "docker", "servers": [server]}],
        "haproxy_backend_checks": {},
        "haproxy_backend_extra": {},
        "haproxy_backend_server_maxconn": {},
        "haproxy_backend_server_options": {},
        "haproxy_check": {"path": "/ready", "content": "docker"},
        "haproxy_server_timeout": 20,
        "haproxy_server_options": "inter 200ms",
        "haproxy_server_maxconn": 60,
        "haproxy_identify_server": True,
        "__haproxy_frontend": "www",
        "__haproxy_frontends": ["www"],
        "haproxy_shift_cookie": "cohort",
        "bookface_webhost": "127.0.0.1",
        "__haproxy_adopted": ["docker"],
        "__haproxy_map": str(lab.map),
        "__haproxy_has_page": False,
        "__haproxy_maintenance": "maintenance",
        "__haproxy_page_file": str(lab.directory / "pages" / "maintenance.html"),
        "__haproxy_origins": str(lab.map.with_name("origin.map")),
        "__haproxy_allowed": ["127.0.0.2"],
        "haproxy_maintenance_retry_after": 300,
        "haproxy_down_page": "",
    }
    return environment.get_template(name).render(variables | more)


def adopt(lab: Lab, check: bool = False, **more: Any) -> dict[str, Any]:
    arguments = {
        "config": str(lab.config),
        "backends": rendered("adopted_backends.cfg.j2", lab),
        "frontend": "www",
        "rule": rendered("switch_variables.cfg.j2", lab) + rendered("switch_rule.cfg.j2", lab),
        "_ansible_check_mode": check,
        "_ansible_diff": True,
        **more,
    }
    return lab.end(lab.begin("haproxy_adopt", arguments))


def give_back(lab: Lab) -> dict[str, Any]:
    return adopt(lab, backends="", rule=None)


def checked(lab: Lab) -> bool:
    """Whether the adopted server has passed its check."""
    return any(s.passed and not s.undecided for s in lab.stats.stat(5).servers_of("docker"))


@STYLES
def test_from_adopting_to_giving_back(stopped: Lab, style: Style) -> None:
    lab = stopped
    original = style(lab)
    lab.config.write_bytes(original)
    lab.start()
    assert (lab.traffic(), lab.traffic("/img/1")) == ("legacy", "slow")

    previewed = adopt(lab, check=True)
    assert previewed["changed"], previewed
    assert lab.config.read_bytes() == original
    done = adopt(lab)
    assert done["diff"] == previewed["diff"]
    assert done["blocks"] == ["variables", "rule", "backend docker"]
    assert "server docker1" in done["diff"][-1]["after"]
    assert "Warnings" not in done["validator"], done["validator"]
    assert not adopt(lab)["changed"]

    lab.reload()
    assert (lab.traffic(), lab.traffic("/img/1")) == ("legacy", "slow")
    lab.until(lambda: checked(lab), "the check of the adopted server")
    switched = lab.switch("docker", frontend="www")
    assert (switched.get("engine"), switched["changed"]) == ("runtime", True), switched
    # The rules of the site itself come first.
    assert (lab.traffic(), lab.traffic("/img/1")) == ("docker", "slow")
    for path in ("/platform/ready", "/%70latform/live", "//platform/live", "/x/../platform/live"):
        assert lab.traffic(path) == "status 404", path
    assert lab.traffic("/images/platform/1?/platform/") == "docker"
    lab.reload()
    assert lab.traffic() == "docker"

    refused = give_back(lab)
    assert "frontend 'www' sends its traffic to backend docker" in refused["msg"]
    adopt(lab)
    assert not adopt(lab)["changed"]
    assert lab.switch("web", frontend="www", require_healthy=0)["changed"]
    assert give_back(lab)["changed"]
    assert not give_back(lab)["changed"]
    left = lab.config.read_bytes()
    if style is inherits:
        # The switch has written a default_backend of the frontend's own.
        assert left.count(b"  default_backend web\n") == 2
        left = left.replace(b"/img }\n  default_backend web\n", b"/img }\n")
    assert left == original
    assert lab.files() == ["haproxy.cfg"]
    lab.reload()
    assert (lab.traffic(), lab.traffic("/img/1")) == ("legacy", "slow")


def test_a_share_of_the_clients(stopped: Lab) -> None:
    """The whole rule is there: cohorts follow the map, by their cookie."""

    def asked_as(cohort: int) -> str:
        request = Request(f"http://127.0.0.1:{lab.port}/", headers={"Cookie": f"cohort={cohort}"})
        with urlopen(request, timeout=10) as reply:  # noqa: S310  (our own)
            return str(reply.read().decode())

    lab = stopped
    lab.config.write_bytes(tabs(lab))
    lab.start()
    assert adopt(lab)["changed"]
    lab.reload()
    lab.until(lambda: checked(lab), "the check of the adopted server")
    shifted = lab.switch("docker", frontend="www", percent=30)
    assert (shifted.get("engine"), shifted["changed"]) == ("runtime", True), shifted
    assert [asked_as(cohort) for cohort in (0, 29, 30, 99)] == ["docker"] * 2 + ["legacy"] * 2


@pytest.mark.load
def test_no_request_is_lost(stopped: Lab) -> None:
    """New connections: the reload that adopting needs may cost a reused one."""
    lab = stopped
    lab.config.write_bytes(tabs(lab))
    lab.start()
    url = f"http://127.0.0.1:{lab.port}/"
    with Load([url], clients=4, rate=100, expect="", mix={"new": 1.0}) as load:
        assert load.wait_for(50, seconds=30)
        assert adopt(lab)["changed"]
        lab.reload()
        lab.until(lambda: checked(lab), "the check of the adopted server")
        assert lab.switch("docker", frontend="www")["changed"]
        assert load.wait_for(load.requests + 50, seconds=30)
        assert lab.switch("web", frontend="www")["changed"]
        assert give_back(lab)["changed"]
        lab.reload()
        assert load.wait_for(load.requests + 50, seconds=30)
    assert load.summary.failed == 0, load.summary.as_text()


def test_what_haproxy_refuses_does_not_land(stopped: Lab) -> None:
    lab = stopped
    original = tabs(lab)
    lab.config.write_bytes(original)
    refused = adopt(lab, backends=rendered("adopted_backends.cfg.j2", lab) + "    no-such-word\n")
    assert refused["failed"]
    assert "no-such-word" in refused["msg"]
    assert "Nothing was changed" in refused["msg"]
    assert lab.config.read_bytes() == original
    assert lab.files() == ["haproxy.cfg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frontend": "shop"}, "existing frontends: www"),
        ({"backends": "backend web\n"}, "'backend web' already exists in the configuration"),
        ({"frontend": None}, "missing parameter(s) required by 'rule': frontend"),
        ({"haproxy": "/nowhere/haproxy"}, "/nowhere/haproxy is not an executable program"),
        ({"config": "/nowhere/haproxy.cfg"}, "/nowhere cannot be opened"),
    ],
)
def test_wrong_input(stopped: Lab, arguments: dict[str, Any], message: str) -> None:
    lab = stopped
    original = tabs(lab)
    lab.config.write_bytes(original)
    refused = adopt(lab, **arguments)
    assert message in refused["msg"]
    assert lab.config.read_bytes() == original


def test_a_map_that_is_still_to_be_made(stopped: Lab) -> None:
    """A check may come before the map is there; the real run must not."""
    lab = stopped
    lab.config.write_bytes(tabs(lab))
    lab.map.unlink()
    assert adopt(lab, check=True)["changed"]
    refused = adopt(lab)
    assert str(lab.map) in refused["msg"]
    assert lab.config.read_bytes() == tabs(lab)


def test_a_link_stays_a_link_and_the_mode_is_kept(stopped: Lab) -> None:
    lab = stopped
    real = lab.directory / "real.cfg"
    lab.config.unlink()
    real.write_bytes(tabs(lab))
    real.chmod(0o640)
    lab.config.symlink_to(real)
    done = adopt(lab, backup=True)
    assert done["config"] == str(real)
    assert lab.config.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert Path(done["backup_file"]).read_bytes() == tabs(lab)


def test_passwords_are_in_no_result(stopped: Lab) -> None:
    lab = stopped
    secret = b"listen stats\n\tbind 127.0.0.1:9\n\tstats auth me:hunter2\n\tstats enable\n"
    lab.config.write_bytes(tabs(lab) + secret)
    for check in (True, False):
        done = adopt(lab, check=check)
        assert done["changed"], done
        assert "hunter2" not in str(done)


def test_two_frontends_of_one_site(stopped: Lab) -> None:
    """Both get the rule, none loses it to the other, and one switch moves both."""
    lab = stopped
    second = f"frontend tls\n\tbind 127.0.0.1:{free_port()}\n\tdefault_backend web\n"
    original = tabs(lab).replace(b"backend images\n", second.encode() + b"backend images\n")
    lab.config.write_bytes(original)
    lab.start(settle=False)
    both = ["www", "tls"]
    assert adopt(lab)["changed"]
    refused = adopt(lab, frontend="tls")
    assert "Name all that follow the switch: [www, tls]" in refused["msg"]
    assert adopt(lab, frontend=both)["changed"]
    assert not adopt(lab, frontend=both)["changed"]
    lab.reload()
    lab.until(lambda: checked(lab), "the check of the adopted server")
    done = lab.switch("docker", frontend=both)
    assert (done["action"], [one["changed"] for one in done["frontends"]]) == ("map", [True, True])
    assert lab.switch("web", frontend=both)["changed"]
    assert give_back(lab)["changed"]
    assert lab.config.read_bytes() == original


def seen(port: int, client: str) -> str:
    """What a client of this address gets: the backend's name, or the page."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10, source_address=(client, 0))
    try:
        connection.request("GET", "/")
        reply = connection.getresponse()
        return f"{reply.status} {reply.read().decode()}"
    finally:
        connection.close()


def test_a_page_for_maintenance(stopped: Lab) -> None:
    """Both frontends of a site show it, and both let those through who are allowed."""
    lab = stopped
    other = free_port()
    second = f"frontend tls\n\tbind 127.0.0.1:{other}\n\tdefault_backend web\n"
    original = tabs(lab).replace(b"backend images\n", second.encode() + b"backend images\n")
    lab.config.write_bytes(original)
    lab.start(settle=False)
    both = ["www", "tls"]

    def text(name: str) -> str:
        return rendered(name, lab, __haproxy_has_page=True, __haproxy_frontends=both)

    wanted = {
        "frontend": both,
        "backends": text("adopted_backends.cfg.j2"),
        "rule": text("switch_variables.cfg.j2") + text("switch_rule.cfg.j2"),
    }
    # A check may come before page and map are there.
    assert adopt(lab, check=True, **wanted)["changed"]
    page, origins = lab.directory / "pages" / "maintenance.html", lab.map.with_name("origin.map")
    page.parent.mkdir()
    page.write_text("back soon")
    origins.write_text("# None.\n")
    done = adopt(lab, **wanted)
    assert done["blocks"][-2:] == ["backend docker", "backend maintenance"], done
    assert "Warnings" not in done["validator"], done["validator"]
    lab.reload()

    assert lab.switch("maintenance", frontend=both)["changed"]
    for reload in (False, True):
        if reload:
            lab.reload()
        for port in (lab.port, other):
            assert seen(port, "127.0.0.1") == "503 back soon"
            assert seen(port, "127.0.0.2") == "200 legacy"
    refused = adopt(lab, backends="", rule=None)
    assert "sends its traffic to backend maintenance, which would be removed" in refused["msg"]
    arguments = lab.arguments(frontend=both, rollback=True)
    back = lab.end(lab.begin("haproxy_default_backend", arguments))
    assert (back["backend"], origins.read_text()) == ("web", "# None.\n"), back
    assert seen(other, "127.0.0.1") == "200 legacy"
    assert give_back(lab)["changed"]
    assert lab.config.read_bytes() == original
