"""What of a checkout is the site, and what no client may read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.lookup.tree_checksums import tree_checksums
from ansible_collections.bookface.platform.plugins.module_utils.web.published import (
    DENIED,
    copies,
    private,
    published,
    withheld,
)

PRIVATE = """
.git .git/config sub/.git/HEAD .svn/entries .hg/store CVS/Root .gitignore .github/workflows/ci.yml
.env .env.production config/.env.local .htaccess .htpasswd .user.ini .DS_Store .vscode/sftp.json
index.php.bak index.php~ .index.php.swp index.php.swp index.php.orig index.php.rej index.php.old
index.php.save index.php.1 config.php.txt config.php_old config.php-2024 config.php.inc #index.php#
config.json.bak config.json.1 old.sql.bak.gz page.html.tmp config.php.dist changes.patch
dump.sql DUMP.SQL db/bf-2026.sql.gz bf.dump site.sqlite site.sqlite3 site.sqlite3-wal Thumbs.db
backup.zip bf_backup_1.tar.gz code.tar.xz html.zip backup/index.php backups/bf
error.log logs/error.log.1 access.log-20240101.gz error_log nohup.out
server.pem server.key client.p12 id_rsa id_rsa.pub id_ed25519 keys/id_ed25519 known_hosts pgpass
composer.json composer.lock vendor/x/composer.json composer.phar package.json package-lock.json
Dockerfile dockerfile.dev docker/Dockerfile docker-compose.yml docker-compose.override.yaml
compose.yaml ansible.cfg site.yml playbook.yaml group_vars/all/vault.yml group_vars/all hosts
inventory inventory.ini inventories/prod/hosts host_vars/web1 templates/x.conf.j2 clouds.yaml
README README.md readme.txt sub/README.md README.no.md README-docker.md CHANGELOG.md
Makefile Vagrantfile deploy.sh mine-openrc.sh terraform.tfstate terraform.tfstate.backup
"""
PUBLIC = """
index.php config.php css/style.css images/a.jpg favicon.ico robots.txt security.txt page.html
.well-known .well-known/acme-challenge/x_-Z .well-known/security.txt changelog.php readme.php
backup.php log.php key.php hosts.php logo.svg dialog.js sqlite.php environment.php git/index.php
keys.html blog/index.php catalog/index.php monkey.jpg download.zip data.json manifest.json
LICENSE hosts/index.php inventory.php old.html my.old.page.html php.html a..b.html dumpling.jpg
"""


@pytest.mark.parametrize("path", PRIVATE.split())
def test_what_no_client_may_read(path: str) -> None:
    assert private(path)
    assert private(f"some/where/{path}")
    assert private(f"{path.upper()}/below") or path == "hosts"


@pytest.mark.parametrize("path", PUBLIC.split())
def test_what_is_the_site(path: str) -> None:
    assert not private(path)
    assert not private(f"some/where/{path}")


def test_web_servers_can_quote_the_expression() -> None:
    assert not set(DENIED) & set("\"'\\{} \n")
    assert "${" not in DENIED


def make(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    return top


def test_a_checkout_is_told_apart(tmp_path: Path) -> None:
    """Wherever it lies: the directories above it do not count."""
    top = make(
        tmp_path / ".cache/backup",
        "index.php",
        "img/a.png",
        "img/.env",
        ".git/config",
        ".git/objects/00/11",
        ".well-known/security.txt",
        ".well-known/.htpasswd",
        "README.md",
    )
    assert published(top) == [".well-known/security.txt", "img/a.png", "index.php"]
    assert withheld(top) == [".git", ".well-known/.htpasswd", "README.md", "img/.env"]


def test_links_are_followed_but_not_to_what_is_private(tmp_path: Path) -> None:
    top = make(tmp_path / "site", "index.php", ".env", ".git/config", "img/a.png")
    make(tmp_path, "shared/b.png", "shared/.env", ".env")
    for name, target in {
        "start.php": "index.php",
        "pictures": "img",
        "more": "../shared",
        "env.txt": ".env",
        "history": ".git",
        "outside.txt": "../.env",
        "through": "env.txt",
        "img/round": "..",
        "everything": "/",
        "self": "self",
        "broken": "nowhere",
    }.items():
        (top / name).symlink_to(target)
    assert published(top) == ["img/a.png", "index.php", "more/b.png", "pictures/a.png", "start.php"]
    assert withheld(top) == [
        ".env", ".git", "env.txt", "history", "more/.env", "outside.txt", "through",
    ]  # fmt: skip


INTO = "/var/www/html"


def found(*names: str, **changes: Any) -> list[dict[str, Any]]:
    """What the module find returns for copies of files that have their name as content."""
    return [
        {
            "path": f"{INTO}/{name}",
            "checksum": hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest(),
            "mode": "0644",
            "uid": 0,
            "gid": 0,
        }
        | changes
        for name in names
    ]


class TestCopies:
    """Which private files on a host are ours."""

    @pytest.fixture
    def source(self, tmp_path: Path) -> dict[str, str]:
        names = (".git/config", ".git/HEAD", ".env", "sub/README.md", "index.php")
        return tree_checksums(make(tmp_path, *names), private=True)

    def test_the_same_files_are(self, source: dict[str, str]) -> None:
        there = found(".git/config", ".git/HEAD", ".env", "sub/README.md", "index.php", "own.php")
        wanted = [f"{INTO}/{name}" for name in (".env", ".git", "sub/README.md")]
        assert copies(there, source, INTO) == wanted
        assert copies(there, source, f"{INTO}/") == wanted

    def test_a_directory_of_an_earlier_commit_is(self, source: dict[str, str]) -> None:
        there = found(".git/config", ".git/objects/12/34") + found(".git/HEAD", checksum="another")
        assert copies(there, source, INTO) == [f"{INTO}/.git"]

    @pytest.mark.parametrize(
        "change", [{"checksum": "another"}, {"mode": "0600"}, {"uid": 1000}, {"gid": 33}]
    )
    def test_what_somebody_else_has_put_there_is_not(
        self, source: dict[str, str], change: dict[str, Any]
    ) -> None:
        assert copies(found(".env", **change), source, INTO) == []
        assert copies(found("dump.sql", ".svn/entries"), source, INTO) == []

    def test_a_repository_that_serves_as_web_root_is_not(self, source: dict[str, str]) -> None:
        """git makes objects read-only."""
        there = found(".git/config", ".git/HEAD") + found(".git/objects/12/34", mode="0444")
        assert copies(there, source, INTO) == []

    def test_a_file_that_a_link_led_to_is(self, tmp_path: Path) -> None:
        """Copies followed links."""
        top = make(tmp_path, ".env", ".git/config", "a.txt")
        (top / "env.txt").symlink_to(".env")
        (top / "history").symlink_to(".git")
        source = tree_checksums(top, private=True)
        there = [
            found(name)[0] | {"path": f"{INTO}/{copy}"}
            for name, copy in (
                (".env", "env.txt"),
                (".git/config", "history/config"),
                ("a.txt",) * 2,
            )
        ]
        assert copies(there, source, INTO) == [f"{INTO}/env.txt", f"{INTO}/history/config"]

    def test_what_lies_elsewhere_is_not(self, source: dict[str, str]) -> None:
        assert copies(found(".env", path="/srv/.env"), source, INTO) == []
