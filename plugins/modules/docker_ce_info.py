#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_ce_info
short_description: Gather facts about Docker on a host
version_added: 0.1.0
description:
  - Reads the system, packages, apt sources, configuration and engine of a host in one call.
  - Works on hosts without Docker, too, and changes nothing.
options:
  packages:
    description:
      - Debian packages to look for.
    type: list
    elements: str
    default: []
  images:
    description:
      - Names of images to look for.
    type: list
    elements: str
    default: []
  base:
    description:
      - Address of a mirror of Docker's repository. RV(sources) includes Docker's own in any case.
    type: str
    default: https://download.docker.com
  path:
    description:
      - The engine's configuration file.
    type: path
    default: /etc/docker/daemon.json
  client:
    description:
      - Whether RV(version) may be that of another engine, which the client uses by its context or
        environment, if the system's does not answer.
    type: bool
    default: false
  daemon:
    description:
      - Options of M(bookface.platform.docker_daemon) for which RV(daemon) is the plan.
    type: dict
    suboptions:
      config:
        description: Settings to write.
        type: dict
        default: {}
      defaults:
        description: Settings to write where nobody has decided.
        type: dict
        default: {}
      swarm:
        description: Whether the host belongs to a swarm, or is about to join one.
        type: bool
        default: false
      abandon_data:
        description: Whether containers, images and volumes may be hidden from the engine.
        type: bool
        default: false
extends_documentation_fragment:
  - bookface.platform.reads_only
attributes:
  platform:
    support: full
    platforms: debian
    description:
      - On other systems RV(distribution) is empty.
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Gather facts about Docker
  bookface.platform.docker_ce_info:
    packages: [docker-ce, docker.io]
  register: docker

- name: Report the engine
  ansible.builtin.debug:
    msg: "{{ docker.version or 'No engine answers.' }}"
"""

RETURN = r"""
system:
  description: Name of the operating system.
  returned: always
  type: str
  sample: Debian GNU/Linux 12 (bookworm)
distribution:
  description: V(debian) or V(ubuntu), for their derivatives as well. Empty for other systems.
  returned: always
  type: str
suite:
  description: >-
    Codename of the release; for a derivative, the one that it is based on. Empty if it is unknown.
  returned: always
  type: str
  sample: bookworm
systemd:
  description: Whether the host runs systemd.
  returned: always
  type: bool
packages:
  description: Name, selection, status and version of each package known to C(dpkg).
  returned: always
  type: list
  elements: str
  sample: [docker-ce install installed 5:28.5.1-1~debian.12~bookworm]
sources:
  description: Files with apt sources or keys of Docker's repository.
  returned: always
  type: list
  elements: str
  sample: [/etc/apt/sources.list.d/docker.sources]
members:
  description: Accounts in the group C(docker).
  returned: always
  type: list
  elements: str
interrupted:
  description: >-
    Whether C(dpkg) was interrupted. False while another program is installing packages.
  returned: always
  type: bool
unfinished:
  description: Packages that an interrupted C(dpkg) has left between two states.
  returned: always
  type: list
  elements: str
  sample: [docker.io (half-configured)]
daemon:
  description: What M(bookface.platform.docker_daemon) would do with O(daemon).
  returned: if O(daemon) is given
  type: dict
  contains:
    problem:
      description: Why it would fail. Empty if it would not.
      type: str
    live_restore:
      description: Whether containers keep running without the engine.
      type: bool
    data_root:
      description: Where the engine keeps its data.
      type: str
      sample: /var/lib/docker
    changed:
      description: Whether the file would change.
      type: bool
    config:
      description: The new content of the file.
      type: dict
    proposed:
      description: Defaults that would be left out because the engine is in use.
      type: dict
    reason:
      description: Why the engine counts as in use. Empty if it does not.
      type: str
    recorded:
      description: Whether the record beside the file is up to date.
      type: bool
installed:
  description: Whether C(dockerd) is installed.
  returned: always
  type: bool
version:
  description: Version of the engine that answers. Empty if none does.
  returned: always
  type: str
  sample: 28.5.1
elsewhere:
  description: >-
    What leads the Docker client of this account to another engine, E(DOCKER_HOST) or a docker
    context with its address. Empty if nothing does, or with O(client).
  returned: always
  type: str
  sample: the docker context rootless (unix:///run/user/1000/docker.sock)
images:
  description: Those of O(images) that the engine has.
  returned: always
  type: list
  elements: str
running:
  description: Whether the engine's service runs.
  returned: always
  type: bool
enabled:
  description: Whether systemd starts the engine at boot.
  returned: always
  type: bool
pending:
  description: Whether the running engine has yet to load its configuration file.
  returned: always
  type: bool
"""

import grp
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.docker import (
    repository as docker_repository,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker import sources
from ansible_collections.bookface.platform.plugins.module_utils.docker.daemon import (
    DaemonConfigError,
    load,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.engine import (
    PENDING,
    SOCKET,
    Engine,
)
from ansible_collections.bookface.platform.plugins.module_utils.docker.plan import (
    Host,
    Request,
    data_root,
    plan,
)
from ansible_collections.bookface.platform.plugins.module_utils.dpkg import Dpkg
from ansible_collections.bookface.platform.plugins.module_utils.text_file import read

FORMAT = "${Package} ${db:Status-Want} ${db:Status-Status} ${Version}\\n"


def packages(module: AnsibleModule) -> list[str]:
    """What dpkg knows of the packages. Its exit status says whether all are known: ignored."""
    names = module.params["packages"]
    if not names or not module.get_bin_path("dpkg-query"):
        return []
    command = ["dpkg-query", "--show", "--showformat", FORMAT, *names]
    return str(module.run_command(command)[1]).splitlines()


def members() -> list[str]:
    """Accounts in the engine's group."""
    try:
        return list(grp.getgrnam("docker").gr_mem)
    except KeyError:
        return []


def where(host: Host) -> str:
    """Where the engine keeps its data, as it says itself, or as its file says."""
    try:
        return host.use.root or data_root(load(host.text), host.flags)
    except DaemonConfigError:
        return data_root({}, host.flags)


def planned(request: Request, host: Host) -> dict[str, Any]:
    """What docker_daemon would do."""
    facts = {"live_restore": host.use.live_restore, "data_root": where(host)}
    try:
        made = plan(request, host)
    except DaemonConfigError as error:
        return {"problem": f"{host.path}: {error}.", **facts}
    return {
        **facts,
        "problem": "",
        "changed": made.changed,
        "config": made.config,
        "proposed": made.proposed,
        "reason": made.reason,
        "recorded": made.record == host.record,
    }


def run(module: AnsibleModule) -> dict[str, Any]:
    """Everything that the module returns."""
    release = docker_repository.os_release(read(Path("/etc/os-release")))
    distribution, suite = docker_repository.machine(release)
    engine = Engine(module)
    version = engine.version(module.params["client"])
    elsewhere = "" if module.params["client"] else engine.elsewhere()
    if elsewhere:
        module.warn(
            "The Docker client of this account does not ask the engine of this host, but follows"
            f" {elsewhere}. Roles ask the engine of this host, at unix://{SOCKET}. By hand, use"
            " docker --host with that address, or undo it with docker context use default."
        )
    interrupted, unfinished = Dpkg(module).interrupted()
    apt = set(sources.without_docker([module.params["base"]]))
    if sources.OWN.exists():
        # It may be of a mirror that is no longer known by its address.
        apt.add(sources.OWN)
    result = {
        "system": release.get("PRETTY_NAME", "an unknown system"),
        "distribution": distribution,
        "suite": suite,
        "systemd": engine.systemd,
        "packages": packages(module),
        "interrupted": interrupted,
        "unfinished": unfinished,
        "sources": sorted(str(path) for path in apt),
        "members": members(),
        "installed": engine.installed(),
        "version": version,
        "elsewhere": elsewhere,
        "images": [name for name in module.params["images"] if version and engine.has_image(name)],
        "pending": PENDING.exists(),
        **engine.state(),
    }
    if module.params["daemon"] is not None:
        host = engine.look(module.params["path"])
        result["daemon"] = planned(Request(**module.params["daemon"]), host)
    return result


def main() -> None:
    """Arguments in, result out."""
    settings = {
        "config": {"type": "dict", "default": {}},
        "defaults": {"type": "dict", "default": {}},
        "swarm": {"type": "bool", "default": False},
        "abandon_data": {"type": "bool", "default": False},
    }
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "default": []},
            "images": {"type": "list", "elements": "str", "default": []},
            "base": {"type": "str", "default": docker_repository.DOCKER},
            "path": {"type": "path", "default": "/etc/docker/daemon.json"},
            "client": {"type": "bool", "default": False},
            "daemon": {"type": "dict", "options": settings},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **run(module))


if __name__ == "__main__":
    main()
