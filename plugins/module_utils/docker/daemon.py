# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's daemon.json: read, merge, check, and what a change costs."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Config = Mapping[str, Any]


class DaemonConfigError(ValueError):
    """A configuration that the engine or this platform does not support."""


# A running engine applies these at a reload. All others, and some of its features, are read at
# its start only.
RELOADABLE = frozenset(
    {
        "allow-nondistributable-artifacts",
        "authorization-plugins",
        "debug",
        "default-runtime",
        "insecure-registries",
        "labels",
        "live-restore",
        "max-concurrent-downloads",
        "max-concurrent-uploads",
        "max-download-attempts",
        "network-diagnostic-port",
        "registry-mirrors",
        "runtimes",
        "shutdown-timeout",
    }
)

_STRINGS = "a list of strings"
_MAP = "a dictionary of strings"
_KINDS: dict[str, Callable[[Any], bool]] = {
    "true or false": lambda value: isinstance(value, bool),
    "a whole number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "a string": lambda value: isinstance(value, str),
    _STRINGS: lambda value: isinstance(value, list) and all(isinstance(v, str) for v in value),
    _MAP: lambda value: (
        isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values())
    ),
    "a dictionary": lambda value: isinstance(value, Mapping),
    "a list of dictionaries": lambda value: (
        isinstance(value, list) and all(isinstance(v, Mapping) for v in value)
    ),
}

# The keys of daemon.json, engines 20.10 to 28, and the types of their values.
SCHEMA: dict[str, str] = {
    key: kind
    for kind, keys in {
        "true or false": """
            allow-direct-routing bridge-accept-fwmark cri-containerd debug experimental
            host-gateway icc init ip-forward ip-forward-no-drop ip-masq ip6tables iptables ipv6
            live-restore no-new-privileges raw-logs selinux-enabled tls tlsverify userland-proxy
        """,
        "a whole number": """
            max-concurrent-downloads max-concurrent-uploads max-download-attempts mtu
            network-control-plane-mtu network-diagnostic-port oom-score-adjust shutdown-timeout
        """,
        "a string": """
            api-cors-header bip bridge cgroup-parent cluster-advertise cluster-store
            containerd containerd-namespace containerd-plugins-namespace
            cpu-rt-period cpu-rt-runtime data-root default-cgroupns-mode default-gateway
            default-gateway-v6 default-init default-ipc-mode default-runtime
            default-shm-size default-stop-signal exec-root firewall-backend fixed-cidr
            fixed-cidr-v6 graph group host-gateway-ip init-path ip log-driver log-format
            log-level metrics-addr min-api-version pidfile registry-proxy seccomp-profile
            storage-driver swarm-default-advertise-addr tlscacert tlscert tlskey
            userland-proxy-path userns-remap
        """,
        _STRINGS: """
            allow-nondistributable-artifacts authorization-plugins cdi-spec-dirs dns dns-opts
            dns-search exec-opts host-gateway-ips hosts insecure-registries labels
            node-generic-resources registry-mirrors storage-opts
        """,
        _MAP: "cluster-store-opts log-opts proxies",
        "a dictionary": """
            builder containerd-snapshotter default-network-opts default-ulimits features
            runtimes
        """,
        "a list of dictionaries": "default-address-pools",
    }.items()
    for key in keys.split()
}


def merge(base: Config, over: Config) -> dict[str, Any]:
    """Merge C(over) into C(base), nested dictionaries included; null removes a key.

    Lists, and the log options of another log driver, are replaced as a whole.
    """
    result = dict(base)
    if "log-driver" in over and over["log-driver"] != base.get("log-driver"):
        result.pop("log-opts", None)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


class _TwiceError(ValueError):
    """A key that an object has twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Of a key that is given twice the engine takes one without a word."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _value in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return result


def load(text: str) -> dict[str, Any]:
    """The content of a daemon.json. The engine takes an empty file for an empty object.

    Whatever a rewrite of the file would lose is an error that names the line.
    """
    text = text.removeprefix("\ufeff")
    if not text.strip():
        return {}
    try:
        text.encode()
        found = json.loads(text, object_pairs_hook=_object)
    except UnicodeEncodeError:
        raise DaemonConfigError("it is not UTF-8: convert it, or remove it") from None
    except json.JSONDecodeError as error:
        line = (text.splitlines() or [""])[error.lineno - 1].strip()
        why = error.msg
        if re.match(r"//|#|/\*", text[error.pos :]):
            why = "JSON has no comments"
        raise DaemonConfigError(
            f"line {error.lineno} is {line!r}: {why}. Correct the line, or remove the file"
        ) from None
    except _TwiceError as error:
        key = str(error)
        lines = [
            str(text.count("\n", 0, place.start()) + 1)
            for place in re.finditer(rf'"{re.escape(key)}"\s*:', text)
        ]
        raise DaemonConfigError(
            f"it has the key {key} twice (lines {', '.join(lines)}). Remove one of them"
        ) from None
    if not isinstance(found, dict):
        raise DaemonConfigError(
            f"expected an object in braces, got {json.dumps(found)[:60]}. Correct it, or remove it"
        )
    return found


def check(config: Any, unknown: bool = True) -> None:
    """Reject what no engine accepts. Unless C(unknown), keys that are not in the list pass."""
    if not isinstance(config, Mapping):
        raise DaemonConfigError(f"expected a dictionary, got {type(config).__name__}")
    for key, value in config.items():
        kind = SCHEMA.get(key)
        if kind is None and unknown:
            near = difflib.get_close_matches(str(key), SCHEMA, n=1)
            raise DaemonConfigError(
                f"daemon.json has no key {key}" + (f"; did you mean {near[0]}" if near else "")
            )
        if kind is not None and not _KINDS[kind](value):
            raise DaemonConfigError(f"{key} is {json.dumps(value)}: expected {kind}")


def check_swarm(config: Config, swarm: bool) -> None:
    """Reject live-restore where docker_ce_swarm excludes it."""
    if swarm and config.get("live-restore"):
        raise DaemonConfigError(
            "live-restore is true, but docker_ce_swarm is true as well, and the engine does not"
            " support live-restore in a swarm. Remove live-restore"
        )


def wanted(base: Config, over: Any, swarm: bool = False) -> dict[str, Any]:
    """The content of daemon.json on a new machine: defaults and the user's keys, validated."""
    if not isinstance(over, Mapping):
        raise DaemonConfigError(f"expected a dictionary, got {type(over).__name__}")
    merged = merge(merge(base, {"live-restore": not swarm}), over)
    if "hosts" in merged:
        raise DaemonConfigError(
            "hosts conflicts with -H fd:// in the unit of the packages, and the engine would not"
            " start. Remove it: the platform needs no TCP socket"
        )
    check(merged, unknown=False)
    check_swarm(merged, swarm)
    return merged


def action(before: Config, after: Config) -> str:
    """What a running engine needs to apply another configuration: none, reload or restart.

    A reload ignores keys that were removed, so their removal requires a restart.
    """
    nothing = object()
    changed = {
        key for key in {*before, *after} if before.get(key, nothing) != after.get(key, nothing)
    }
    if not changed:
        return "none"
    return "reload" if changed <= RELOADABLE & set(after) else "restart"


def render(config: Config) -> str:
    """The file's text, the same for the same content."""
    return json.dumps(config, indent=2, sort_keys=True) + "\n"
