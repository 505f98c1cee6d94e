"""What PHP would read back from the filter's text."""

from __future__ import annotations

import json
import subprocess
from shutil import which
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.php_literal import php_literal
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "'plain'"),
        ("it's", r"'it\'s'"),
        ("a\\b", r"'a\\b'"),
        ("$dbhost {$x} \n", "'$dbhost {$x} \n'"),
        (5432, "5432"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
    ],
)
def test_values(value: Any, text: str) -> None:
    assert php_literal(value) == text


@given(st.text())
def test_no_text_ends_its_quotes_early(value: str) -> None:
    """Read by PHP's rule for single quotes, the literal gives the value and nothing after it."""
    literal = php_literal(value)
    assert literal[0] == literal[-1] == "'"
    read, inside = "", iter(literal[1:-1])
    for char in inside:
        assert char != "'"
        read += next(inside) if char == "\\" else char
    assert read == value


def test_lists_are_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="a value that is a list; expected text"):
        php_literal(["a"])


def test_php_agrees() -> None:
    """PHP itself reads the text back."""
    php = which("php")
    if php is None:
        pytest.skip("php is not installed: make test installs it (tests/packages.txt)")
    value = "it's \\ a $trap \\' \"quoted\" ünï"
    done = subprocess.run(
        [php, "-r", f"echo json_encode({php_literal(value)});"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout) == value
