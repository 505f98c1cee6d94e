"""The age of what Docker has dated."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.days_since import days_since


@pytest.mark.parametrize("end", ["Z", ".123456789Z", ""])
def test_whole_days(end: str) -> None:
    then = datetime.now(timezone.utc) - timedelta(days=31, hours=2)
    assert days_since(then.strftime("%Y-%m-%dT%H:%M:%S") + end) == 31


def test_what_is_no_date() -> None:
    with pytest.raises(AnsibleFilterError, match=r"expected a date such as .*, got 'soon'"):
        days_since("soon")
