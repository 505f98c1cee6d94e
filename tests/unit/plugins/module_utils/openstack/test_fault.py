"""A cloud's own words, as it really said them, and what they mean."""

from __future__ import annotations

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.openstack.fault import explain


@pytest.mark.parametrize(
    ("words", "means"),
    [
        ("ConfigException: Cloud nosuch was not found.", "clouds.yaml has no such cloud"),
        (
            "Unauthorized: The request you have made requires authentication. (HTTP 401)",
            "a wrong user or password, or a token that has expired",
        ),
        ("NotFound: Failed to validate token (HTTP 404)", "a token that has expired"),
        (
            "NotFound: Could not recognize Fernet token (HTTP 404) (Request-ID: req-1)",
            "a token that has expired",
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
        ("403: Client Error, Policy doesn't allow it to be performed.", "the account may not"),
    ],
)
def test_the_meaning_stands_before_the_words(words: str, means: str) -> None:
    told = explain(words)
    assert means in told.partition("The cloud's own words:")[0]
    assert words in told


def test_what_is_not_known_stays_as_it_is() -> None:
    assert explain("It\n rains.") == "It rains."
    assert explain("") == "the cloud gave no reason"
