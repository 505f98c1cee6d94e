"""Pack directories into one archive, on the controller: one transfer in place of one for each file.

    pack.py ARCHIVE [PLACE=DIRECTORY ...] [PLACE!PATTERN ...] [PLACE->TARGET ...] [PLACE:TEXT ...]

PLACE=DIRECTORY puts what is in a directory below PLACE, "." for the top; without DIRECTORY it is
empty. PLACE!PATTERN leaves out what is below PLACE if its path from there matches the regular
expression. PLACE->TARGET makes a symbolic link. A file of that name stays out: it holds a site's
configuration, and perhaps its password. PLACE:TEXT makes a file of one line.

The controller's accounts and its umask stay out, too. Dates stay as they are: browsers and PHP go
by them.
"""

from __future__ import annotations

import io
import re
import sys
import tarfile
from pathlib import PurePosixPath


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member as it shall arrive: root's, and readable for all."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def main(archive: str, *parts: str) -> None:
    """Write the archive."""
    what = [re.split("(=|!|->|:)", part, maxsplit=1) for part in parts]
    linked = {PurePosixPath(place) for place, kind, _target in what if kind == "->"}
    left_out = [
        (PurePosixPath(place), re.compile(rule)) for place, kind, rule in what if kind == "!"
    ]

    def packable(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        name = PurePosixPath(member.name)
        unwanted = name in linked or any(
            place in name.parents and rule.search(str(name.relative_to(place)))
            for place, rule in left_out
        )
        return None if unwanted else plain(member)

    with tarfile.open(archive, "w:gz") as packed:
        for place, kind, value in what:
            entry = tarfile.TarInfo(place)
            if kind == "->":
                entry.type, entry.linkname = tarfile.SYMTYPE, value
                packed.addfile(entry)
            elif kind == ":":
                text = f"{value}\n".encode()
                entry.size = len(text)
                packed.addfile(entry, io.BytesIO(text))
            elif kind == "=" and value:
                packed.add(value, place, filter=packable)
            elif kind == "=":
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                packed.addfile(entry)


if __name__ == "__main__":
    main(*sys.argv[1:])
