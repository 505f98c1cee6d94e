"""The probes beside the application: readiness asks the database, liveness asks nobody."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from .conftest import Sites
from .support import (
    DB_PASSWORD,
    Cluster,
    Database,
    Response,
    Site,
    black_hole,
    deaf_server,
    free_port,
    write_config_json,
    write_config_php,
)

# Debian's php-pgsql brings both extensions; other builds of PHP may have the one of the pages only.
BOTH_EXTENSIONS: list[str] = []
PDO_ALONE = ["-n", "-d", "extension=pdo.so", "-d", "extension=pdo_pgsql.so"]

DEADLINE_SECONDS = 4.5  # two to connect, two to answer, and a busy machine


@pytest.fixture(params=[BOTH_EXTENSIONS, PDO_ALONE], ids=["pgsql", "pdo"])
def php_options(request: pytest.FixtureRequest) -> list[str]:
    options: list[str] = request.param
    return options


def assert_plain(answer: Response, status: int, text: str) -> None:
    assert (answer.status, answer.text) == (status, f"{text}\n")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("write", [write_config_json, write_config_php])
def test_ready(
    sites: Sites,
    database: Database,
    php_options: list[str],
    write: Callable[..., None],
) -> None:
    site = sites.start(partial(write, settings=database.settings()), {}, php_options)
    assert_plain(site.ready(), 200, "ready")
    assert database.statements().count("select 1") == 1
    if php_options == PDO_ALONE:
        assert "set local statement_timeout = 2000" in database.statements()


def test_ready_follows_the_configuration_of_the_environment(
    sites: Sites, database: Database
) -> None:
    env = {"BF_DB_PORT": str(database.cluster.port)}
    settings = database.settings(dbport=free_port())
    site = sites.start(partial(write_config_json, settings=settings), env)
    assert_plain(site.ready(), 200, "ready")


@pytest.mark.parametrize("source", ["PGPASSFILE", "PGPASSWORD"])
@pytest.mark.parametrize("dbpassw", ["", None])
def test_ready_leaves_the_password_to_libpq_where_the_site_has_none(
    sites: Sites,
    database: Database,
    tmp_path: Path,
    php_options: list[str],
    source: str,
    dbpassw: str | None,
) -> None:
    env = {"PGPASSWORD": DB_PASSWORD}
    if source == "PGPASSFILE":
        env = database.passfile(tmp_path / "pgpass")
    settings = database.settings()
    del settings["dbpassw"]
    if dbpassw is not None:
        settings["dbpassw"] = dbpassw
    site = sites.start(partial(write_config_php, settings=settings), env, php_options)
    assert_plain(site.ready(), 200, "ready")


def test_ready_without_the_header_is_not_there(sites: Sites, database: Database) -> None:
    site = sites.start(partial(write_config_json, settings=database.settings()))
    assert_plain(site.get("platform/ready"), 404, "not found")
    assert database.statements() == []


@pytest.mark.parametrize(
    "changes",
    [{"dbport": free_port()}, {"db": "missing"}, {"dbpassw": "wrong"}, {"dbuser": "o'brien"}],
    ids=["refused", "no-database", "password", "user"],
)
def test_not_ready_without_the_database(
    sites: Sites, database: Database, php_options: list[str], changes: dict[str, object]
) -> None:
    settings = database.settings(**changes)
    site = sites.start(partial(write_config_json, settings=settings), {}, php_options)
    answer = site.ready()
    assert_plain(answer, 503, "not ready: database")
    assert answer.seconds < DEADLINE_SECONDS
    assert "bookface probe: " in site.log()
    assert DB_PASSWORD not in site.log()
    assert_plain(site.get("platform/live"), 200, "alive")


def test_ready_again_when_the_database_is_back(
    sites: Sites, cluster: Cluster, database: Database, php_options: list[str]
) -> None:
    site = sites.start(partial(write_config_json, settings=database.settings()), {}, php_options)
    assert_plain(site.ready(), 200, "ready")
    cluster.stop()
    try:
        assert_plain(site.ready(), 503, "not ready: database")
        assert_plain(site.get("platform/live"), 200, "alive")
    finally:
        cluster.start()
    assert_plain(site.ready(), 200, "ready")


def bounded(site: Site) -> None:
    answer = site.ready()
    assert_plain(answer, 503, "not ready: database")
    # PDO counts its two seconds by the clock's whole ones, so it may be one.
    assert 0.9 < answer.seconds < DEADLINE_SECONDS


def test_not_ready_in_time_behind_a_black_hole(
    sites: Sites, database: Database, php_options: list[str]
) -> None:
    with black_hole() as port:
        settings = database.settings(dbport=port)
        bounded(sites.start(partial(write_config_json, settings=settings), {}, php_options))


def test_not_ready_in_time_when_the_server_says_nothing(
    sites: Sites, database: Database, php_options: list[str]
) -> None:
    with deaf_server(handshake=False) as port:
        settings = database.settings(dbport=port)
        bounded(sites.start(partial(write_config_json, settings=settings), {}, php_options))


def test_not_ready_in_time_when_a_pooler_has_lost_its_database(
    sites: Sites, database: Database
) -> None:
    # PDO alone cannot do this one: it waits as long as the connection stands.
    with deaf_server(handshake=True) as port:
        settings = database.settings(dbport=port)
        bounded(sites.start(partial(write_config_json, settings=settings)))


@pytest.mark.parametrize(
    "content",
    [
        "<?php $dbhost = ;",
        "<?php $dbhost = '';",
        "<?php // sets nothing",
        "<?php no_such_function();",
        "<?php http_response_code(500); header('X-Trace: secret'); exit('secret');",
        "<?php header('Location: /'); ob_end_flush(); ob_start(); exit;",
        None,
    ],
)
def test_not_ready_with_a_broken_config_php(sites: Sites, content: str | None) -> None:
    def configure(root: Path) -> None:
        (root / "config.php").unlink()
        if content is not None:
            (root / "config.php").write_text(content)

    answer = sites.start(configure).ready()
    assert_plain(answer, 503, "not ready: configuration")
    assert answer.headers["X-Trace"] is None
    assert answer.headers["Location"] is None


@pytest.mark.parametrize("content", [None, "{"])
def test_not_ready_without_a_valid_config_json(sites: Sites, content: str | None) -> None:
    def configure(root: Path) -> None:
        if content is not None:
            (root / "config.json").write_text(content)

    assert_plain(sites.start(configure).ready(), 503, "not ready: configuration")


def test_what_config_php_prints_or_defines_does_not_disturb(
    sites: Sites, database: Database
) -> None:
    def configure(root: Path) -> None:
        write_config_php(root, database.settings())
        config = root / "config.php"
        extra = "<?php $dsn = $key = $value = $target = $password = $status = 'x';"
        extra += " function answer() {} function quote() {} ?>"
        config.write_text(f"\ufeffprinted{extra}{config.read_text()}")

    assert_plain(sites.start(configure).ready(), 200, "ready")


def test_config_php_may_read_relative_to_the_web_root(sites: Sites, database: Database) -> None:
    def configure(root: Path) -> None:
        write_config_php(root, database.settings())
        (root / "config.php").rename(root / "site.inc")
        (root / "config.php").write_text("<?php require './site.inc';")

    assert_plain(sites.start(configure).ready(), 200, "ready")


def test_live_needs_neither_configuration_nor_database(sites: Sites) -> None:
    site = sites.start(lambda root: (root / "config.php").unlink())
    assert_plain(site.get("platform/live"), 200, "alive")
