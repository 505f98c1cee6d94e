"""The module's refusals, which need no Graphviz."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bookface.platform.plugins.modules.topology_diagram import main


def refusal(capsys: pytest.CaptureFixture[str], **arguments: Any) -> str:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        main()
    result = json.loads(capsys.readouterr().out)
    assert result["failed"]
    return str(result["msg"])


def test_another_suffix_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "topology.pdf"
    told = refusal(capsys, model={}, dest=str(file))
    assert told == f"dest is {file}: expected a file name that ends in .svg or .png."
    assert not file.exists()
