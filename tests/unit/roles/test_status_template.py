"""How playbooks/status.yml shows the age of images."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.bookface.platform.plugins.filter.days_since import days_since

from tests.support.loopback import templates


def date(days: int) -> str:
    return (datetime.now(timezone.utc) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(frontends: dict[str, Any], **dates: Any) -> list[str]:
    """The page, with the images that run on each host."""
    page = templates("haproxy")
    page.filters["bookface.platform.days_since"] = days_since
    hosts = {"lb1": {}} | {host: {"bookface_image_dates": found} for host, found in dates.items()}
    rendered = page.get_template("status.txt.j2").render(
        inventory_hostname="lb1",
        groups={"all": list(hosts)},
        hostvars=hosts,
        __haproxy_frontends=["bookface"],
        haproxy_backends=[],
        haproxy_maintenance_allow=["192.0.2.0/24"],
        __haproxy_maintenance="maintenance",
        __haproxy_swarm=[],
        bookface_image_max_age_days=30,
        __haproxy_info={"version": "3.0", "frontends": frontends},
    )
    return rendered.splitlines()


def lines(**dates: Any) -> list[str]:
    """What is shown below the servers."""
    return shown({}, **dates)[2:]


def test_the_oldest_image_of_each_host() -> None:
    new, old = date(30), date(31)
    warning = "; WARNING: run update.yml"
    assert lines(docker1=[new, new], swarm1=[new, old], swarm2=[], swarm3=["", new]) == [
        f"docker1: base image of {new[:10]}, 30 days old",
        f"swarm1: base image of {old[:10]}, 31 days old{warning}",
        f"swarm3: image of unknown age{warning}",
    ]


def test_none() -> None:
    assert lines() == []


def test_a_frontend_that_is_paused() -> None:
    known = {"live_backend": "docker", "default_backend": "docker", "bind": ["*:80"]}
    assert len(shown({"bookface": {**known, "paused": False}})) == 2
    warning = shown({"bookface": {**known, "paused": True}})[2]
    assert warning.startswith("WARNING: the frontend is paused and refuses its clients")


def test_who_reaches_the_site_during_maintenance() -> None:
    known = {"live_backend": "maintenance", "default_backend": "maintenance", "bind": ["*:80"]}
    assert len(shown({"bookface": {**known, "origin": None}})) == 2
    told = shown({"bookface": {**known, "origin": "docker"}})[2]
    assert told == "maintenance: the addresses of haproxy_maintenance_allow still reach docker"
    over = known | {"live_backend": "legacy", "default_backend": "legacy", "origin": "docker"}
    told = shown({"bookface": over})[2]
    assert told == (
        "WARNING: the addresses of haproxy_maintenance_allow go to docker, which an interrupted "
        "switch has left; run site.yml"
    )
