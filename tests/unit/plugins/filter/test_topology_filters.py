"""The filters that draw, as Jinja calls them."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.topology import FilterModule

FILTERS = FilterModule().filters()
SEEN = [{"name": "db1", "groups": ["databases"], "address": "10.0.0.21", "reached": True}]


def test_from_facts_to_text() -> None:
    model = FILTERS["topology"](SEEN)
    assert model["machines"][0]["name"] == "db1"
    assert "db1  10.0.0.21" in FILTERS["topology_mermaid"](model)


def test_wrong_input_is_an_error_of_the_filter() -> None:
    with pytest.raises(AnsibleFilterError, match="topology: KeyError"):
        FILTERS["topology"]([{"groups": []}])
    with pytest.raises(AnsibleFilterError, match=r"topology_mermaid: .*expected a model"):
        FILTERS["topology_mermaid"]({})
