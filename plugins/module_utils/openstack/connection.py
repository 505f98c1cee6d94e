# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to a cloud, for the inventory and for the module that looks at it.

An answer that asks to come back later (429, 503) is retried, and not for long: a cloud that is
overloaded is an error that people have to see.
"""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.openstack.fault import (
    Fault,
    explain,
)

REFUSALS: tuple[type[Exception], ...]
# Those of them that come from no answer at all.
SILENCE: tuple[type[Exception], ...]
try:
    import openstack
    from keystoneauth1.exceptions import ClientException, DiscoveryFailure
    from keystoneauth1.exceptions import ConnectionError as NoConnection
    from openstack.exceptions import SDKException, raise_from_response

    HAS_SDK = True
    # ValueError: an answer that is no JSON.
    REFUSALS = (ClientException, SDKException, ValueError)
    SILENCE = (NoConnection, DiscoveryFailure, ValueError)
except ImportError:
    HAS_SDK = False
    REFUSALS = ()
    SILENCE = ()

# See the documentation fragment openstack_cloud.
CLOUD_ARGUMENTS: dict[str, dict[str, Any]] = {
    "cloud": {"type": "str", "required": True},
    "region": {"type": "str", "default": ""},
}
# Both also in vars/main.yml of the role openstack, for the modules of openstack.cloud. With the
# library's delays, which double from half a second: about 8 seconds for each request.
RETRIES = 4
# Seconds for an answer, which a cloud may otherwise delay for ever; and where there is another way
# than to wait. A login takes two requests.
TIMEOUT = 120
PATIENCE = 15
LATER = frozenset({429, 502, 503, 504})


def connect(name: str, region: str = "", timeout: int = TIMEOUT) -> Any:
    """A connection with a token. C(name): cloud in clouds.yaml, or C(envvars) for OS_*."""
    options: dict[str, Any] = {"region_name": region} if region else {}
    cloud = openstack.connect(
        cloud=name, status_code_retries=RETRIES, api_timeout=timeout, **options
    )
    # The library does not retry the login.
    for attempt in range(RETRIES):
        try:
            cloud.session.get_token()
            break
        except REFUSALS as error:
            if status(error) not in LATER:
                raise
            time.sleep(0.5 * 2**attempt)
    return cloud


def account(name: str, region: str = "") -> dict[str, str]:
    """Whom and where a cloud of this name means, without the secrets. Takes no request."""
    options: dict[str, Any] = {"region_name": region} if region else {}
    told = openstack.config.OpenStackConfig().get_one(cloud=name, validate=False, **options).config
    # Such as auth_url, username, project_id and application_credential_id.
    known = {
        key: str(value)
        for key, value in told["auth"].items()
        if key.endswith(("_url", "name", "_id"))
    }
    return known | {"region": str(told.get("region_name") or "")}


def read(proxy: Any, path: str) -> Any:
    """The JSON answer to a request for which the library has no method."""
    answer = proxy.get(path)
    raise_from_response(answer)
    return answer.json()


def status(error: Exception) -> int:
    """The status of HTTP of an error, 0 if it has none."""
    # keystoneauth and the SDK name it differently.
    return int(getattr(error, "http_status", None) or getattr(error, "status_code", None) or 0)


def is_down(error: Exception) -> bool:
    """Whether a cloud is out of order, and not something about the question or the credentials."""
    code = status(error)
    return code in LATER or code >= 500 or isinstance(error, SILENCE)


def explained(name: str, error: Exception) -> str:
    """What is wrong with the cloud of this name, for people."""
    kind = type(error).__name__
    return f"{name}: {explain(Fault(f'{kind}: {error}', status(error), kind))}"
