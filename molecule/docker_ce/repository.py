#!/usr/bin/env python3
"""Makes an apt repository in Docker's layout from this machine's own Debian packages.

    make-repository DIRECTORY

DIRECTORY/linux/debian and linux/ubuntu are good. Below DIRECTORY/faults are repositories that are
not: signed by a key that they do not offer, and signed by a key that has expired.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(sys.argv[1])
RELEASE = dict(
    line.replace('"', "").split("=", 1)
    for line in Path("/etc/os-release").read_text().splitlines()
    if "=" in line
)
CODENAME, NUMBER = RELEASE["VERSION_CODENAME"], RELEASE["VERSION_ID"]

POSTINST = """#!/bin/sh
set -e
getent group docker > /dev/null || groupadd --system docker
if [ "$1" = configure ]; then
  deb-systemd-helper enable docker.service docker.socket
  systemctl daemon-reload
  if [ -n "$2" ]; then
    deb-systemd-invoke restart docker.service
  else
    deb-systemd-invoke start docker.service docker.socket || true
  fi
fi
"""
PRERM = """#!/bin/sh
set -e
if [ "$1" = remove ]; then deb-systemd-invoke stop docker.socket docker.service; fi
"""
POSTRM = """#!/bin/sh
set -e
systemctl daemon-reload
if [ "$1" = purge ]; then deb-systemd-helper purge docker.service docker.socket; fi
"""


def run(*command: str, **options: object) -> str:
    """What a command writes; an error where it fails."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    return str(done.stdout)


def unpack(place: Path, *names: str) -> Path:
    """Debian's packages of these names, unpacked over each other, control files included."""
    tree = place / "-".join(names)
    (tree / "all").mkdir(parents=True)
    for name in names:
        run("apt-get", "download", "--quiet", name, cwd=place)
        deb = next(place.glob(f"{name}_*.deb"))
        run("dpkg-deb", "--raw-extract", str(deb), str(tree / name))
        run("cp", "--archive", "--link", f"{tree / name}/.", f"{tree}/all")
    return tree / "all"


def field(tree: Path, name: str) -> str:
    lines = (tree / "DEBIAN/control").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith(f"{name}: ")), "")


def pack(tree: Path, name: str, version: str, pool: Path, **fields: str) -> None:
    """A package of a tree. Uncompressed: it goes no further than this machine."""
    control = {"Package": name, "Version": version, "Architecture": ARCHITECTURE}
    control |= {"Maintainer": "Test <test@example.org>", "Description": f"test package {name}"}
    control |= {key: value for key, value in fields.items() if value}
    text = "".join(f"{key}: {value}\n" for key, value in control.items())
    (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
    (tree / "DEBIAN/control").write_text(text)
    (tree / "DEBIAN/md5sums").unlink(missing_ok=True)
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(pool))


def packages(place: Path, pool: Path) -> None:
    """The five packages, the engine in two versions."""
    suffix = f"~debian.{NUMBER}~{CODENAME}"
    engine = unpack(place, "docker.io")
    number = field(engine, "Version").partition("+")[0]
    major, minor, patch = number.split(".")
    client = place / "client"
    (client / "usr/bin").mkdir(parents=True)
    if not (engine / "usr/bin/docker").exists():
        shutil.copy(unpack(place, "docker-cli") / "usr/bin/docker", engine / "usr/bin/docker")
    (engine / "usr/bin/docker").rename(client / "usr/bin/docker")
    depends = [
        word
        for word in field(engine, "Depends").split(", ")
        if word.split()[0] not in ("containerd", "runc")
    ]
    for script, text in (("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)):
        (engine / "DEBIAN" / script).write_text(text)
        (engine / "DEBIAN" / script).chmod(0o755)
    (engine / "DEBIAN/preinst").unlink(missing_ok=True)
    for version in (number, f"{major}.{minor}.{int(patch) + 1}"):
        pack(
            engine,
            "docker-ce",
            f"5:{version}-1{suffix}",
            pool,
            Depends=", ".join(["containerd.io", "docker-ce-cli", *depends]),
            Conflicts="docker (<< 1.5~), docker-engine, docker.io",
        )
        pack(
            client,
            "docker-ce-cli",
            f"5:{version}-1{suffix}",
            pool,
            Conflicts="docker (<< 1.5~), docker-engine, docker.io",
            Recommends="docker-buildx-plugin, docker-compose-plugin",
        )
    runtime = unpack(place, "runc", "containerd")
    depends = [word for word in field(runtime, "Depends").split(", ") if "runc" not in word]
    depends += field(place / "runc-containerd/runc", "Depends").split(", ")
    pack(
        runtime,
        "containerd.io",
        f"1.7.0-1{suffix}",
        pool,
        Depends=", ".join(dict.fromkeys(depends)),
        Conflicts="containerd, runc",
        Replaces="containerd, runc",
        Provides="containerd, runc",
    )
    for name in ("buildx", "compose"):
        plugin = place / name / "usr/libexec/docker/cli-plugins" / f"docker-{name}"
        plugin.parent.mkdir(parents=True)
        plugin.write_text("#!/bin/sh\nexit 1\n")
        plugin.chmod(0o755)
        pack(place / name, f"docker-{name}-plugin", f"0.1.0-1{suffix}", pool)


def key(name: str, *when: str, expires: str = "never") -> str:
    """A new signing key; its fingerprint."""
    make = ["--quick-generate-key", f"{name} <{name}@example.org>", "rsa3072", "sign", expires]
    run("gpg", "--batch", "--passphrase", "", *when, *make)
    listed = run("gpg", "--with-colons", "--list-keys", name)
    return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))


def suite(base: Path, listed: str, distribution: str, name: str, signer: str, *when: str) -> None:
    """One suite of one distribution, signed."""
    dists = base / "linux" / distribution / "dists" / name
    there = dists / "pool/stable" / ARCHITECTURE
    there.parent.mkdir(parents=True)
    shutil.copytree(ROOT / "pool", there, copy_function=os.link)
    listing = dists / "stable" / f"binary-{ARCHITECTURE}"
    listing.mkdir(parents=True)
    below = there.relative_to(base / "linux" / distribution)
    (listing / "Packages").write_text(listed.replace("Filename: pool/", f"Filename: {below}/"))
    facts = {"Suite": name, "Codename": name, "Components": "stable", "Architectures": ARCHITECTURE}
    options = [f"-oAPT::FTPArchive::Release::{key}={value}" for key, value in facts.items()]
    (dists / "Release").write_text(run("apt-ftparchive", *options, "release", ".", cwd=dists))
    sign = ["--local-user", signer, "--output", "InRelease", "--clearsign", "Release"]
    run("gpg", "--batch", "--yes", *when, *sign, cwd=dists)


def offer(base: Path, signer: str) -> None:
    """The key where Docker has it."""
    for distribution in ("debian", "ubuntu"):
        if (base / "linux" / distribution).is_dir():
            armored = run("gpg", "--armor", "--export", signer)
            (base / "linux" / distribution / "gpg").write_text(armored)


ARCHITECTURE = run("dpkg", "--print-architecture").strip()


def main() -> None:
    """All of it; the fingerprint last, as the sign that it is whole."""
    ROOT.mkdir(parents=True, exist_ok=True)
    past = ("--faked-system-time", "20240101T000000")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        os.environ["GNUPGHOME"] = str(place / "keys")
        (place / "keys").mkdir(mode=0o700)
        pool = ROOT / "pool"
        pool.mkdir()
        packages(place, pool)
        listed = run("apt-ftparchive", "packages", "pool", cwd=ROOT)
        good, other = key("good"), key("other")
        expired = key("expired", *past, expires="seconds=86400")
        for distribution, names in {"debian": [CODENAME], "ubuntu": ["noble"]}.items():
            for codename in names:
                suite(ROOT, listed, distribution, codename, good)
        offer(ROOT, good)
        faults = ROOT / "faults"
        suite(faults / "signed-by-other", listed, "debian", CODENAME, other)
        offer(faults / "signed-by-other", good)
        suite(faults / "expired", listed, "debian", CODENAME, expired, *past)
        offer(faults / "expired", expired)
        (faults / "expired/fingerprint").write_text(expired)
        (ROOT / "fingerprint").write_text(good)


main()
