"""Which errors mean that a cloud is out of order."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.openstack.connection import (
    REFUSALS,
    account,
    connect,
    explained,
    is_down,
)
from keystoneauth1 import exceptions as keystone
from openstack import exceptions as sdk


@pytest.mark.parametrize(
    "error",
    [
        keystone.ConnectFailure("Unable to establish connection"),
        keystone.ConnectTimeout("Request timed out"),
        keystone.DiscoveryFailure("Could not find versioned identity endpoints"),
        keystone.ServiceUnavailable("later"),
        keystone.InternalServerError("oops"),
        keystone.HttpError("Too Many Requests", http_status=429),
        keystone.BadGateway("later"),
        json.JSONDecodeError("Expecting value", "<html>", 0),
    ],
)
def test_a_cloud_that_does_not_answer_is_down(error: Exception) -> None:
    assert is_down(error)


@pytest.mark.parametrize(
    "error",
    [
        keystone.Unauthorized("no"),
        keystone.NotFound("no"),
        keystone.Forbidden("no"),
        sdk.ConfigException("Cloud x was not found."),
        keystone.MissingRequiredOptions([]),
    ],
)
def test_a_cloud_that_answers_is_not(error: Exception) -> None:
    """Not even where the answer is that the credentials are wrong: nobody would see it."""
    assert not is_down(error)


def test_a_cloud_that_hangs_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        auth = {
            "auth_url": f"http://127.0.0.1:{silent.getsockname()[1]}/v3",
            "username": "me", "password": "secret", "project_name": "p",
            "user_domain_name": "d", "project_domain_name": "d",
        }  # fmt: skip
        file = tmp_path / "clouds.yaml"
        file.write_text(json.dumps({"clouds": {"lab": {"auth": auth}}}))
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
        with pytest.raises(keystone.ConnectTimeout) as caught:
            connect("lab", timeout=1)
    assert is_down(caught.value)
    assert explained("lab", caught.value).startswith("lab: the cloud does not answer in time")


def test_an_account_is_known_without_a_request_and_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = {
        "auth_url": "https://cloud.example/v3",
        "application_credential_id": "a1",
        "application_credential_secret": "s1",
    }
    cloud = {"auth_type": "v3applicationcredential", "auth": auth, "region_name": "north"}
    file = tmp_path / "clouds.yaml"
    file.write_text(json.dumps({"clouds": {"lab": cloud}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
    assert account("lab") == {
        "auth_url": "https://cloud.example/v3",
        "application_credential_id": "a1",
        "region": "north",
    }
    with pytest.raises(REFUSALS):
        account("other")
