#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: swarm_service
short_description: Create or update a service of a Docker swarm from its specification
version_added: 0.1.0
description:
  - Takes the specification in the words of Docker's API, as C(docker service inspect) shows it, so
    that every setting of Docker can be given; M(community.docker.docker_swarm_service) has no limit
    of processes, for one.
  - A service that exists is updated as one step, which C(docker service rollback) takes back. It is
    never recreated.
  - An update that Docker has paused is continued, even if the specification is the same.
  - Runs on a manager of the swarm.
options:
  spec:
    description:
      - The service as an object C(ServiceSpec) of Docker's API. Networks may be given by name.
      - What is not in it is not compared.
    type: dict
    required: true
  resolve_image:
    description:
      - Whether an image that is given by a tag gets the digest that its registry has for it, as the
        command C(docker service create) does it. All nodes then run the very same image.
      - The registry is asked once, when the service gets that image. A tag that has moved there
        changes nothing; give another tag, or a digest.
    type: bool
    default: false
  registry_username:
    description:
      - Account at the registry of the image. Nodes use it to pull the image.
      - An image that is given by its ID has no registry, so none gets to know the account.
      - It is given to Docker with a change of the service, and stored nowhere else.
    type: str
  registry_password:
    description:
      - Password of that account.
    type: str
attributes:
  check_mode:
    support: full
    description:
      - Compares only.
  diff_mode:
    support: full
    description:
      - Shows the settings that differ.
  idempotent:
    support: full
    description:
      - Compares the specification with what Docker has.
  platform:
    support: full
    platforms: linux
    description:
      - Linux.
requirements:
  - Docker SDK for Python (C(python3-docker))
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Run a service with a limit of processes
  bookface.platform.swarm_service:
    spec:
      Name: web
      TaskTemplate:
        ContainerSpec: {Image: "nginx:1.27"}
        Resources: {Limits: {Pids: 100}}
        Networks: [{Target: web}]
      Mode: {Replicated: {Replicas: 2}}

- name: Run a service from a private registry, with the digest of its image
  bookface.platform.swarm_service:
    spec:
      Name: tool
      TaskTemplate:
        ContainerSpec: {Image: "registry.example:5000/tool:2"}
      Mode: {Replicated: {Replicas: 1}}
    resolve_image: true
    registry_username: swarm
    registry_password: "{{ vault_registry_password }}"
"""

RETURN = r"""
changes:
  description: >-
    Names of the settings that differed, and V(paused update) if Docker had paused the last update.
    Empty for a service that is new.
  returned: success
  type: list
  elements: str
  sample: [image, secrets]
replaces:
  description: Whether new tasks start, because the service is new or the specification of its
    tasks has changed.
  returned: success
  type: bool
"""

from contextlib import suppress
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.docker.swarm_api import swarm_api
from ansible_collections.bookface.platform.plugins.module_utils.web.service import (
    arguments,
    differences,
    following,
    paused,
    pinned_image,
    with_ids,
    with_image,
)

with suppress(ImportError):  # swarm_api says what is missing
    from docker.auth import resolve_repository_name
    from docker.errors import APIError, NotFound

# How often an update is tried that meets one by somebody else.
TRIES = 3


class ImageError(Exception):
    """A registry that does not have an image, or does not give it."""


class Registry:
    """The registry of a service's image, which is asked if the service changes."""

    def __init__(
        self, api: Any, resolve: bool = False, username: str = "", password: str = ""
    ) -> None:
        self.api, self.resolve = api, resolve
        self.username, self.password = username, password

    def kept(self, spec: dict[str, Any], found: str) -> dict[str, Any]:
        """The description with the digest that its image was pinned to before."""
        pinned = pinned_image(spec["TaskTemplate"]["ContainerSpec"]["Image"], found)
        return with_image(spec, pinned) if self.resolve and pinned else spec

    def asked(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The description as Docker is to get it, which then knows the account as well."""
        image = spec["TaskTemplate"]["ContainerSpec"]["Image"]
        if image.startswith("sha256:"):
            # By its ID it is of no registry; taken for a name it would be of Docker Hub.
            return spec
        host, _name = resolve_repository_name(image)
        if self.username:
            try:
                # Kept in memory only, and given to Docker with the service.
                self.api.login(self.username, self.password, registry=host, reauth=True)
            except APIError as error:
                raise ImageError(
                    f"{host} does not accept the account {self.username}: {_reason(error)}"
                ) from error
        if not self.resolve or pinned_image(image, ""):
            return spec
        try:
            digest = self.api.inspect_distribution(image)["Descriptor"]["digest"]
        except APIError as error:
            raise ImageError(f"{host} does not give {image}: {_reason(error)}") from error
        return with_image(spec, f"{image}@{digest}")


def _reason(error: Any) -> str:
    return str(error.explanation or error)


def run(
    api: Any,
    given: dict[str, Any],
    check: bool,
    tries: int = TRIES,
    registry: Registry | None = None,
) -> dict[str, Any]:
    """The service as described. Docker refuses an update of a version that is not the last."""
    registry = registry or Registry(api)
    name = given["Name"]
    networks = {one["Name"]: one["Id"] for one in api.networks(filters={"scope": "swarm"})}
    spec = with_ids(given, networks)
    try:
        service = api.inspect_service(name)
    except NotFound:
        if not check:
            api.create_service(**arguments(registry.asked(spec)))
        diff = {"before": {}, "after": {"name": name}}
        return {"changed": True, "changes": [], "replaces": True, "diff": diff}
    there = service["Spec"]
    spec = registry.kept(spec, there["TaskTemplate"].get("ContainerSpec", {}).get("Image", ""))
    found = differences(spec, there)
    stuck = paused(service)
    if (found or stuck) and not check:
        seen = service["Version"]["Index"]
        update = arguments(following(registry.asked(spec), there))
        try:
            api.update_service(service["ID"], seen, **update)
        except APIError:
            if tries == 1 or api.inspect_service(name)["Version"]["Index"] == seen:
                raise
            return run(api, given, check, tries - 1, registry)
    return {
        "changed": bool(found) or stuck,
        "changes": sorted({one.name for one in found} | ({"paused update"} if stuck else set())),
        "replaces": stuck or bool(differences({"TaskTemplate": spec["TaskTemplate"]}, there)),
        "diff": {
            "before": {one.name: one.found for one in found},
            "after": {one.name: one.wanted for one in found},
        },
    }


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "spec": {"type": "dict", "required": True},
            "resolve_image": {"type": "bool", "default": False},
            "registry_username": {"type": "str"},
            "registry_password": {"type": "str", "no_log": True},
        },
        required_together=[("registry_username", "registry_password")],
        supports_check_mode=True,
    )
    given = module.params
    spec, login = given["spec"], (given["registry_username"], given["registry_password"])
    with swarm_api(module, spec.get("Name", "")) as api:
        registry = Registry(api, given["resolve_image"], *(one or "" for one in login))
        try:
            module.exit_json(**run(api, spec, module.check_mode, registry=registry))
        except ImageError as error:
            module.fail_json(
                msg=f"The service {spec['Name']} was not changed: {error}. Expected an image that"
                " this registry has and that the account, or everybody, may pull."
            )


if __name__ == "__main__":
    main()
