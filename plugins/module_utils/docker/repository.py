# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's apt repository: the one for a host, its source, and conflicting sources.

The key is part of the source (Signed-By), so that there is only one file to install, to compare
and to remove.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.bookface.platform.plugins.module_utils.docker import openpgp

DOCKER = "https://download.docker.com"
# Where Docker's own instructions have stored the key over the years.
OLD_KEYS = tuple(
    f"{directory}/{name}"
    for directory in ("/etc/apt/keyrings", "/usr/share/keyrings", "/etc/apt/trusted.gpg.d")
    for name in ("docker.asc", "docker.gpg", "docker-archive-keyring.gpg")
)
_HEADER = "# Written by the role bookface.platform.docker_ce."
_CODENAME = re.compile(r"[a-z][a-z0-9.-]*")


class RepositoryError(ValueError):
    """A repository that cannot be described, or an unexpected key."""


@dataclass(frozen=True)
class Repository:
    """One suite of one distribution in Docker's layout; C(base) is the address up to C(/linux)."""

    base: str
    distribution: str
    suite: str
    component: str
    architecture: str

    @property
    def url(self) -> str:
        """The address in the apt source."""
        return f"{self.base.rstrip('/')}/linux/{self.distribution}"

    @property
    def key_url(self) -> str:
        """The address of the key in Docker's layout."""
        return f"{self.url}/gpg"


def os_release(text: str) -> dict[str, str]:
    """The content of /etc/os-release."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, _equals, value in pairs}


def machine(release: Mapping[str, str]) -> tuple[str, str]:
    """Distribution and suite in Docker's repository for a host; empty if they are unknown.

    A derivative names in os-release the release of Debian or Ubuntu that it is based on.
    """
    name, suite = release.get("ID", ""), release.get("VERSION_CODENAME", "")
    if name in ("debian", "ubuntu", "raspbian"):
        return name, suite
    for base in ("ubuntu", "debian"):
        if codename := release.get(f"{base.upper()}_CODENAME"):
            return base, codename
    for base in ("ubuntu", "debian"):
        if base in release.get("ID_LIKE", "").split():
            return base, ""
    return "", ""


def repository(
    release: Mapping[str, str],
    architecture: str,
    base: str = "",
    distribution: str = "",
    suite: str = "",
    component: str = "stable",
) -> Repository:
    """The repository for a host; arguments take precedence over os-release."""
    found_distribution, found_suite = machine(release)
    if not distribution and not found_distribution:
        raise RepositoryError(
            f"Docker's repository does not support {release.get('ID') or 'this system'}."
            " Set docker_ce_distribution (debian or ubuntu) and docker_ce_suite"
        )
    if not suite and not found_suite:
        raise RepositoryError(
            f"{release.get('ID') or 'this system'} does not name the release of"
            f" {distribution or found_distribution} that it is based on. Set docker_ce_suite"
            " to the codename of that release, such as bookworm or noble"
        )
    chosen = suite or found_suite
    if not _CODENAME.fullmatch(chosen):
        raise RepositoryError(f"docker_ce_suite is {chosen}: expected a codename such as bookworm")
    return Repository(
        base or DOCKER, distribution or found_distribution, chosen, component, architecture
    )


def check_key(key: str, wanted: Iterable[str], origin: str, now: float | None = None) -> None:
    """Reject a key file with any other key, since apt would trust them all, or an expired one."""
    try:
        found = openpgp.keys(key)
    except openpgp.KeyFileError as error:
        raise RepositoryError(f"{origin} is not a key for apt: it contains {error}") from None
    trusted = {openpgp.normal(fingerprint) for fingerprint in wanted}
    strange = [one.fingerprint for one in found if one.fingerprint not in trusted]
    if strange:
        raise RepositoryError(
            f"{origin} contains the key {', '.join(strange)}: expected"
            f" {', '.join(sorted(trusted))}. If that key is genuine, set docker_ce_key_fingerprint"
            " to its fingerprint"
        )
    for one in found:
        if one.expires is not None and one.expires <= (time.time() if now is None else now):
            day = time.strftime("%Y-%m-%d", time.gmtime(one.expires))
            raise RepositoryError(
                f"{origin} contains the key {one.fingerprint}, which expired on {day}"
            )


def source_text(wanted: Repository, key: str) -> str:
    """The deb822 source, including the key."""
    lines = [
        _HEADER,
        "Types: deb",
        f"URIs: {wanted.url}",
        f"Suites: {wanted.suite}",
        f"Components: {wanted.component}",
        f"Architectures: {wanted.architecture}",
        "Signed-By:",
    ]
    # deb822 continues a field on indented lines, and writes an empty one as a dot.
    lines += [f" {line.strip() or '.'}" for line in key.strip().splitlines()]
    return "\n".join(lines) + "\n"


def key_in(text: str) -> str:
    """The key in a source that source_text wrote; empty if there is none."""
    _before, mark, block = text.partition("\nSigned-By:\n")
    if not mark:
        return ""
    return "\n".join("" if line == " ." else line[1:] for line in block.splitlines()) + "\n"


def _of_docker(words: Iterable[str], bases: Iterable[str]) -> bool:
    # To apt, http and https, with and without a slash, are one repository.
    starts = [base.split("://", 1)[-1].rstrip("/") + "/linux/" for base in bases]
    return any(word.split("://", 1)[-1].startswith(start) for word in words for start in starts)


def without_docker(name: str, text: str, bases: Iterable[str]) -> str:
    """A file of apt sources without its entries of Docker's repository, the rest byte for byte.

    Two sources of one repository with different Signed-By make every apt command fail. If only
    comments would be left, the text is empty: the file can be removed.
    """
    known = [DOCKER, *bases]
    if name.endswith(".sources"):
        entries = re.split(r"(\n[ \t]*\n)", text)
    else:
        entries = text.splitlines(keepends=True)
    kept = "".join(
        entry
        for entry in entries
        if not _of_docker((w for line in entry.splitlines() for w in _words(line)), known)
    )
    if kept == text:
        return text
    rest = [line for line in kept.splitlines() if line.strip() and not line.startswith("#")]
    return kept if rest else ""


def _words(line: str) -> list[str]:
    """The words of a line of a source; none for a comment."""
    return [] if line.lstrip().startswith("#") else line.split()


# What apt reports, and what it means for the user.
_MEANINGS = (
    (r"EXPKEYSIG|[Ee]xpired", "it is signed with an expired key"),
    (
        r"NO_PUBKEY|BADSIG|[Mm]issing key|couldn't be verified|[Ss]igning key",
        "it is not signed with its own key",
    ),
    (r"is not signed", "it is not signed"),
    (r"Release.*404|404 .*Not Found|does not have a Release", "it has no suite {suite}"),
    (
        r"Could ?n[o']t? (connect|resolve)|Connection (refused|failed)|timed out|Unable to connect",
        "it cannot be reached",
    ),
)


def meaning(apt_said: str, wanted: Repository) -> str:
    """Why apt could not use a repository, with the line of apt's output that says so."""
    said = [line for line in apt_said.splitlines() if line[:2] in ("E:", "W:", "Er")]
    for pattern, sentence in _MEANINGS:
        for line in said:
            if re.search(pattern, line):
                return f"{sentence.format(suite=wanted.suite)} (apt: {line})"
    return f"apt rejects it: {said[0] if said else 'no reason given'}"
