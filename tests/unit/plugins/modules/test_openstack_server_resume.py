"""The module openstack_server_resume: what it asks of the cloud, and what it leaves."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bookface.platform.plugins.modules import openstack_server_resume as tested
from openstack.exceptions import HttpException


class Cloud:
    """A cloud with one server."""

    def __init__(self, after: str = "ACTIVE", **changed: Any) -> None:
        self.asked: list[str] = []
        self.after = after
        self.server = SimpleNamespace(
            **{
                "name": "web1",
                "status": "SHUTOFF",
                "task_state": None,
                "is_locked": False,
                "metadata": {"bookface_platform": "bookface"},
                **changed,
            }
        )
        self.compute = self

    def get_server(self, _id: str) -> SimpleNamespace:
        return self.server

    def __getattr__(self, name: str) -> Any:
        def act(_server: SimpleNamespace) -> None:
            self.asked.append(name)
            self.server.status = self.after

        return act


def resume(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **more: Any
) -> dict[str, Any]:
    arguments = {"cloud": "c", "server": "u", "platform": "bookface", "wait": 0, **more}
    monkeypatch.setattr(tested, "connect", lambda _cloud, _region: cloud)
    with patch_module_args(arguments), pytest.raises(SystemExit):
        tested.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.parametrize(
    ("status", "method"),
    [
        ("SHUTOFF", "start_server"),
        ("PAUSED", "unpause_server"),
        ("SUSPENDED", "resume_server"),
        ("RESCUE", "unrescue_server"),
    ],
)
def test_by_what_the_api_offers(
    status: str,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cloud = Cloud(status=status)
    result = resume(cloud, monkeypatch, capsys)
    assert cloud.asked == [method]
    assert (result["changed"], result["before"], result["status"]) == (True, status, "ACTIVE")


@pytest.mark.parametrize(
    "changed",
    [
        {"is_locked": True},
        {"task_state": "powering-off"},
        {"status": "ERROR"},
        {"status": "SHELVED_OFFLOADED"},
        {"metadata": {}},
        {"metadata": {"bookface_platform": "other"}},
    ],
)
def test_what_it_leaves(
    changed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cloud = Cloud(**changed)
    assert resume(cloud, monkeypatch, capsys)["failed"]
    assert not cloud.asked


def test_an_active_one_is_not_touched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = Cloud(status="ACTIVE")
    assert resume(cloud, monkeypatch, capsys)["changed"] is False
    assert not cloud.asked


def test_check_mode_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = Cloud()
    assert resume(cloud, monkeypatch, capsys, _ansible_check_mode=True)["changed"]
    assert not cloud.asked


@pytest.mark.parametrize("after", ["SHUTOFF", "ERROR"])
def test_one_that_does_not_start_fails(
    after: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = resume(Cloud(after=after), monkeypatch, capsys)
    assert result["failed"]
    assert f"is {after}" in result["msg"]


def test_a_cloud_that_refuses_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = Cloud()

    def refuse(_id: str) -> None:
        raise HttpException("overloaded", http_status=503)

    monkeypatch.setattr(cloud, "get_server", refuse, raising=False)
    result = resume(cloud, monkeypatch, capsys)
    assert (result["failed"], result["changed"]) == (True, False)
    assert "overloaded" in result["msg"]


def test_what_the_cloud_has_accepted_is_a_change_though_it_fails_later(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = Cloud(after="SHUTOFF")
    first = cloud.get_server("u")

    def once(_id: str) -> SimpleNamespace:
        if cloud.asked:
            raise HttpException("overloaded", http_status=503)
        return first

    monkeypatch.setattr(cloud, "get_server", once, raising=False)
    monkeypatch.setattr(tested.time, "sleep", lambda _seconds: None)
    result = resume(cloud, monkeypatch, capsys, wait=5)
    assert (result["failed"], result["changed"], result["before"]) == (True, True, "SHUTOFF")
