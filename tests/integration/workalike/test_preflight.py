"""What the roles refuse before they do anything: one play, with a host for each case."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.commands import Run

from .cases import play_cases

# Entry point, the variables that are given, what is said.
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("toolbox/preflight", {"bookface_db_name": "bf; id"}, "bookface_db_name is bf; id; expected"),
    ("toolbox/preflight", {"bookface_db_name": "-x"}, "bookface_db_name is -x; expected"),
    ("toolbox/preflight", {"bookface_db_user": "all"}, "bookface_db_user is all; expected"),
    ("toolbox/preflight", {"bookface_db_owner": "a\nb"}, "bookface_db_owner is a b; expected"),
    ("toolbox/preflight", {"bookface_db_port": 70000}, "bookface_db_port is 70000; expected a"),
    ("toolbox/preflight", {"bookface_db_host": "h -c"}, "bookface_db_host is h -c; expected"),
    ("toolbox/preflight", {"bookface_swarm_port": 0}, "bookface_swarm_port is 0; expected a port"),
    ("database/main", {"bookface_db_user": "o'brien"}, "bookface_db_user is o'brien; expected"),
    ("database/main", {"database_port": 99999}, "database_port is 99999; expected a port"),
    (
        "database/backup",
        {"database_backup_directory": "srv/backups"},
        "database_backup_directory is srv/backups; expected an absolute path",
    ),
    (
        "database/backup",
        {"database_backup_directory": "/srv/../etc"},
        "database_backup_directory is /srv/../etc; expected an absolute path",
    ),
    ("database/backup", {"database_backup_directory": "/"}, "database_backup_directory is /;"),
    ("database/backup", {"database_backup_keep": 0}, "database_backup_keep is 0; expected a"),
    ("database/backup", {"database_backup_fetch": "-t /x"}, "database_backup_fetch is -t /x;"),
    ("database/backup", {"bookface_db_name": "a/b"}, "bookface_db_name is a/b; expected"),
    ("legacy_web/main", {"legacy_web_root": '/srv/"x'}, 'legacy_web_root is /srv/"x; expected'),
    ("legacy_web/main", {"legacy_web_port": 65536}, "legacy_web_port is 65536; expected a port"),
    (
        "legacy_web/main",
        {"legacy_web_trial_port": 80, "legacy_web_trial_timeout": 0},
        "legacy_web_trial_port is 80; expected a port from 1 to 65535 other than legacy_web_port."
        " legacy_web_trial_timeout is 0; expected a number of seconds",
    ),
    (
        "base_image/main",
        {"base_image_name": "x; id", "base_image_pull": "-x"},
        "base_image_name is x; id; expected name and tag of an image, such as debian:trixie-slim."
        " base_image_pull is -x; expected",
    ),
    (
        "base_image/main",
        {"base_image_pull": "debian\nRUN id"},
        "base_image_pull is debian RUN id; expected name",
    ),
    (
        "base_image/main",
        {"base_image_mirror": "http://a b"},
        "base_image_mirror is http://a b; expected an address",
    ),
    (
        "base_image/main",
        {"base_image_security_mirror": "--foreign"},
        "base_image_security_mirror is --foreign; expected an address",
    ),
    ("base_image/main", {"base_image_pull_timeout": -1}, "base_image_pull_timeout is -1; expected"),
    ("base_image/main", {"base_image_release": "trixie; id"}, "must be one of: bookworm, trixie"),
    # Without Ansible's own validation, as a role is called by its file.
    ("base_image/main.yml", {"base_image_release": "trixie; id"}, "expected bookworm or trixie"),
]
# Type, location, version: what git would take for an option or a program.
SOURCES = [
    (
        "git",
        "--upload-pack=id",
        "main",
        "location in bookface_source is --upload-pack=id; expected",
    ),
    ("git", "ext::sh -c id", "main", "location in bookface_source is ext::sh -c id; expected"),
    ("git", "ssh://-oProxyCommand=id/x", "main", "is ssh://-oProxyCommand=id/x; expected"),
    ("archive", "-x", "", "location in bookface_source is -x; expected"),
    ("git", "https://a.example/x", "--upload-pack=id", "version in bookface_source is --upload"),
    ("git", "https://a.example/x", "v1 --", "version in bookface_source is v1 --; expected a tag"),
    ("git", "https://me:s3cret@a.example/x\ny", "v1", "is https://a.example/x y; expected"),
]
GOOD: list[dict[str, Any]] = [
    {},
    {"bookface_db_host": "/run/postgresql", "bookface_db_name": "my-site.2", "bookface_db_port": 1},
    {
        "bookface_db_host": "fd00::5",
        "bookface_cache_host": "cache.example",
        "bookface_db_user": "U",
    },
]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Run:
    site = {"bookface_db_password": "x", "bookface_db_owner_password": "y"}
    site |= {"bookface_db_host": "192.0.2.5", "ansible_python_interpreter": "/usr/bin/python3"}
    sources = [
        ("toolbox/source", {"bookface_source": {"type": kind, "location": at, "version": version}})
        for kind, at, version, _said in SOURCES
    ]
    cases = {
        "bad": [(entry, given) for entry, given, _said in BAD],
        "source": sources,
        "good": [("toolbox/preflight", given) for given in GOOD],
    }
    hosts = {}
    for kind, given in cases.items():
        for number, (entry, variables) in enumerate(given):
            hosts[f"{kind}{number}"] = {"entry": entry, **variables}
    place = tmp_path_factory.mktemp("preflight")
    done = play_cases(place, hosts, site)
    assert not (place / ".cache/bookface-platform").exists()
    return done


@pytest.mark.parametrize(
    ("host", "said"),
    [
        *((f"bad{number}", said) for number, (_entry, _given, said) in enumerate(BAD)),
        *((f"source{number}", case[3]) for number, case in enumerate(SOURCES)),
    ],
)
def test_bad_values_are_refused_by_name(played: Run, host: str, said: str) -> None:
    assert said in played.message(host), played.output[-3000:]
    assert played.count("changed", host) == 0


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_good_values_are_not(played: Run, number: int) -> None:
    assert played.count("failed", f"good{number}") == 0, played.output


def test_no_message_shows_a_password(played: Run) -> None:
    assert "s3cret" not in " ".join(played.messages)
