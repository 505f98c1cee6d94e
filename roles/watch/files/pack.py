"""Pack directories into one archive, on the controller: one transfer in place of one for each file.

    pack.py ARCHIVE [--only=NAME,...] PLACE=DIRECTORY ...

PLACE=DIRECTORY puts what is in a directory below PLACE, "." for the top; with --only, just these
entries of it. Links are followed: what they lead to is not on the host.

The same content makes the same archive: neither dates, accounts nor the umask go into it. Prints
its SHA-256.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import tarfile
from pathlib import Path


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """A member as it shall arrive: root's, and readable for nobody else."""
    name = Path(member.name).name
    if name in ("__pycache__", ".git") or name.endswith(".pyc"):
        return None
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    member.mode = 0o700 if member.isdir() or member.mode & 0o100 else 0o600
    return member


def main(archive: str, *parts: str) -> None:
    """Write the archive."""
    only = [part[7:].split(",") for part in parts if part.startswith("--only=")]
    places = [part.split("=", 1) for part in parts if not part.startswith("--only=")]
    # It may hold an inventory's secrets.
    number = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with (
        os.fdopen(number, "wb") as stream,
        gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed,
        tarfile.open(
            fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, dereference=True
        ) as listed,
    ):
        for place, directory in places:
            for entry in sorted(Path(directory).iterdir()):
                if not only or entry.name in only[0]:
                    listed.add(entry, f"{place}/{entry.name}", filter=plain)
    print(hashlib.sha256(Path(archive).read_bytes()).hexdigest())


if __name__ == "__main__":
    main(*sys.argv[1:])
