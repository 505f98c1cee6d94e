"""A run that was killed after it had written a file: the next one tells the service."""

from __future__ import annotations

from conftest import Platform

from tests.support.commands import ask


def test_the_load_balancer_serves_what_its_file_says(platform: Platform) -> None:
    lb1 = platform.machine("lb1")
    assert "x-bookface-backend" in lb1.check_output("curl -sD- -o /dev/null localhost").lower()


def test_apache_listens_where_its_file_says(platform: Platform) -> None:
    status, body = ask(platform.machine("lb1"), f"http://{platform.address('web1')}/")
    assert (status, "Users:" in body) == (200, True)


def test_an_access_that_was_withdrawn_is_closed(platform: Platform) -> None:
    db1 = platform.machine("db1")
    done = db1.run(f"psql -w -h {platform.address('db1')} -U postgres -c 'select 1'")
    assert done.rc != 0
    assert "no pg_hba.conf entry" in done.stderr, done.stderr
