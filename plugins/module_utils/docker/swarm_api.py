# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's API for the modules that change services of a swarm, with its errors in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from docker import APIClient
    from docker.errors import APIError, DockerException
    from docker.utils import kwargs_from_env

    HAS_SDK = True
except ImportError:
    HAS_SDK = False


@contextmanager
def swarm_api(module: AnsibleModule, service: str) -> Iterator[Any]:
    """The engine of this host. What it refuses of a service fails the module."""
    if not HAS_SDK:
        module.fail_json(msg=missing_required_lib("docker (python3-docker)"))
    try:
        with APIClient(version="auto", **kwargs_from_env()) as api:
            yield api
    except KeyError as error:
        module.fail_json(msg=f"The swarm has no network, or spec has no key, {error}.")
    except APIError as error:
        module.fail_json(msg=f"Docker refused the service {service}: {error}")
    except DockerException as error:
        module.fail_json(msg=f"Docker does not answer: {error}")
