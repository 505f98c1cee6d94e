"""Keep the modules that Ansible builds, and their byte code, from one run to the next.

Ansible packs a module with all that it imports once per run of C(ansible-playbook). For each task
the host compiles those forty files twice: Python's zipimport does so to find a file's name, and
again to run it. That was half of what Ansible cost the tests. With this, a module is packed once
for all runs, with byte code for this Python and for those of the lab's machines, if there are
images of them. A host with yet another Python takes the sources. What is executed is the same.
"""

from __future__ import annotations

import base64
import hashlib
import io
import platform
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
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


# The lab's machines, see roles/lab; the newest image of each tag is the one in use.
IMAGES = "bookface/node"
# Its names are bytecode's own: what a Python with another one does not find, it takes as sources.
TOP = ("ansible/__init__.py", "ansible_collections/__init__.py")
FIRST = """
import sys as _sys
_own = _sys.implementation.cache_tag
if _own in {tags!r}:
    _root, _, _name = __path__[0].rpartition("/")
    __path__.insert(0, _root + "/" + _own + "/" + _name)
"""
# An archive of sources → one of byte code, in a directory named after the Python that has made it.
COMPILE = """
import importlib.util, io, marshal, sys, zipfile
sources = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))
compiled = io.BytesIO()
with zipfile.ZipFile(compiled, "w") as target:
    for name in sources.namelist():
        if name.endswith(".py"):
            source = sources.read(name)
            # Times of files in an archive have two seconds at best: known by hash, not checked.
            by_hash = b"\\1\\0\\0\\0" + importlib.util.source_hash(source)
            code = marshal.dumps(compile(source, name, "exec", dont_inherit=True))
            path = f"{sys.implementation.cache_tag}/{name}c"
            target.writestr(path, importlib.util.MAGIC_NUMBER + by_hash + code)
sys.stdout.buffer.write(compiled.getvalue())
"""


def digest(root: Path, names: Iterable[str], pythons: Iterable[Sequence[str]]) -> str:
    """A name for what all modules are made of."""
    found = hashlib.sha256(f"{__version__} {sys.version} {root} {[*pythons]}".encode())
    for name in names:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found.update(f"\n{file}\n".encode() + file.read_bytes())
    return found.hexdigest()[:16]


def other_pythons() -> list[list[str]]:
    """Commands that run the Pythons of the lab's machines, where these are not this one."""
    ask = ["docker", "image", "ls", "--format", "{{.Tag}} {{.ID}}", IMAGES]
    try:
        listed = subprocess.run(ask, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        # Without the lab's images there is no lab.
        return []
    # Newest first. A tag begins with the release, and this machine's own has this Python.
    images = {tag.partition("-")[0]: id_ for tag, id_ in map(str.split, listed.splitlines()[::-1])}
    images.pop(platform.freedesktop_os_release().get("VERSION_ID", ""), None)
    run = ("docker", "run", "--rm", "--interactive", "--network", "none", "--entrypoint", "python3")
    return [[*run, image] for _, image in sorted(images.items())]


def with_byte_code(archive: bytes, commands: Iterable[Sequence[str]]) -> bytes:
    """The same ZIP file, and byte code of its Python files for each of the commands."""
    compiled: dict[str, bytes] = {}
    for command in commands:
        done = subprocess.run([*command, "-c", COMPILE], input=archive, stdout=-1, check=True)
        compiled |= _entries(done.stdout)
    tags = sorted({name.partition("/")[0] for name in compiled})
    # The first package to be imported leads to the byte code, and that to all below it.
    sources = _entries(archive)
    for name in TOP:
        if name in sources:
            sources[name] += FIRST.format(tags=tags).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in (sources | compiled).items():
            file.writestr(name, data)
    return content.getvalue()


def _entries(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


class BuiltModule(module_common._CachedModule):  # type: ignore[misc]  # Ansible has no types.
    """What Ansible has built, with its byte code."""

    def __init__(self, zip_data: bytes, **rest: Any) -> None:
        archive = with_byte_code(base64.b64decode(zip_data), [[sys.executable], *other_pythons()])
        super().__init__(zip_data=base64.b64encode(archive), **rest)


def kept() -> Path:
    """Where built modules stay."""
    return ROOT / ".cache" / "built_modules" / digest(ROOT, SOURCES, other_pythons())


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
