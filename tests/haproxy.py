"""The switch on HAProxy of several Debian releases: `make test-haproxy`. Prints a table.

The programs come from Debian's archive by apt, with the libraries of their release beside them:
nothing is installed. Give releases to test those alone.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.versions import Versions, output

# Not where everybody may write: the modules would not execute it to validate.
PLACE = ROOT / ".cache" / "haproxy"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
TESTS = "tests/integration/haproxy"
# Those of the switch; `make test` runs all, on the HAProxy of this machine.
SELECTED = (
    "test_switch or test_maintenance or test_faults_haproxy or test_faults_reloads or test_deciding"
)
# Versions before 2.4 are not supported; 2.2 is the last in Debian that has nbproc.
RELEASES = {"bullseye": "several_processes", "trixie": "", "sid": "", "experimental": ""}


def mirror() -> str:
    """Where this machine gets Debian from."""
    found = output("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
    return next(line for line in found.splitlines() if line.rstrip("/").endswith("/debian"))


def download(release: str, place: Path) -> None:
    """The packages of HAProxy and of all that it requires, as if nothing were installed."""
    (place / "lists/partial").mkdir(parents=True, exist_ok=True)
    (place / "archives/partial").mkdir(parents=True, exist_ok=True)
    (place / "none").touch()
    # What experimental has is built for sid.
    releases = ["sid", release] if release == "experimental" else [release]
    lines = [f"deb [signed-by={KEYS}] {mirror()} {name} main\n" for name in releases]
    (place / "sources.list").write_text("".join(lines))
    settings = {
        "Dir::Etc::SourceList": place / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": place / "lists",
        "Dir::State::Status": place / "none",
        "Dir::Cache": place,
        "APT::Default-Release": releases[0],
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "true",
    }
    options = ["-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    output("apt-get", *options, "update")
    known = output("apt-cache", *options, "madison", "haproxy").splitlines()
    version = next(line.split()[2] for line in known if f" {release}/" in line)
    # With haproxy/RELEASE apt would take all that it requires from there as well.
    output("apt-get", *options, "install", "--yes", "--download-only", f"haproxy={version}")


def install(release: str) -> Path:
    """The directory of a release's program, which runs with its own libraries."""
    place = PLACE / release
    program = place / "bin/haproxy"
    if not program.exists():
        download(release, place)
        root = place / "root"
        for package in (place / "archives").glob("*.deb"):
            output("dpkg-deb", "--extract", str(package), str(root))
        loader = next(root.rglob("ld-linux-x86-64.so.2"))
        directories = sorted({str(path.parent) for path in root.rglob("*.so.*")})
        program.parent.mkdir(exist_ok=True)
        candidate = program.with_name("candidate")
        shutil.copy(root / "usr/sbin/haproxy", candidate)
        path = ":".join(directories)
        # HAProxy executes itself, so a wrapper would not do.
        output("patchelf", "--set-interpreter", str(loader), str(candidate))
        output("patchelf", "--force-rpath", "--set-rpath", path, str(candidate))
        candidate.rename(program)
    return program.parent


def main() -> int:
    """Test each release; 1 if one fails."""
    versions = Versions("HAProxy", TESTS)
    for release in sys.argv[1:] or list(RELEASES):
        programs = install(release)
        version = re.findall(r"version (\d+\.\d+\.\d+)", output(str(programs / "haproxy"), "-v"))[0]
        versions.test(
            f"{version} ({release})",
            ["-k", RELEASES.get(release) or SELECTED],
            PATH=f"{programs}:{os.environ['PATH']}",
        )
    return versions.end()


if __name__ == "__main__":
    sys.exit(main())
