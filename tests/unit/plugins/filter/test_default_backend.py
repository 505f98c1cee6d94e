# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.default_backend import (
    FilterModule,
    default_backend,
)

ROOT = Path(__file__).resolve().parents[4]
SITE = "frontend bookface\n    bind *:80\n    default_backend docker # switched\nbackend docker\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SITE, "docker"),
        ("defaults\n default_backend base\nfrontend bookface\n bind :1\n", "base"),
        ("frontend bookface\n bind :1\n", None),
        ("frontend other\n default_backend docker\n", None),
        ("", None),
        (None, None),
    ],
)
def test_name_or_none(text: str | None, expected: str | None) -> None:
    assert default_backend(text, "bookface") == expected


@pytest.mark.parametrize(
    "text",
    [
        "frontend bookface\n.if A\n default_backend a\n.endif\n",
        "frontend bookface\n default_backend a\nfrontend bookface\n default_backend b\n",
    ],
)
def test_what_cannot_be_told_is_an_error(text: str) -> None:
    with pytest.raises(AnsibleFilterError, match="default_backend"):
        default_backend(text, "bookface")


def test_wrong_type_is_an_error() -> None:
    with pytest.raises(AnsibleFilterError, match="got list"):
        default_backend([SITE], "bookface")  # type: ignore[arg-type]


def test_the_filter_is_there_by_its_name() -> None:
    assert FilterModule().filters()["default_backend"] is default_backend


def test_through_ansible_with_documentation(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".ansible" / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }
    programs = Path(sys.executable).parent
    expression = "{{ text | bookface.platform.default_backend('bookface') }}"
    done = subprocess.run(
        [
            *(str(programs / "ansible"), "localhost", "-i", "localhost,", "-c", "local"),
            *("-m", "ansible.builtin.debug", "-a", f"msg={expression}"),
            *("-e", json.dumps({"text": SITE})),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    assert '"msg": "docker"' in done.stdout
    doc = subprocess.run(
        [str(programs / "ansible-doc"), "-t", "filter", "-j", "bookface.platform.default_backend"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    described = json.loads(doc.stdout)["bookface.platform.default_backend"]
    assert set(described["doc"]["options"]) == {"_input", "frontend"}
    assert described["return"]["_value"]["type"] == "str"
