"""memcached as the web servers use it, each kind of them."""

from __future__ import annotations

import re

import pytest
from conftest import Platform
from testinfra.host import Host

from tests.support.commands import ask


@pytest.fixture
def host(platform: Platform) -> Host:
    """The machine of the cache."""
    return platform.machine("db1")


def statistics(platform: Platform, what: str = "") -> dict[str, str]:
    """What memcached counts."""
    address = f"{platform.address('db1')}/11211"
    command = f"exec 3<>/dev/tcp/{address}; printf 'stats {what}\\r\\nquit\\r\\n' >&3; cat <&3"
    said = platform.machine("db1").check_output("timeout 5 bash -c %s", command)
    return dict(re.findall(r"STAT (\S+) (\S+)", said))


def page(platform: Platform, kind: str, path: str) -> str:
    """A page of one web server, asked from the load balancer."""
    _, site = platform.web_server(kind)
    status, body = ask(platform.machine("lb1"), f"http://{site}{path}")
    assert status == 200
    return body


def picture(platform: Platform, kind: str, path: str) -> None:
    """A picture, which is no text."""
    _, site = platform.web_server(kind)
    asked = f"curl -s -w '%{{content_type}}' -o /dev/null http://{site}/{path}"
    assert platform.machine("lb1").check_output(asked) == "image/jpeg"


def test_it_listens_on_one_address_and_not_to_udp(platform: Platform, host: Host) -> None:
    listening = host.check_output("ss -tulnH 'sport = :11211'").split()
    found = [word for word in listening if word.endswith(":11211")]
    assert found == [f"{platform.address('db1')}:11211"]
    assert listening[0] == "tcp"


def test_it_has_the_limits(platform: Platform) -> None:
    found = statistics(platform, "settings")
    assert found["maxbytes"] == str(64 * 1024 * 1024)
    assert found["item_size_max"] == str(2048 * 1024)


def test_its_unit_names_the_web_servers_alone(platform: Platform, host: Host) -> None:
    allowed = host.check_output("systemctl show memcached --value --property IPAddressAllow")
    found = {word.removesuffix("/32") for word in allowed.split() if platform.network in word}
    web_servers = ("web1", "web2", "docker1", "swarm1", "swarm2", "swarm3")
    assert found == {platform.address(name) for name in ("db1", *web_servers)}
    denied = host.check_output("systemctl show memcached --value --property IPAddressDeny")
    assert "0.0.0.0/0" in denied


def test_the_front_page_comes_from_it(platform: Platform, kind: str) -> None:
    page(platform, kind, "/")
    before = int(statistics(platform)["get_hits"])
    assert "Users:" in page(platform, kind, "/")
    assert int(statistics(platform)["get_hits"]) > before


def test_pictures_come_from_it(platform: Platform, kind: str) -> None:
    path = re.findall(r'src="(showimage[^"]+)"', page(platform, kind, "/"))[0]
    picture(platform, kind, path)
    before = int(statistics(platform)["get_hits"])
    picture(platform, kind, path)
    assert int(statistics(platform)["get_hits"]) > before


def test_the_front_page_has_its_length_everywhere(platform: Platform, kind: str) -> None:
    assert page(platform, kind, "/").count("<article>") == 10


def test_without_memcached_pages_come_all_the_same(platform: Platform, host: Host) -> None:
    host.check_output("systemctl stop memcached")
    try:
        assert "Users:" in page(platform, "legacy", "/")
    finally:
        host.check_output("systemctl start memcached")
