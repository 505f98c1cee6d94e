"""config.php: config.json, the environment above it, and what it must not do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from .conftest import Sites
from .support import CODE, DB_PASSWORD, Database, require_php, write_config_json

DEFAULTS: dict[str, object] = {
    "dbhost": "localhost",
    "dbport": "26257",
    "db": "bf",
    "dbuser": "bfuser",
    "dbpassw": "",
    "webhost": "localhost",
    "imagepath": "/var/www/html/images",
    "frontpage_limit": 1000,
    "use_local_images": 0,
    "use_activity_cutoff_days": "",
    "memcache_server": "",
    "memcache_enabled": "",
    "memcache_enabled_pictures": "",
}
VARIABLES = {
    "dbhost": "BF_DB_HOST",
    "dbport": "BF_DB_PORT",
    "db": "BF_DB_NAME",
    "dbuser": "BF_DB_USER",
    "dbpassw": "BF_DB_PASS",
    "webhost": "BF_WEBHOST",
    "imagepath": "BF_IMAGE_PATH",
    "frontpage_limit": "BF_FRONTPAGE_LIMIT",
    "use_local_images": "BF_USE_LOCAL_IMAGES",
    "use_activity_cutoff_days": "BF_ACTIVITY_CUTOFF_DAYS",
    "memcache_server": "BF_MEMCACHE_SERVER",
    "memcache_enabled": "BF_MEMCACHE_ENABLED",
    "memcache_enabled_pictures": "BF_MEMCACHE_ENABLED_PICTURES",
}


def variables(
    root: Path, settings: Mapping[str, object], env: Mapping[str, str] | None = None
) -> dict[str, object]:
    """Return the global variables that config.php leaves behind."""
    (root / "config.php").write_bytes((CODE / "config.php").read_bytes())
    write_config_json(root, settings)
    script = (
        "require $argv[1]; echo json_encode(array_diff_key(get_defined_vars(),"
        " array_flip(['_GET', '_POST', '_COOKIE', '_FILES', '_SERVER', 'argv', 'argc'])));"
    )
    done = subprocess.run(
        [require_php(), "-d", "display_errors=1", "-r", script, str(root / "config.php")],
        env={"PATH": "/usr/bin:/bin", **(env or {})},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_defaults_and_nothing_else_is_set(tmp_path: Path) -> None:
    assert variables(tmp_path, {}) == DEFAULTS


def test_config_json(tmp_path: Path) -> None:
    values = {key: f"file-{key}" for key in DEFAULTS}
    assert variables(tmp_path, {**values, "unknown": [1]}) == values


@pytest.mark.parametrize("key", DEFAULTS)
def test_environment_overrides_each_key(tmp_path: Path, key: str) -> None:
    values = {key: f"file-{key}" for key in DEFAULTS}
    expected: dict[str, object] = {**values, key: "from-env"}
    if key == "memcache_server":  # naming a cache here switches it on
        expected |= {"memcache_enabled": 1, "memcache_enabled_pictures": 1}
    assert variables(tmp_path, values, {VARIABLES[key]: "from-env"}) == expected


def test_empty_environment_variables_count_as_absent(tmp_path: Path) -> None:
    values = {key: f"file-{key}" for key in DEFAULTS}
    assert variables(tmp_path, values, dict.fromkeys(VARIABLES.values(), "")) == values


def test_cache_of_the_environment_can_be_switched_off(tmp_path: Path) -> None:
    env = {"BF_MEMCACHE_SERVER": "cache", "BF_MEMCACHE_ENABLED": "0"}
    found = variables(tmp_path, {}, env)
    assert (found["memcache_enabled"], found["memcache_enabled_pictures"]) == ("0", 1)


def test_environment_reaches_the_pages(
    sites: Sites, database: Database, tmp_path: Path, cache: str
) -> None:
    right = {key: str(value) for key, value in database.settings(frontpage_limit=1).items()}
    env = {VARIABLES[key]: value for key, value in right.items()}
    wrong = dict.fromkeys(right, "wrong")
    site = sites.start(
        partial(write_config_json, settings=wrong), {**env, "PGPASSWORD": DB_PASSWORD}
    )
    page = site.get("index.php").text
    assert "<th>Users:</th><td>3</td>" in page
    assert ">Ada<" in page
    assert ">Bob<" not in page
    assert 'href="http://bookface.example/index.php"' in page
    assert "<h1>Ada</h1>" in site.get("showuser.php", {"user": "u-ada"}).text


@pytest.mark.parametrize("content", [None, "", "{", "null", '"text"', "[]", '["dbhost"]', "17"])
def test_missing_or_invalid_config_json(sites: Sites, content: str | None) -> None:
    def configure(root: Path) -> None:
        if content is not None:
            (root / "config.json").write_text(content)

    site = sites.start(configure)
    pages = sorted(path.name for path in CODE.glob("*.php") if path.name != "common.php")
    for page in pages:
        answer = site.get(page)
        assert answer.status == 500, page
        assert answer.text == "bookface: config.json is missing or is not a JSON object\n"


def test_config_json_is_read_on_every_request(sites: Sites, database: Database) -> None:
    site = sites.start(lambda root: write_config_json(root, {}))
    assert "bookface.example" not in site.get("index.php").text
    write_config_json(site.root, database.settings())
    assert 'href="http://bookface.example/index.php"' in site.get("index.php").text


def test_the_source_holds_no_site_configuration() -> None:
    assert not (CODE / "config.json").exists()
