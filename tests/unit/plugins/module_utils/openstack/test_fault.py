"""Errors of a cloud as it really gave them, and their explanations."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.filter.openstack_plan import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.openstack.fault import (
    Fault,
    explain,
)

fault = FilterModule().filters()["openstack_fault"]


@pytest.mark.parametrize(
    ("words", "means"),
    [
        ("ConfigException: Cloud nosuch was not found.", "clouds.yaml has no such cloud"),
        ("ConfigException: Cloud envvars was not found.", "Source the openrc file"),
        (
            "Unauthorized: The request you have made requires authentication. (HTTP 401)",
            "a wrong user or password, or an expired token or application credential",
        ),
        (
            "NotFound: Could not find Application Credential: 6129f165 (HTTP 404)",
            "an expired token or application credential",
        ),
        (
            "ConnectTimeout: Request to http://127.0.0.1:1/v3/auth/tokens timed out",
            "the cloud does not answer in time",
        ),
        ("NotFound: Failed to validate token (HTTP 404)", "an expired token"),
        (
            "NotFound: Could not recognize Fernet token (HTTP 404) (Request-ID: req-1)",
            "an expired token",
        ),
        (
            "ConnectFailure: Unable to establish connection to http://127.0.0.1:1/v3/auth/tokens",
            "the cloud's endpoint cannot be reached",
        ),
        (
            "ForbiddenException: 403: Client Error, Quota exceeded for instances: Requested 1, but"
            " already used 10 of 10 instances",
            "a quota of the project is used up",
        ),
        ("ConflictException: 409: Client Error, Quota exceeded for resources", "a quota"),
        (
            "ConflictException: 409: Client Error for url: /v2.0/floatingips, No more IP addresses"
            " available on network 1234.",
            "the pool of addresses is empty",
        ),
        ("No valid host was found. There are not enough hosts available.", "no host of the cloud"),
        (
            "403: Client Error, Policy doesn't allow it to be performed.",
            "the account is not allowed",
        ),
    ],
)
def test_the_explanation_comes_before_the_message(words: str, means: str) -> None:
    told = fault(words)
    assert means in told.partition("Message of the cloud:")[0]
    assert words in told


@pytest.mark.parametrize(
    ("status", "kind", "means"),
    [
        (401, "", "the cloud refused the credentials"),
        (403, "", "the account is not allowed"),
        (413, "", "a quota of the project is used up"),
        (409, "OverQuota", "a quota of the project is used up"),
        (409, "IpAddressGenerationFailure", "the pool of addresses is empty"),
        (0, "ConnectTimeout", "the cloud does not answer in time"),
        (0, "ConnectFailure", "the cloud's endpoint cannot be reached"),
        (429, "", "the cloud limits how many requests it answers"),
        (503, "", "the cloud is overloaded or under maintenance"),
        (500, "NoValidHost", "no host of the cloud has room"),
    ],
)
def test_status_and_type_are_enough(status: int, kind: str, means: str) -> None:
    assert explain(Fault("Feil.", status, kind)).startswith(means)


@pytest.mark.parametrize(
    ("response", "means"),
    [
        ('{"NeutronError": {"type": "OverQuota", "message": "Feil."}}', "a quota of the project"),
        ('{"forbidden": {"code": 403, "message": "Feil."}}', "the account is not allowed"),
        ("<html>", "Feil."),
        ("[1]", "Feil."),
        (None, "Feil."),
    ],
)
def test_the_answer_in_the_result_of_a_task_is_read(response: str | None, means: str) -> None:
    failed = {"failed": True, "msg": "Feil.", "extra_data": {"response": response}}
    assert fault(failed).startswith(means)
    assert fault({"failed": True, "msg": "x", "results": [{"msg": "ok"}, failed]}).startswith(means)


def test_unknown_errors_are_left_unchanged() -> None:
    assert fault("It\n rains.") == "It rains."
    assert fault("") == "the cloud gave no reason"
    assert fault({"failed": True}) == "failed"
