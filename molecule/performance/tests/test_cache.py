"""memcached as the web servers use it, each kind of them."""

from __future__ import annotations

import re

import pytest
from testinfra.host import Host

from tests.support.commands import ask

testinfra_hosts = ["ansible://caches"]

WEB_SERVERS = {"legacy": ".11:80", "docker": ".31:32001", "swarm": ".31:8080"}


def statistics(host: Host, what: str = "") -> dict[str, str]:
    """What memcached counts."""
    address = f"{host.ansible.get_variables()['lab_network']}.21"
    command = (
        f"exec 3<>/dev/tcp/{address}/11211; printf 'stats {what}\\r\\nquit\\r\\n' >&3; cat <&3"
    )
    said = host.check_output("timeout 5 bash -c %s", command)
    return dict(re.findall(r"STAT (\S+) (\S+)", said))


def page(host: Host, kind: str, path: str) -> str:
    """A page of one web server, asked from the cache's machine."""
    network = host.ansible.get_variables()["lab_network"]
    status, body = ask(host, f"http://{network}{WEB_SERVERS[kind]}{path}")
    assert status == 200
    return body


def picture(host: Host, kind: str, path: str) -> None:
    """A picture, which is no text."""
    network = host.ansible.get_variables()["lab_network"]
    asked = f"-o /dev/null http://{network}{WEB_SERVERS[kind]}/{path}"
    assert host.check_output(f"curl -s -w '%{{content_type}}' {asked}") == "image/jpeg"


def test_it_listens_on_one_address_and_not_to_udp(host: Host) -> None:
    address = f"{host.ansible.get_variables()['lab_network']}.21:11211"
    listening = host.check_output("ss -tulnH 'sport = :11211'").split()
    assert [word for word in listening if word.endswith(":11211")] == [address]
    assert listening[0] == "tcp"


def test_it_has_the_limits(host: Host) -> None:
    found = statistics(host, "settings")
    assert found["maxbytes"] == str(64 * 1024 * 1024)
    assert found["item_size_max"] == str(2048 * 1024)


def test_its_unit_names_the_web_servers_alone(host: Host) -> None:
    network = host.ansible.get_variables()["lab_network"]
    allowed = host.check_output("systemctl show memcached --value --property IPAddressAllow")
    addresses = {word.removesuffix("/32") for word in allowed.split() if network in word}
    assert addresses == {f"{network}.11", f"{network}.21", f"{network}.31"}
    denied = host.check_output("systemctl show memcached --value --property IPAddressDeny")
    assert "0.0.0.0/0" in denied


@pytest.mark.parametrize("kind", WEB_SERVERS)
def test_the_front_page_comes_from_it(host: Host, kind: str) -> None:
    page(host, kind, "/")
    before = int(statistics(host)["get_hits"])
    assert "Users:" in page(host, kind, "/")
    assert int(statistics(host)["get_hits"]) > before


@pytest.mark.parametrize("kind", WEB_SERVERS)
def test_pictures_come_from_it(host: Host, kind: str) -> None:
    path = re.findall(r'src="(showimage[^"]+)"', page(host, kind, "/"))[0]
    picture(host, kind, path)
    before = int(statistics(host)["get_hits"])
    picture(host, kind, path)
    assert int(statistics(host)["get_hits"]) > before


@pytest.mark.parametrize("kind", WEB_SERVERS)
def test_the_front_page_has_its_length_everywhere(host: Host, kind: str) -> None:
    assert page(host, kind, "/").count("<article>") == 10
