# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that judges the input of the role haproxy: each problem with its remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

_CHECK_KEYS = {"path", "status", "content", "header"}
# A line that begins so ends the section that a snippet goes into, or decides what the switch does.
_SECTION = re.compile(
    r"^[ \t]*(global|defaults|frontend|backend|listen|userlist|cache|resolvers|default_backend)\b",
    re.MULTILINE,
)
_SNIPPETS = ("haproxy_global_extra", "haproxy_defaults_extra", "haproxy_frontend_extra")
_BY_BACKEND = (
    "haproxy_backend_checks",
    "haproxy_backend_server_options",
    "haproxy_backend_server_maxconn",
    "haproxy_backend_extra",
)

Settings = Mapping[str, Any]


def load_balancer_problems(settings: Settings) -> list[str]:
    """What is wrong with these variables of the role, a sentence or more each."""
    checks = (
        _password,
        _backends,
        _reserved,
        _names,
        _by_backend,
        _checks,
        _https,
        _cache,
        _snippets,
    )
    return [problem for check in checks for problem in check(settings)]


def _true(value: object) -> bool:
    return bool(boolean(value, strict=False))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _name(item: Mapping[str, Any]) -> str:
    return str(item["name"])


def _backend_names(settings: Settings) -> list[str]:
    return [_name(backend) for backend in settings["haproxy_backends"]]


def _password(settings: Settings) -> Iterator[str]:
    if not settings["haproxy_stats_password"]:
        yield (
            "haproxy_stats_password is not set: put it into the inventory, encrypted by "
            "ansible-vault."
        )


def _backends(settings: Settings) -> Iterator[str]:
    names = _backend_names(settings)
    initial, fallback = settings["haproxy_initial_backend"], settings["haproxy_fallback_backend"]
    if initial not in names:
        yield (
            f"haproxy_initial_backend is {initial}; the inventory gives the backends "
            f"{_listed(names)}. Name one of them (bookface_initial_backend), or put hosts into the "
            "group that it comes from (legacy_web, docker_hosts, swarm_managers)."
        )
    if fallback and fallback not in names:
        yield (
            f"haproxy_fallback_backend is {fallback}; it must be one of the backends "
            f"{_listed(names)}, or empty for none."
        )


def _reserved(settings: Settings) -> Iterator[str]:
    name = settings["maintenance"]
    section = re.compile(rf"^[ \t]*(?:backend|listen)[ \t]+{name}(?![^\s#])", re.MULTILINE)
    given = {
        "haproxy_backends": name in _backend_names(settings),
        "haproxy_frontend": name == settings["haproxy_frontend"],
        "haproxy_tcp_services": name in map(_name, settings["haproxy_tcp_services"]),
        "haproxy_extra": bool(section.search(settings["haproxy_extra"])),
    }
    for variable in [variable for variable, taken in given.items() if taken]:
        yield (
            f"{variable} uses the name {name}, which the page for maintenance has. Rename what is "
            "yours."
        )


def _names(settings: Settings) -> Iterator[str]:
    backends, services = settings["haproxy_backends"], settings["haproxy_tcp_services"]
    frontend = settings["haproxy_frontend"]
    if not isinstance(frontend, str):
        yield (
            f"haproxy_frontend is {frontend}; it must be one name, because the role writes one "
            "frontend. Only an existing configuration (haproxy_mode: adopt) may have several."
        )
        frontend = " ".join(frontend)
    sections = [*_backend_names(settings), frontend, "stats"]
    sections += [_name(service) for service in services]
    if len(set(sections)) < len(sections):
        yield (
            "Backends, frontends and TCP services need a name each; given are "
            f"{_listed(sections)}. Rename one of those that are there twice."
        )
    fallback = settings["haproxy_fallback_backend"]
    stand_ins = [s for b in backends if _name(b) == fallback for s in b["servers"]]
    for section in (*backends, *services):
        backed = stand_ins if section in backends and _name(section) != fallback else []
        servers = [_name(server) for server in (*section["servers"], *backed)]
        if len(set(servers)) < len(servers):
            with_them = f" (with those of its fallback {fallback})" if backed else ""
            yield (
                f"The servers of {_name(section)} need a name each; given are "
                f"{_listed(servers)}{with_them}. Rename one of those that are there twice."
            )


def _by_backend(settings: Settings) -> Iterator[str]:
    names = _backend_names(settings)
    for variable in _BY_BACKEND:
        unknown = [name for name in settings[variable] if name not in names]
        if unknown:
            yield (
                f"{variable} has settings for {_listed(unknown)}; the backends are "
                f"{_listed(names)}. Correct the name, or remove the setting."
            )


def _checks(settings: Settings) -> Iterator[str]:
    checks = {"haproxy_check": settings["haproxy_check"], **settings["haproxy_backend_checks"]}
    for name, check in checks.items():
        looks = "content" in check or {"name", "value"} <= set(check.get("header", {}))
        if "path" in check and looks and set(check) <= _CHECK_KEYS:
            continue
        yield (
            f"{name} is {dict(check)}; it needs path, may have status, and needs content or "
            "header: bookface answers 200 without its database, so the status alone proves "
            "nothing. Example: {path: /showimage.php?user=0, status: 404, content: Image not "
            "found.} or {path: /health, header: {name: X-Database, value: ok}}."
        )


def _https(settings: Settings) -> Iterator[str]:
    bind, certificate = settings["haproxy_tls_bind"], settings["haproxy_tls_certificate"]
    redirect, hsts = settings["haproxy_tls_redirect"], settings["haproxy_tls_hsts_seconds"]
    if not bind:
        if _true(redirect) or int(hsts):
            yield (
                f"haproxy_tls_redirect is {redirect} and haproxy_tls_hsts_seconds is {hsts}, but "
                "haproxy_tls_bind is empty, so nobody answers HTTPS. Set haproxy_tls_bind, for "
                "example to *:443."
            )
        return
    pem = settings["pem"]
    if certificate != "self-signed" and not ("BEGIN CERTIFICATE" in pem and "PRIVATE KEY" in pem):
        given = "a text" if "-----BEGIN" in certificate else certificate or "empty"
        yield (
            f"haproxy_tls_bind is {bind}, but haproxy_tls_certificate ({given}) gives no "
            "certificate with its key. It must be their text in PEM, the path of such a file on "
            "this controller, or self-signed for a lab."
        )


def _cache(settings: Settings) -> Iterator[str]:
    if not _true(settings["haproxy_cache"]):
        return
    seconds = int(settings["haproxy_cache_seconds"])
    megabytes = int(settings["haproxy_cache_megabytes"])
    kilobytes = int(settings["haproxy_cache_object_kilobytes"])
    if seconds <= 0 or not 1 <= megabytes < 4096 or not 1 <= kilobytes <= megabytes * 512:
        yield (
            f"haproxy_cache_seconds is {seconds}, haproxy_cache_megabytes {megabytes}, "
            f"haproxy_cache_object_kilobytes {kilobytes}. Expected at least 1 second, 1 to 4095 "
            "megabytes, and pictures of 1 kilobyte to half of the cache."
        )


def _snippets(settings: Settings) -> Iterator[str]:
    snippets = {name: settings[name] for name in _SNIPPETS}
    for name, text in {**snippets, **settings["haproxy_backend_extra"]}.items():
        found = _SECTION.search(text)
        if found:
            yield (
                f"{name} holds a line that begins with '{found.group(1)}'. It takes the lines of "
                "one section; whole sections go into haproxy_extra, and the default_backend line "
                "belongs to the switch."
            )


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"load_balancer_problems": load_balancer_problems}
