# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site keeps secret is in no image."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.support import rolling
from tests.support.engine import docker
from tests.support.rolling import Site

CODE = rolling.ROOT / "examples" / "bookface" / "code"
SECRET = b"only-this-site-knows"


def layers(image: str) -> list[bytes]:
    """All that is in an image: what it says of itself, and its layers as archives."""
    saved = subprocess.run(["docker", "save", image], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as parts:
        files = [file.read() for member in parts if (file := parts.extractfile(member))]
    return [gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data for data in files]


def test_a_configuration_that_the_source_brings_stays_out(shared: Site, tmp_path: Path) -> None:
    """An older one, which holds the password itself, and one that nobody reads; links are there."""
    source = tmp_path / "source"
    shutil.copytree(CODE, source)
    (source / "config.php").write_bytes(b'<?php\n$dbhost = "db";\n$dbpassw = "%s";\n' % SECRET)
    (source / "config.json").write_bytes(b'{"dbpassw": "%s"}' % SECRET)
    (source / "release.txt").write_text("of this release")
    given = {"type": "path", "location": str(source)}
    done = shared.play(
        rolling.IMAGE_PLAYS, bookface_image_name="bookface/rolling", bookface_source=given
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-500:]
    image = (shared.directory / "image").read_text()
    try:
        found = layers(image)
        assert any(b"of this release" in data for data in found)
        assert any(b"/etc/bookface/config.php" in data for data in found)
        assert not any(SECRET in data for data in found)
    finally:
        docker("image", "rm", image)
