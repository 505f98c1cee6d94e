# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of a switch against a real HAProxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Lab

HEADERS = "    http-after-response set-header X-Bookface-Backend %b\n"


@pytest.fixture(scope="module")
def switched(shared: Lab) -> dict[str, Any]:
    """The load balancer after a switch to docker; what the module returned."""
    lab = shared
    text = lab.text()
    assert "    bind 127" in text
    lab.config.write_text(text.replace("    bind 127", f"{HEADERS}    bind 127"))
    lab.reload()
    return lab.switch("docker")


def prove(lab: Lab, **more: Any) -> dict[str, Any]:
    arguments = {
        "socket": str(lab.admin),
        "backend": "docker",
        "url": f"http://127.0.0.1:{lab.port}/",
        "content": "docker",
        "seconds": 0.2,
        **more,
    }
    return lab.end(lab.begin("haproxy_proof", arguments))


def test_a_backend_that_serves(shared: Lab, switched: dict[str, Any]) -> None:
    assert switched["counted"]["pid"] == shared.pid()
    found = prove(shared, before=switched["counted"], requests=3)
    assert (found["counted"]["sessions"], found["counted"]["errors"]) == (3, 0)
    assert found["changed"] is False


@pytest.mark.usefixtures("switched")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"status": 404}, "status"),
        ({"content": "legacy"}, "content"),
        ({"backend": "legacy"}, "backend"),
        ({"url": "http://127.0.0.1:9/"}, "no_answer"),
        ({"socket": "/nowhere.sock"}, "unreachable"),
    ],
)
def test_what_does_not_serve(shared: Lab, arguments: dict[str, Any], reason: str) -> None:
    failed = prove(shared, **arguments)
    assert (failed["failed"], failed["reason"]) == (True, reason), failed


@pytest.mark.usefixtures("switched")
def test_answers_that_did_not_come_through_haproxy(shared: Lab) -> None:
    beside = f"http://127.0.0.1:{shared.web['docker'].port}/"
    before = prove(shared, requests=1)["counted"]
    failed = prove(shared, url=beside, identified=False, before=before)
    assert failed["reason"] == "not_counted"
    assert "counted 0" in failed["msg"]


def test_the_proof_needs_no_headers(lab: Lab) -> None:
    """HAProxy's counters are the witness."""
    assert "X-Bookface-Backend" not in lab.text()
    before = lab.switch("docker")["counted"]
    failed = prove(lab, before=before)
    assert failed["reason"] == "backend"
    found = prove(lab, identified=False, before=before, requests=2)
    assert found["counted"]["errors"] == 0
    assert found["counted"]["sessions"] >= 2
