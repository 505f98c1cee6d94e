# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a checkout belong to the site, and which no client may read.

The list is here alone: what is copied, packed and named by its content follows from it, and so do
the rules of the web servers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

_PACKED = "(?:[.](?:gz|bz2|xz|zst|zip|7z))?"
_ARCHIVE = "[.](?:tar(?:[.][a-z0-9]+)?|tgz|tbz2?|txz|zip|7z|rar|gz|bz2|xz|zst)"

# Names of files and directories, regardless of case. Character classes instead of backslashes: the
# configurations of Apache and nginx have rules of their own for these.
PRIVATE = (
    # Version control, .env, .htpasswd, editors and tools; but this one is there to be read.
    "[.](?!well-known(?:/|$))[^/]*",
    "CVS|_darcs",
    # Left by editors, patches and people.
    "[^/]*~|#[^/]*#",
    f"[^/]*[.](?:bak|backup|old|orig|rej|save|copy|tmp|temp|sw[a-p]|dist)[0-9]*{_PACKED}",
    "[^/]*[.](?:diff|patch)|_?backups?",
    # PHP under a name that PHP does not run, such as config.php.1.
    "[^/]*[.]php[^/]+|config[.]json[^/]+",
    # Dumps, archives of the site, logs.
    f"[^/]*[.](?:sql|sqlite[0-9]?|db[0-9]?|dump|dmp|mdb|rdb)(?:-wal|-shm|-journal)?{_PACKED}",
    f"(?:[^/]*(?:backup|dump)[^/]*|www|html|htdocs|public_html|site){_ARCHIVE}",
    "[^/]*[.](?:tar(?:[.][a-z0-9]+)?|tgz|tbz2?|txz)",
    f"[^/]*[.]log(?:[.-][0-9]+)*{_PACKED}|(?:error|access|debug)_log|nohup[.]out",
    # Keys, accounts and credentials.
    "[^/]*[.](?:pem|key|p12|pfx|jks|keystore|ppk|kdbx|ovpn|htpasswd)",
    "id_(?:rsa|dsa|ecdsa|ed25519)[^/]*|authorized_keys|known_hosts|auth[.]json",
    "(?:credentials|secrets?|vault)(?:[.](?:json|txt|ini))?|pgpass",
    "ht(?:access|passwd)(?:[.]txt)?|php[.]ini|my[.]cnf",
    # What builds, deploys and describes the site.
    "composer[.](?:json|lock|phar)|package(?:-lock)?[.]json|[^/]*[.]lock|phpunit[.]xml",
    "(?:docker|container)file(?:[.][^/]*)?|[^/]*[.]dockerfile|[^/]*[.]ya?ml",
    "ansible(?:[.]cfg)?|(?:group|host)_vars|inventor(?:y|ies)(?:[.](?:ini|cfg))?",
    "hosts(?:[.](?:ini|cfg)|$)|[^/]*[.]j2",
    "vagrantfile|makefile|jenkinsfile|procfile|[^/]*[.](?:sh|tf|tfvars|tfstate)",
    "(?:readme|changelog|contributing)(?:[_-][^/.]*)?(?:[.][a-z][a-z])?"
    "(?:[.](?:md|markdown|rst|txt|adoc|org|html?))?",
)

NAME = f"(?:{'|'.join(PRIVATE)})"
# In a path: what stays out of a copy; and what a web server denies, which is also the link to the
# site's configuration.
PATH = f"(?i)(?:^|/){NAME}(?:/|$)"
DENIED = f"(?i)(?:^|/)(?:{NAME}|config[.]json)(?:/|$)"
_path = re.compile(PATH)

# What the module copy leaves on a host.
_COPIED = ("0644", 0, 0)


def private(path: PurePath | str) -> bool:
    """Whether a path, relative to the web root, is or lies in what no client may read."""
    return _path.search(str(path)) is not None


def withheld(top: Path) -> list[str]:
    """What is private below C(top): the outermost names alone."""
    return sorted(_walk(top, PurePath(), want_private=True))


def published(top: Path) -> list[str]:
    """Files below C(top) that are not private, and do not lead to what is. Links are followed."""
    return sorted(_walk(top, PurePath(), want_private=False))


def _walk(
    top: Path, below: PurePath, *, want_private: bool, above: tuple[Path, ...] = ()
) -> Iterator[str]:
    here = _real(top / below)
    above = (*above, here) if above else (here, *here.parents)
    for entry in (top / below).iterdir():
        name = below / entry.name
        if private(name) or _leads_astray(top, entry):
            if want_private:
                yield name.as_posix()
        elif entry.is_dir():
            # A link to a directory above would never end, or be all of the controller.
            if _real(entry) not in above:
                yield from _walk(top, name, want_private=want_private, above=above)
        elif not want_private and entry.is_file():
            yield name.as_posix()


def _leads_astray(top: Path, entry: Path) -> bool:
    """Whether a link with a public name is one to something private."""
    if not entry.is_symlink():
        return False
    target, root = _real(entry), _real(top)
    return private(target.relative_to(root) if root in target.parents else target.name)


def _real(path: Path) -> Path:
    # Path.resolve raises for links in a circle.
    return Path(os.path.realpath(path))


def is_as_copied(file: Mapping[str, Any]) -> bool:
    """Whether a file, as the module find reports it, has the mode and the owner of a copy."""
    return (file["mode"], file["uid"], file["gid"]) == _COPIED


def copies(found: Iterable[Mapping[str, Any]], source: Mapping[str, str], into: str) -> list[str]:
    """Private files and directories below C(into) that are copies of ours, by what find reports.

    C(source) has the checksums of the private files in the source, also by the names of links to
    them. A file is ours if it is the same and has the mode and the owner that a copy gets. A
    directory is if all of its files have these, and one at least is the same: the others may be
    those of an earlier commit.
    """
    units: dict[PurePath, list[tuple[str, Mapping[str, Any]]]] = {}
    for file in found:
        path = PurePath(file["path"])
        if PurePath(into) in path.parents:
            name = path.relative_to(into)
            above = [PurePath(*name.parts[:end]) for end in range(1, len(name.parts) + 1)]
            unit = next(filter(private, above), name if name.as_posix() in source else None)
            if unit:
                units.setdefault(unit, []).append((name.as_posix(), file))
    return sorted(
        str(PurePath(into) / unit)
        for unit, files in units.items()
        if all(is_as_copied(file) for _name, file in files)
        and any(source.get(name) == file["checksum"] for name, file in files)
    )
