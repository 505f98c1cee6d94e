"""Docker's repository: for which machine, with which key, and what is in its way."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bookface.platform.plugins.filter.docker_source import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.docker import openpgp
from ansible_collections.bookface.platform.plugins.module_utils.docker.repository import (
    Repository,
    RepositoryError,
    check_key,
    key_in,
    meaning,
    os_release,
    repository,
    source_text,
    without_docker,
)
from hypothesis import given, settings
from hypothesis import strategies as st

# Made by gpg 2.2; what gpg itself says of them stands here.
KEYS = Path(__file__).parent / "fixtures"
GOOD, EXPIRED, SUBKEY = ((KEYS / f"{n}.asc").read_text() for n in ("good", "expired", "subkey"))
GOOD_PRINT = "727111FC880D81B25115CA31A312CD4574939BFA"
EXPIRED_PRINT = "E84E05FD928DA5F2108487A37ED2D54137AB5FEB"
SUBKEY_PRINT = "774859BE173A421AE2F0F45F4760B395104C9BE5"
BOOKWORM = Repository("https://download.docker.com", "debian", "bookworm", "stable", "amd64")

MACHINES = {
    "debian-12": 'ID=debian\nVERSION_CODENAME=bookworm\nVERSION_ID="12"',
    "debian-13": "ID=debian\nVERSION_CODENAME=trixie",
    "ubuntu-22.04": "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=jammy\nUBUNTU_CODENAME=jammy",
    "ubuntu-24.04": "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble",
    "mint-22": 'ID=linuxmint\nID_LIKE="ubuntu debian"\nUBUNTU_CODENAME=noble\nVERSION_CODENAME=x',
    "lmde-6": "ID=linuxmint\nID_LIKE=debian\nVERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm",
    "pop-22.04": 'ID=pop\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=jammy\nUBUNTU_CODENAME=jammy',
    "raspbian-12": "ID=raspbian\nID_LIKE=debian\nVERSION_CODENAME=bookworm",
}


@pytest.mark.parametrize(
    ("machine", "url", "suite"),
    [
        ("debian-12", "debian", "bookworm"),
        ("debian-13", "debian", "trixie"),
        ("ubuntu-22.04", "ubuntu", "jammy"),
        ("ubuntu-24.04", "ubuntu", "noble"),
        ("mint-22", "ubuntu", "noble"),
        ("lmde-6", "debian", "bookworm"),
        ("pop-22.04", "ubuntu", "jammy"),
        ("raspbian-12", "raspbian", "bookworm"),
    ],
)
def test_which_repository_a_machine_wants(machine: str, url: str, suite: str) -> None:
    found = repository(os_release(MACHINES[machine]), "arm64")
    assert found.url == f"https://download.docker.com/linux/{url}"
    assert (found.suite, found.architecture, found.component) == (suite, "arm64", "stable")
    assert found.key_url == f"{found.url}/gpg"


def test_what_is_given_wins() -> None:
    release = os_release(MACHINES["debian-12"])
    found = repository(release, "amd64", "http://m.example.org/d/", "ubuntu", "noble", "test")
    assert found == Repository("http://m.example.org/d/", "ubuntu", "noble", "test", "amd64")
    assert found.url == "http://m.example.org/d/linux/ubuntu"


@pytest.mark.parametrize(
    ("release", "given", "complaint"),
    [
        ("ID=kali\nID_LIKE=debian\nVERSION_CODENAME=kali-rolling", {}, "kali .* docker_ce_suite"),
        ("ID=fedora", {}, "does not support fedora. Set docker_ce_distribution"),
        ("", {}, "does not support this system"),
        ("ID=debian", {"suite": "12 bookworm"}, "docker_ce_suite is 12 bookworm"),
        ("ID=debian", {}, "Set docker_ce_suite"),
    ],
)
def test_what_cannot_be_told(release: str, given: dict[str, str], complaint: str) -> None:
    with pytest.raises(RepositoryError, match=complaint):
        repository(os_release(release), "amd64", **given)


def test_a_derivative_that_tells_nothing_needs_only_the_suite() -> None:
    found = repository(os_release("ID=kali\nID_LIKE=debian"), "amd64", suite="trixie")
    assert (found.distribution, found.suite) == ("debian", "trixie")


def test_keys_as_gpg_reads_them() -> None:
    assert openpgp.keys(GOOD) == [openpgp.Key(GOOD_PRINT, None)]
    assert openpgp.keys(EXPIRED) == [openpgp.Key(EXPIRED_PRINT, 1704153600)]
    # Its subkey has an expiry of its own, which does not count.
    assert openpgp.keys(SUBKEY) == [openpgp.Key(SUBKEY_PRINT, 2209032000)]
    assert [key.fingerprint for key in openpgp.keys(GOOD + SUBKEY)] == [GOOD_PRINT, SUBKEY_PRINT]


@pytest.mark.parametrize(
    ("key", "wanted", "complaint"),
    [
        (GOOD, [SUBKEY_PRINT], f"contains the key {GOOD_PRINT}: expected"),
        (GOOD + SUBKEY, [GOOD_PRINT], f"contains the key {SUBKEY_PRINT}:"),
        (EXPIRED, [EXPIRED_PRINT], "expired on 2024-01-02"),
        ("<html>Not found</html>", [GOOD_PRINT], "no ASCII-armored public key"),
        (GOOD[:300], [GOOD_PRINT], "broken block"),
        ("\x99\x01\x8d", [GOOD_PRINT], "no ASCII-armored public key"),
    ],
)
def test_keys_that_are_refused(key: str, wanted: list[str], complaint: str) -> None:
    with pytest.raises(RepositoryError, match=complaint):
        check_key(key, wanted, "the file")


def test_a_fingerprint_as_people_write_it() -> None:
    spaced = " ".join(GOOD_PRINT[at : at + 4] for at in range(0, 40, 4)).lower()
    check_key(GOOD, [spaced], "the file")
    check_key(SUBKEY, [f"0x{SUBKEY_PRINT}"], "the file", now=2209031999)
    with pytest.raises(RepositoryError, match="expired"):
        check_key(SUBKEY, [SUBKEY_PRINT], "the file", now=2209032000)


def armored(data: bytes) -> str:
    body = base64.encodebytes(data).decode()
    return f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{body}-----END PGP PUBLIC KEY BLOCK-----\n"


def packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


def test_a_strangers_signature_does_not_prolong_a_key() -> None:
    """Anybody can add a packet to a key file; only the key's own word on its expiry counts."""
    stranger = next(body for tag, body in openpgp.packets(next(openpgp.blocks(GOOD))) if tag == 2)
    more = next(openpgp.blocks(EXPIRED)) + packet(2, stranger)
    assert openpgp.keys(armored(more)) == openpgp.keys(EXPIRED)


def test_a_key_that_is_cut_off() -> None:
    with pytest.raises(openpgp.KeyFileError, match="cut off"):
        openpgp.keys(armored(next(openpgp.blocks(GOOD))[:-50]))


@settings(deadline=None)
@given(st.data())
def test_a_damaged_key_is_never_the_wanted_one(draw: st.DataObject) -> None:
    data = bytearray(next(openpgp.blocks(GOOD)))
    _tag, body = next(openpgp.packets(bytes(data)))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= draw.draw(st.integers(1, 255))
    try:
        check_key(armored(bytes(data)), [GOOD_PRINT], "the file")
    except RepositoryError:
        return
    # The name and its signature are for apt to judge.
    assert not 3 <= at < 3 + len(body)


def test_the_source_carries_its_key() -> None:
    text = source_text(BOOKWORM, GOOD)
    assert "URIs: https://download.docker.com/linux/debian\nSuites: bookworm\n" in text
    # An empty line would end the entry, and apt would read the key as another.
    assert all(line.strip() for line in text.splitlines())
    assert openpgp.keys(key_in(text)) == openpgp.keys(GOOD)
    assert source_text(BOOKWORM, key_in(text)) == text


OURS = "deb [signed-by=/a/docker.gpg] https://download.docker.com/linux/debian x stable\n"
FOREIGN = "deb http://deb.debian.org/debian bookworm main\n"
STANZA = "Types: deb\nURIs: https://download.docker.com/linux/ubuntu/\nSuites: noble\n"
OTHER = "Types: deb\nURIs: http://archive.ubuntu.com/ubuntu\nSuites: noble\n"


@pytest.mark.parametrize(
    ("name", "text", "rest"),
    [
        ("docker.list", OURS, ""),
        ("docker.list", f"# Docker\n{OURS}", ""),
        ("mine.list", f"# mine\n{FOREIGN}{OURS}", f"# mine\n{FOREIGN}"),
        ("mine.list", f"# {OURS}{FOREIGN}", f"# {OURS}{FOREIGN}"),
        ("mine.list", FOREIGN, FOREIGN),
        ("empty.list", "# nothing\n", "# nothing\n"),
        ("mirror.list", "deb http://m.example.org/d/linux/debian x stable\n", ""),
        ("http.list", OURS.replace("https", "http"), ""),
        # Their repositories of other things, and another host's name that only begins so.
        ("gpu.list", "deb https://nvidia.github.io/docker/linux/ x\n", None),
        ("near.list", "deb https://download.docker.com.example.org/linux/debian x stable\n", None),
        ("docker.sources", STANZA, ""),
        ("all.sources", f"{OTHER}\n{STANZA}", f"{OTHER}\n"),
        ("ubuntu.sources", OTHER, OTHER),
    ],
)
def test_what_is_taken_out_of_the_way(name: str, text: str, rest: str | None) -> None:
    found = without_docker(name, text, ["http://m.example.org/d"])
    assert found.strip() == (text if rest is None else rest).strip()
    if rest is None or rest == text:
        assert found == text


@settings(deadline=None)
@given(st.text(), st.sampled_from(["a.list", "a.sources"]))
def test_nothing_foreign_is_touched(text: str, name: str) -> None:
    if "docker" not in text:
        assert without_docker(name, text, []) == text


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "W: GPG error: x InRelease: The following signatures were invalid: EXPKEYSIG 1",
            "expired",
        ),
        ("W: x: signatures couldn't be verified: NO_PUBKEY 7", "not signed with its own key"),
        ("E: The repository 'x nosuch Release' does not have a Release file.", "no suite bookworm"),
        ("W: Failed to fetch x  Could not connect to 127.0.0.1:1", "cannot be reached"),
        ("E: something new", "apt rejects it: E: something new"),
        ("", "no reason given"),
    ],
)
def test_what_apt_means(said: str, expected: str) -> None:
    assert expected in meaning(said, BOOKWORM)


def test_the_filter_checks_the_key() -> None:
    made: Any = FilterModule().filters()["docker_source"]
    facts = dict(zip(("base", "distribution", "suite", "component", "architecture"), "bdsca"))
    assert "URIs: b/linux/d" in made(GOOD, facts, [GOOD_PRINT])
    with pytest.raises(AnsibleFilterError, match="http://k contains the key"):
        made(GOOD, facts, [SUBKEY_PRINT], "http://k")
    with pytest.raises(AnsibleFilterError, match="docker_source"):
        made(GOOD, {"base": "b"}, [GOOD_PRINT])
