"""Names of labels: one place knows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.labels import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.web import labels

ROOT = Path(__file__).resolve().parents[5]
FILTERS = FilterModule().filters()


def test_labels_from_short_names() -> None:
    assert FILTERS["label"]("role") == "platform.bookface.role"
    assert FILTERS["labels"]({"made": "swarm", "port": 32001}) == {
        "platform.bookface.made": "swarm",
        "platform.bookface.port": "32001",
    }


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AnsibleFilterError, match=r"label: expected one of base, .*, got 'rule'"):
        FILTERS["labels"]({"rule": "web"})


@pytest.mark.parametrize(
    ("given", "ours"),
    [(None, False), ({}, False), ({labels.ROLE: "test"}, False), ({labels.ROLE: "web"}, True)],
)
def test_labels_of_a_web_container(given: dict[str, str] | None, ours: bool) -> None:
    assert labels.is_web(given) is ours


def test_the_documentation_lists_the_names() -> None:
    documentation = yaml.safe_load((ROOT / "plugins/filter/label.yml").read_text())
    choices = documentation["DOCUMENTATION"]["options"]["_input"]["choices"]
    assert choices == list(labels.MEANINGS)


def test_the_names_stand_in_one_place() -> None:
    """In plugins and roles, apart from what people read."""
    literal = re.compile(r"platform\.bookface\.(" + "|".join(labels.MEANINGS) + r")\b")
    found = [
        str(path.relative_to(ROOT))
        for directory in ("plugins", "roles")
        for path in (ROOT / directory).rglob("*")
        if path.is_file()
        and path.suffix != ".pyc"
        and path.name != "README.md"
        and not (path.parent.name == "filter" and path.suffix == ".yml")
        and literal.search(path.read_text(errors="replace"))
    ]
    assert found == []
