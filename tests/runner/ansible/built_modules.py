"""Keep the modules that Ansible builds, and their byte code, from one run to the next.

Ansible packs a module with all that it imports once per run of C(ansible-playbook). For each task
the host compiles those forty files twice: Python's zipimport does so to find a file's name, and
again to run it. That was half of what Ansible cost the tests. With this, a module is packed once
for all runs, and byte code lies beside the sources, which a host with another Python takes instead.
What is executed is the same.
"""

from __future__ import annotations

import base64
import hashlib
import io
import py_compile
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.executor import module_common
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__

DOCUMENTATION = """
name: built_modules
type: aggregate
short_description: Keep the modules that Ansible builds, and their byte code
description: Loaded by being in a directory of C(ANSIBLE_CALLBACK_PLUGINS).
"""

ROOT = Path(__file__).resolve().parents[3]
# Of the package ansible with its collections, and of this collection. A routing file has names that
# stand for others.
SOURCES = (
    "requirements.lock",
    "meta/runtime.yml",
    "plugins/modules",
    "plugins/module_utils",
    __file__,
)


def digest(root: Path, names: Iterable[str]) -> str:
    """A name for what all modules are made of."""
    found = hashlib.sha256(f"{__version__} {sys.version} {root}".encode())
    for name in names:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found.update(f"\n{file}\n".encode() + file.read_bytes())
    return found.hexdigest()[:16]


def with_byte_code(archive: bytes) -> bytes:
    """The same ZIP file, each of its Python files with its byte code for this Python beside it."""
    content = io.BytesIO(archive)
    with (
        zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as file,
        tempfile.TemporaryDirectory() as directory,
    ):
        source, code = Path(directory) / "source.py", Path(directory) / "source.pyc"
        for name in file.namelist():
            if name.endswith(".py"):
                source.write_bytes(file.read(name))
                py_compile.compile(
                    str(source),
                    str(code),
                    dfile=name,
                    doraise=True,
                    # Times of files in an archive have two seconds at best.
                    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
                )
                file.writestr(f"{name}c", code.read_bytes())
    return content.getvalue()


class BuiltModule(module_common._CachedModule):  # type: ignore[misc]  # Ansible has no types.
    """What Ansible has built, with its byte code."""

    def __init__(self, zip_data: bytes, **rest: Any) -> None:
        archive = with_byte_code(base64.b64decode(zip_data))
        super().__init__(zip_data=base64.b64encode(archive), **rest)


def kept() -> Path:
    """Where built modules stay."""
    return ROOT / ".cache" / "built_modules" / digest(ROOT, SOURCES)


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Does all when it is loaded: that is before the first task."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "built_modules"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        directory = kept()
        directory.mkdir(parents=True, exist_ok=True)
        # The run's own directory goes when it ends; the link goes with it, and what it names stays.
        of_this_run = Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache"
        if not of_this_run.is_symlink():
            of_this_run.symlink_to(directory)
        module_common._CachedModule = BuiltModule
