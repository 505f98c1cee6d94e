# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsers for the facts of a machine: listening sockets and installed packages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Socket:
    """A listening TCP port. C(process) is empty if the kernel itself listens."""

    address: str
    port: int
    process: str

    @classmethod
    def at(cls, address: str, port: int, process: str = "") -> Socket:
        """C(*) stands for all addresses, of IPv4 or IPv6."""
        bare = address.strip("[]").partition("%")[0].removeprefix("::ffff:")
        return cls("*" if bare in ("0.0.0.0", "::") else bare, port, process)  # noqa: S104  (read)

    @property
    def public(self) -> bool:
        """Whether other machines can reach it."""
        return not (self.address.startswith("127.") or self.address == "::1")


@dataclass(frozen=True)
class Software:
    """A product with its upstream version, empty if unknown."""

    name: str
    version: str


@dataclass(frozen=True)
class Product:
    """A server program. C(packages) matches the package that contains it."""

    name: str
    kind: str
    packages: str


WEB, DATABASE, CACHE, BALANCER = "web server", "database", "cache", "load balancer"
ENGINE, ADMINISTRATION, OTHER = "container engine", "administration", "other"

# Process that listens → what it is.
PRODUCTS: Mapping[str, Product] = {
    "haproxy": Product("HAProxy", BALANCER, r"haproxy"),
    "apache2": Product("Apache", WEB, r"apache2"),
    "nginx": Product("nginx", WEB, r"nginx"),
    "postgres": Product("PostgreSQL", DATABASE, r"postgresql-\d+"),
    "cockroach": Product("CockroachDB", DATABASE, r"cockroach(db)?"),
    "yb-tserver": Product("YugabyteDB", DATABASE, r"yugabyte(db)?"),
    "memcached": Product("memcached", CACHE, r"memcached"),
    "dockerd": Product("Docker", ENGINE, r"docker\.io|docker-ce"),
    "sshd": Product("OpenSSH", ADMINISTRATION, r"openssh-server"),
}
PHP_PACKAGES = r"(libapache2-mod-php|php)\d+\.\d+(-fpm)?"


def parse_sockets(text: str) -> list[Socket]:
    """Parse the lines of C(ss -H -l -t -n -p): State Recv-Q Send-Q Local:Port Peer:Port Process."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 5 or fields[0] != "LISTEN":
            continue
        address, _colon, port = fields[3].rpartition(":")
        names = re.findall(r'\("([^"]+)",', line)
        # Behind a socket that systemd opened first stands the service that it is for.
        process = next((name for name in names if name != "systemd"), "".join(names[:1]))
        found.append(Socket.at(address, int(port), process))
    return found


def parse_packages(text: str) -> dict[str, str]:
    """Installed packages from lines of C(name version status), the format given to dpkg-query."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[2] == "installed"}


def upstream(version: str) -> str:
    """The upstream part of a Debian version: 20.10.24 of 20.10.24+dfsg1-1+b3."""
    return re.split(r"[+~-]", version.partition(":")[2] or version, maxsplit=1)[0]


def version_of(packages: Mapping[str, str], pattern: str) -> str:
    """Version of the installed package that C(pattern) matches, the highest of several."""
    versions = [upstream(packages[name]) for name in packages if re.fullmatch(pattern, name)]
    return max(versions, key=lambda text: [int(n) for n in re.findall(r"\d+", text)], default="")


def software(process: str, packages: Mapping[str, str]) -> tuple[Software, ...]:
    """The software of a listening process: the server, and PHP in a web server."""
    product = PRODUCTS.get(process)
    if product is None:
        return (Software(process or "kernel", ""),)
    found = [Software(product.name, version_of(packages, product.packages))]
    php = version_of(packages, PHP_PACKAGES)
    if product.kind == WEB and php:
        found.append(Software("PHP", php))
    return tuple(found)


def server_in(packages: Mapping[str, str], candidates: Iterable[str] = tuple(PRODUCTS)) -> str:
    """The process that a container most likely runs, judged by its packages, or empty."""
    wanted = (name for name in candidates if name not in ("dockerd", "sshd"))
    return next((name for name in wanted if version_of(packages, PRODUCTS[name].packages)), "")
