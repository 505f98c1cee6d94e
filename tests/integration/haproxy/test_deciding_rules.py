# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that win over default_backend: a switch that moves nothing is refused, others are named."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.client import ask
from test_switch_refusals import nothing_changes, refused

from tests.support.meanwhile import meanwhile

if TYPE_CHECKING:
    from conftest import Lab

FOLLOW = "    use_backend %[fe_name"
SHOP = "use_backend legacy if { hdr(host) -i shop.example }"


def write(lab: Lab, rules: str, **text: Any) -> None:
    """The laboratory's configuration with rules before the switch's own."""
    before = "    default_backend" if text.get("rule") is False else FOLLOW
    lab.config.write_text(lab.text(**text).replace(before, f"    {rules}\n{before}", 1))


@pytest.mark.parametrize("engine", ["auto", "file"])
@pytest.mark.parametrize(
    "rules",
    [
        "use_backend legacy",
        "use_backend legacy if { path_beg / }",
        "use_backend %[req.hdr(host),lower,map_str({map},legacy)]",
        "http-request redirect location http://127.0.0.1:9/ unless { ssl_fc }",
        "tcp-request connection reject if TRUE",
        "use_backend legacy if { path /a }\n    use_backend dead unless { path /a }",
    ],
)
def test_a_switch_that_would_move_nothing(shared: Lab, rules: str, engine: str) -> None:
    lab = shared
    rules = rules.replace("{map}", str(lab.map))
    write(lab, rules)
    with lab.config.open() as file:
        before = file.read()
    refused(
        lab,
        "docker",
        "would move no traffic",
        f"line 15 ({rules[:16]}",
        "the default_backend",
        engine=engine,
    )
    assert lab.config.read_text() == before
    assert (lab.entry(), lab.traffic()) == ((), "legacy")


def test_a_catch_all_after_the_rule_would_win_at_the_next_reload(stopped: Lab) -> None:
    lab = stopped
    last = "    default_backend"
    lab.config.write_text(lab.text().replace(last, f"    use_backend legacy\n{last}"))
    lab.start()
    with nothing_changes(lab):
        refused(lab, "docker", "line 16 (use_backend legacy)")


def test_where_the_traffic_is_already_a_run_only_warns(stopped: Lab) -> None:
    """Such as a page for maintenance, while the platform's own run aligns the live entry."""
    lab = stopped
    write(lab, "http-request return status 503")
    lab.start()
    done = lab.switch("legacy")
    assert done["changed"]
    assert done["deciding_rules"][0]["always"] is True
    assert "line 15 (http-request return status 503)" in str(done["warnings"][0])


def test_rules_that_may_keep_traffic_are_named(stopped: Lab) -> None:
    lab = stopped
    known = "http-request deny if { path_beg /admin }  # not switched"
    write(lab, f"{SHOP}\n    {known}\n    use_backend docker if {{ path /d }}")
    lab.start()
    for check in (True, False):
        done = lab.switch("docker", check=check)
        named = [(rule["line"], rule["backend"]) for rule in done["deciding_rules"]]
        assert named == [("15", "legacy"), ("16", None)]
        (warning,) = done["warnings"]
        assert f"may keep traffic from docker: line 15 ({SHOP})" in str(warning)
        assert "admin" not in str(warning)
    assert lab.traffic() == "docker"


def test_a_lookup_hides_the_map_rule(stopped: Lab) -> None:
    """Where it finds no backend HAProxy takes default_backend at once, so that has to change."""
    lab = stopped
    other = lab.directory / "maps" / "hosts.map"
    other.write_text("images.example dead\n")
    write(lab, f"use_backend %[req.hdr(host),lower,map({other})]")
    lab.start()
    with nothing_changes(lab):
        refused(lab, "docker", "does not evaluate the map rule after line 15", engine="runtime")
    done = lab.switch("docker")
    assert (done["engine"], lab.traffic()) == ("reload", "docker")


def clients_of(lab: Lab, host: str) -> AbstractContextManager[None]:
    """Somebody who asks one site all the time."""
    return meanwhile(lambda: ask(f"https://127.0.0.1:{lab.port}/", host, {}, 10))


@pytest.fixture
def secure(stopped: Lab) -> Lab:
    """HTTPS, where one site is chosen by its Host and one by the name in the handshake."""
    lab = stopped
    pem = lab.directory / "site.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-days", "2",
         "-keyout", str(pem) + ".key", "-out", str(pem)],
        check=True, capture_output=True,
    )  # fmt: skip
    write(lab, f"{SHOP}\n    use_backend legacy if {{ ssl_fc_sni sni.example }}")
    bind = f"bind 127.0.0.1:{lab.port}"
    lab.config.write_text(lab.config.read_text().replace(bind, f"{bind} ssl crt {pem}"))
    lab.start()
    return lab


def test_the_proof_asks_as_a_client_of_the_site(secure: Lab) -> None:
    lab = secure
    done = lab.switch("docker")
    assert done["door"] == f"https://127.0.0.1:{lab.port}/"

    def prove(**more: Any) -> dict[str, Any]:
        arguments = {
            "socket": str(lab.admin), "backend": "docker", "url": done["door"], "content": "docker",
            "identified": False, "requests": 2, "seconds": 0, "frontend": "book-face", **more,
        }  # fmt: skip
        return lab.end(lab.begin("haproxy_proof", arguments))

    assert prove()["traffic"] == {"requests": 2, "to_backend": 2, "percent": 100}
    assert prove(host="else.example:8443")["counted"]["sessions"] == 4
    for host in ("shop.example", "Shop.Example", "sni.example:443"):
        failed = prove(host=host)
        assert failed["reason"] == "content", failed
    # Clients that stay elsewhere show in the counters.
    kept = prove(host="shop.example", content="legacy", backend="dead", requests=3, before=None)
    assert kept["reason"] == "not_counted", kept
    with clients_of(lab, "shop.example"):
        traffic = prove(seconds=1)["traffic"]
    assert traffic["requests"] > traffic["to_backend"] == 2, traffic
