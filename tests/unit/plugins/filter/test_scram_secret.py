"""The filter scram_secret. That servers take its secret is seen in the scenario performance."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.scram_secret import scram_secret

SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="
LONG = "p" * 20


def test_the_example_of_rfc_7677() -> None:
    """Password, salt and iterations are the RFC's, the keys are what they make."""
    assert scram_secret("pencil", 4096, SALT) == (
        f"SCRAM-SHA-256$4096:{SALT}$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@pytest.mark.parametrize("iterations", [1, 64])
def test_iterations_and_salt_are_told(iterations: int) -> None:
    assert scram_secret(LONG, iterations, SALT).startswith(f"SCRAM-SHA-256${iterations}:{SALT}$")
    assert scram_secret(LONG, iterations, SALT) != scram_secret(LONG + "q", iterations, SALT)


@pytest.mark.parametrize(
    ("password", "iterations", "complaint"),
    [
        (LONG, 0, "is 0; expected a number from 1"),
        ("passørd" * 4, 4096, "other than ASCII"),
        ("p" * 19, 64, "set a longer password"),
    ],
)
def test_what_is_refused(password: str, iterations: int, complaint: str) -> None:
    with pytest.raises(AnsibleFilterError, match=complaint):
        scram_secret(password, iterations, SALT)


def test_number_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="put it in quotes"):
        scram_secret(12345678, 4096, "c2FsdA==")  # type: ignore[arg-type]
