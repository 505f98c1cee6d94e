"""Pack directories into one archive, on the controller: one transfer in place of one for each file.

    pack.py ARCHIVE [PLACE=DIRECTORY ...] [PLACE->TARGET ...]

PLACE=DIRECTORY puts what is in a directory below PLACE, "." for the top; without DIRECTORY it is
empty. PLACE->TARGET makes a symbolic link. A file of that name stays out: it holds a site's
configuration, and perhaps its password. So do the controller's accounts and its umask, and .git.
Dates stay as they are: browsers and PHP go by them.
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import PurePosixPath


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """A member as it shall arrive: root's, and readable for all."""
    if ".git" in PurePosixPath(member.name).parts:
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def main(archive: str, *parts: str) -> None:
    """Write the archive."""
    linked = {PurePosixPath(part.partition("->")[0]) for part in parts if "->" in part}

    def packable(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if PurePosixPath(member.name) in linked else plain(member)

    with tarfile.open(archive, "w:gz") as packed:
        for part in parts:
            place, link, target = part.partition("->")
            if link:
                entry = tarfile.TarInfo(place)
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                packed.addfile(entry)
                continue
            place, _equals, directory = part.partition("=")
            if directory:
                packed.add(directory, place, filter=packable)
            else:
                entry = tarfile.TarInfo(place)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                packed.addfile(entry)


if __name__ == "__main__":
    main(*sys.argv[1:])
