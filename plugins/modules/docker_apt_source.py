#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_apt_source
short_description: Manage the apt source of Docker's repository
version_added: 0.1.0
description:
  - Writes one deb822 source for Docker's repository, or a mirror of it, with the key inside
    (C(Signed-By)). No key file is needed beside it.
  - Before anything changes, the module downloads the key, compares its fingerprint, and lets C(apt)
    read the repository with lists in a temporary directory. So an unexpected key, a bad signature,
    a missing suite or a dead mirror is an error that leaves the host unchanged.
  - Removes other sources of the same repository and keys from older instructions, since two
    sources with different keys make every C(apt) command fail. Other lines and entries of the same
    files are kept.
  - Downloads nothing if the source exists already, with a key of the given fingerprint.
  - Does not refresh the package lists.
options:
  state:
    description:
      - V(present) verifies and writes the source, V(absent) removes it and all others of Docker.
    type: str
    choices: [present, absent]
    default: present
  base:
    description:
      - Address of the repository up to C(/linux/). A mirror has the same layout.
    type: str
    default: https://download.docker.com
  distribution:
    description:
      - Directory below C(/linux/), such as V(debian) or V(ubuntu).
      - If empty, it is read from C(/etc/os-release), for derivatives as well.
    type: str
    default: ""
  suite:
    description:
      - Codename of the release, such as V(bookworm). If empty, it is read from C(/etc/os-release).
    type: str
    default: ""
  component:
    description:
      - Component of the repository.
    type: str
    default: stable
  architecture:
    description:
      - Debian architecture, such as V(amd64). If empty, that of C(dpkg).
    type: str
    default: ""
  key_url:
    description:
      - Address of the ASCII-armored key. If empty, C(gpg) beside the suites.
    type: str
    default: ""
  fingerprints:
    description:
      - Fingerprints of the primary keys that the key file may contain. Any other is rejected.
    type: list
    elements: str
    required: true
  path:
    description:
      - Path of the source.
    type: path
    default: /etc/apt/sources.list.d/docker.sources
  timeout:
    description:
      - Seconds to wait for an answer from the server.
    type: int
    default: 20
attributes:
  check_mode:
    support: full
    description:
      - Downloads the key and verifies the repository, but changes no file.
  diff_mode:
    support: full
    description:
      - Shows the source, and what is removed from other files.
  idempotent:
    support: full
    description:
      - A second run changes nothing.
  platform:
    support: full
    platforms: debian
    description:
      - Hosts with C(apt).
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Add Docker's repository
  bookface.platform.docker_apt_source:
    fingerprints: [9DC858229FC7DD38854AE2D88D81803C0EBFCD88]

- name: Add a mirror of it, on a derivative that does not name its release
  bookface.platform.docker_apt_source:
    base: http://mirror.example.org/docker
    distribution: debian
    suite: bookworm
    fingerprints: [9DC858229FC7DD38854AE2D88D81803C0EBFCD88]

- name: Remove all sources of Docker's repository
  bookface.platform.docker_apt_source:
    state: absent
    fingerprints: []
"""

RETURN = r"""
url:
  description: Address of the repository, empty for O(state=absent).
  returned: success
  type: str
  sample: https://download.docker.com/linux/debian
suite:
  description: The suite, empty for O(state=absent).
  returned: success
  type: str
  sample: bookworm
age:
  description: Seconds since the source was written. Older package lists do not include it.
  returned: success
  type: int
  sample: 0
removed:
  description: Files that were removed, or whose entries of Docker's repository were.
  returned: success
  type: list
  elements: str
  sample: [/etc/apt/sources.list.d/docker.list, /etc/apt/keyrings/docker.gpg]
"""

import shutil
import tempfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.bookface.platform.plugins.module_utils.docker import openpgp, sources
from ansible_collections.bookface.platform.plugins.module_utils.docker import (
    repository as docker_repository,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.repository import (
    Repository,
    RepositoryError,
)
from ansible_collections.bookface.platform.plugins.module_utils.text_file import put, read

UNTOUCHED = "Nothing was changed."


def wanted_repository(module: AnsibleModule) -> Repository:
    """The repository for this host."""
    architecture = module.params["architecture"]
    if not architecture:
        architecture = module.run_command(["dpkg", "--print-architecture"], check_rc=True)[1]
    return docker_repository.repository(
        docker_repository.os_release(read(Path("/etc/os-release"))),
        architecture.strip(),
        module.params["base"],
        module.params["distribution"],
        module.params["suite"],
        module.params["component"],
    )


def fetch_key(module: AnsibleModule, wanted: Repository) -> str:
    """Download the key file and check its keys."""
    url = module.params["key_url"] or wanted.key_url
    try:
        answer = open_url(url, timeout=module.params["timeout"], http_agent="bookface.platform")
        key: str = answer.read(1 << 20).decode("ascii", errors="replace")
    except Exception as error:  # urllib, ssl and http have no common one
        raise RepositoryError(
            f"the key {url} cannot be downloaded: {error}. Check docker_ce_mirror, and whether the"
            " host reaches that address"
        ) from None
    docker_repository.check_key(key, module.params["fingerprints"], url)
    return key


def try_source(module: AnsibleModule, wanted: Repository, text: str) -> None:
    """Let apt read the repository, with all files in a temporary directory."""
    place = Path(tempfile.mkdtemp(prefix="docker-source-", dir=module.tmpdir))
    try:
        (place / "docker.sources").write_text(text, encoding="ascii")
        for name in ("lists/partial", "cache/archives/partial"):
            (place / name).mkdir(parents=True)
        settings = {
            "Dir::Etc::sourcelist": place / "docker.sources",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": place / "lists",
            "Dir::Cache": place / "cache",
            # apt's own user may not have access to the directory above.
            "APT::Sandbox::User": "root",
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none",
            "Acquire::Retries": "0",
            "Acquire::http::Timeout": module.params["timeout"],
            "Acquire::https::Timeout": module.params["timeout"],
        }
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        plain = {"LC_ALL": "C"}
        code, said, complaint = module.run_command(
            ["apt-get", *options, "update"], environ_update=plain
        )
        if code:
            reason = docker_repository.meaning(complaint + said, wanted)
            raise RepositoryError(f"{wanted.url} cannot be used: {reason}")
        versions = module.run_command(
            ["apt-cache", *options, "madison", "docker-ce"], environ_update=plain
        )[1]
        if not versions.strip():
            raise RepositoryError(
                f"{wanted.url} has no docker-ce for {wanted.suite}, component {wanted.component},"
                f" architecture {wanted.architecture}"
            )
    finally:
        shutil.rmtree(place, ignore_errors=True)


def shown(text: str) -> str:
    """A source with the fingerprint of its key in place of the key."""
    key = docker_repository.key_in(text)
    if not key:
        return text
    before, mark, _key = text.partition("\nSigned-By:\n")
    try:
        names = [found.fingerprint for found in openpgp.keys(key)]
    except openpgp.KeyFileError:
        names = ["not a key"]
    return f"{before}{mark} (the key {', '.join(names)})\n"


def difference(path: Path, before: str, after: str) -> dict[str, str]:
    """One entry of a diff."""
    return {
        "before_header": str(path),
        "after_header": str(path),
        "before": "(a key)\n" if path.suffix in (".gpg", ".asc") else shown(before),
        "after": shown(after),
    }


def run(module: AnsibleModule) -> dict[str, object]:
    """Read, plan, verify, apply."""
    own = Path(module.params["path"])
    there = read(own)
    result: dict[str, object] = {"url": "", "suite": ""}
    text = ""
    if module.params["state"] == "present":
        wanted = wanted_repository(module)
        result = {"url": wanted.url, "suite": wanted.suite}
        try:
            key = docker_repository.key_in(there)
            docker_repository.check_key(key, module.params["fingerprints"], str(own))
            text = docker_repository.source_text(wanted, key)
        except RepositoryError:
            text = ""
        if text != there or not there:
            text = docker_repository.source_text(wanted, fetch_key(module, wanted))
            try_source(module, wanted, text)
    removals = sources.without_docker([module.params["base"]])
    if module.params["state"] == "present":
        removals.pop(own, None)
    elif there:
        # It may be of a mirror that is no longer known by its address.
        removals[own] = ""
    elsewhere = {path: rest for path, rest in removals.items() if path != own}
    differences = [difference(path, read(path), rest) for path, rest in removals.items()]
    if text and text != there:
        differences.append(difference(own, there, text))
    if not module.check_mode:
        for path, rest in removals.items():
            if rest:
                put(module, path, rest)
            else:
                path.unlink()
        if text and text != there:
            put(module, own, text)
    written = own.stat().st_mtime if text == there and text else time.time()
    return {
        **result,
        "changed": bool(differences),
        "age": 1 << 30 if not text else max(0, int(time.time() - written)),
        "diff": differences,
        "removed": [str(path) for path in elsewhere],
    }


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "base": {"type": "str", "default": docker_repository.DOCKER},
            "distribution": {"type": "str", "default": ""},
            "suite": {"type": "str", "default": ""},
            "component": {"type": "str", "default": "stable"},
            "architecture": {"type": "str", "default": ""},
            "key_url": {"type": "str", "default": "", "no_log": False},
            "fingerprints": {"type": "list", "elements": "str", "required": True},
            "path": {"type": "path", "default": str(sources.OWN)},
            "timeout": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except RepositoryError as error:
        module.fail_json(msg=f"{error}. {UNTOUCHED}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
