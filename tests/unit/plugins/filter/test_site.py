"""A site's settings: every fault with its remedy, and the files as PHP and libpq read them."""

from __future__ import annotations

import json
import subprocess
from shutil import which
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.filter.site import site_faults, site_files

SITE: dict[str, Any] = {
    "db_password": "secret",
    "db_trust": False,
    "db_host": "192.0.2.1",
    "databases": ["db1"],
    "frontpage_limit": "",
    "activity_cutoff_days": "",
    "config": [],
    "given": ["memcache_server"],
}
SETTINGS = {
    "dbhost": "192.0.2.1",
    "dbport": "5432",
    "db": "bf",
    "dbuser": "bfuser",
    "dbpassw": "it's \\a $ecret: æ",
    "frontpage_limit": 10,
}


@pytest.mark.parametrize("number", ["", 1, "30", 100])
def test_a_good_site_has_no_fault(number: Any) -> None:
    site = SITE | {"frontpage_limit": number, "activity_cutoff_days": number, "config": ["other"]}
    assert site_faults(site) == []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"db_password": ""}, "bookface_db_password is not set."),
        ({"db_host": ""}, "bookface_db_host is empty. Set it, or"),
        (
            {"db_host": "", "databases": ["a", "b"]},
            "bookface_db_host is empty, and the group databases has a, b.",
        ),
        ({"frontpage_limit": "ten"}, "bookface_frontpage_limit is ten; expected"),
        ({"frontpage_limit": 0}, "bookface_frontpage_limit is 0; expected"),
        ({"frontpage_limit": "5\n"}, "bookface_frontpage_limit is 5\n; expected"),
        ({"activity_cutoff_days": "1.5"}, "bookface_activity_cutoff_days is 1.5; expected"),
        ({"config": ["memcache_server"]}, "bookface_config has memcache_server, which"),
    ],
)
def test_each_fault_is_named(wrong: dict[str, Any], named: str) -> None:
    (fault,) = site_faults(SITE | wrong)
    assert fault.startswith(named)


def test_all_faults_are_named_at_once() -> None:
    assert len(site_faults(SITE | {"db_password": "", "db_host": "", "frontpage_limit": "x"})) == 3


def test_json_has_what_was_given_in_a_fixed_order() -> None:
    text = site_files(SETTINGS, "json")["config.json"]
    assert json.loads(text) == SETTINGS
    backwards = dict(reversed(SETTINGS.items()))
    assert site_files(backwards, "json")["config.json"] == text
    assert text.startswith('{\n    "db": "bf",\n    "dbhost"')
    assert text.endswith("}\n")


@pytest.mark.skipif(which("php") is None, reason="needs PHP's command")
def test_php_reads_back_what_was_given() -> None:
    text = site_files(SETTINGS, "php")["config.php"]
    show = f"{text} echo json_encode(array_diff_key(get_defined_vars(), $GLOBALS['before']));"
    script = show.replace("<?php", "$before = get_defined_vars() + ['before' => 1];", 1)
    done = subprocess.run(["php", "-r", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == SETTINGS


def test_php_s_text() -> None:
    assert site_files({**SETTINGS, "dbpassw": "it's"}, "php")["config.php"] == (
        "<?php\n$db = 'bf';\n$dbhost = '192.0.2.1';\n$dbpassw = 'it\\'s';\n$dbport = '5432';\n"
        "$dbuser = 'bfuser';\n$frontpage_limit = 10;\n"
    )


def test_libpq_s_separators_are_escaped() -> None:
    assert site_files(SETTINGS, "json")["pgpass"] == (
        "192.0.2.1:5432:bf:*:it's \\\\a $ecret\\: æ\n"
    )


def test_a_password_that_is_no_plain_text_yet() -> None:
    class Encrypted:
        def __str__(self) -> str:
            return "secret"

    files = site_files(SETTINGS | {"dbpassw": Encrypted()}, "json")
    assert json.loads(files["config.json"])["dbpassw"] == "secret"
    assert files["pgpass"].endswith(":secret\n")


def test_no_password_where_the_database_asks_for_none() -> None:
    assert site_faults(SITE | {"db_password": "", "db_trust": True}) == []
