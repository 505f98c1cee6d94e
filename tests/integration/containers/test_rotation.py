# SPDX-License-Identifier: GPL-3.0-or-later
"""A password is rotated while clients ask: each page finds one that its account has."""

from __future__ import annotations

import pytest

from tests.support.rolling import Site
from tests.support.stage import PASSWORD, USER

from .conftest import changed, keep

BRIDGE = f"{USER}_rotation"
NEW = "for-this-test: another one"


@pytest.mark.load
def test_another_account_and_back_without_a_lost_request(site: Site) -> None:
    """Configuration and password file are two files, which pages read at every request.

    There, back with the old password, there again, and back with the new one.
    """
    meantime = {"login": BRIDGE, "keep": ["pgpass", "userlist"]}
    own = {"login": USER, "keep": ["userlist"]}
    there = {"bookface_rotation": meantime, "bookface_db_password": NEW}
    before = site.containers()
    site.database.sql(f"create role {BRIDGE} login password '{NEW}' in role {USER}")
    try:
        with site.load(at_least=400) as load:
            assert changed(site.run(**there)) > 0
            # Somebody sets the old one again, which the second account does not have.
            assert changed(site.run(bookface_rotation=own)) > 0
            assert changed(site.run(**there)) > 0
            site.database.sql(f"alter role {USER} password '{NEW}'")
            assert changed(site.run(bookface_rotation=own, bookface_db_password=NEW)) > 0
            assert load.wait_for(load.requests + 20, seconds=60)
        assert load.summary.failed == 0, load.summary.examples
        assert site.containers() == before
        keep(site, bookface_db_password=NEW)
    finally:
        site.database.sql(f"drop role {BRIDGE}")
        if "bookface_db_password" not in site.kept:
            site.database.sql(f"alter role {USER} password '{PASSWORD}'")
            site.converge()
