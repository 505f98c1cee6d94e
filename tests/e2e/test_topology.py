"""The drawing of the platform, held against the machines: ports, the active backend, the files."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
import testinfra
from testinfra.host import Host

testinfra_hosts = ["ansible://loadbalancers"]

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"
SSH = 22  # administration is not drawn


def draw(directory: Path, *arguments: str) -> str:
    """playbooks/topology.yml on the lab under test; what it printed."""
    command = ["ansible-playbook", "-i", os.environ["BOOKFACE_INVENTORY"], "playbooks/topology.yml"]
    options = ["-e", f"topology_directory={directory}", *arguments]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def changed(output: str) -> int:
    """Changed tasks of a run, on all machines."""
    counts = re.findall(r"changed=(\d+)", output)
    assert counts, output
    return sum(int(count) for count in counts)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the drawing."""
    made = tmp_path_factory.mktemp("topology") / "drawn"
    draw(made)
    return made


@pytest.fixture(scope="module")
def texts(directory: Path) -> dict[str, list[str]]:
    """Node, box or arrow of the SVG → the words in it."""
    groups = ElementTree.parse(directory / "topology.svg").iter(f"{SVG}g")  # noqa: S314  (ours)
    return {
        group.findtext(f"{SVG}title", ""): [text.text or "" for text in group.findall(f"{SVG}text")]
        for group in groups
        if group.get("class") in ("node", "cluster", "edge")
    }


@pytest.fixture(scope="module")
def listening(pytestconfig: pytest.Config) -> dict[str, set[int]]:
    """Machine → TCP ports on which others reach it."""
    inventory = pytestconfig.getoption("ansible_inventory")
    found = {}
    for machine in testinfra.get_hosts(["ansible://all"], ansible_inventory=inventory):
        sockets = machine.socket.get_listening_sockets()
        found[machine.backend.get_hostname()] = {
            int(socket.rpartition(":")[2])
            for socket in sockets
            if socket.startswith("tcp://") and not re.match(r"tcp://(127\.|::1:)", socket)
        }
    return found


def ports_in(words: str) -> set[int]:
    """Ports, such as :80. The tag of an image has a name before the colon."""
    return {int(port) for port in re.findall(r"(?<!\w):(\d+)", words)}


def test_drawn_ports_are_the_listening_ones(
    listening: dict[str, set[int]], texts: dict[str, list[str]]
) -> None:
    """No port that is not there, and none left out that another machine can reach."""
    drawn: dict[str, set[int]] = {name: set() for name in listening}
    for title, words in texts.items():
        name = title.removeprefix("cluster_").partition("/")[0]
        if name in drawn and "->" not in title:
            drawn[name] |= ports_in(" ".join(words))
    assert drawn == {name: ports - {SSH} for name, ports in listening.items()}


def test_the_same_ports_in_the_mermaid_text(
    listening: dict[str, set[int]], directory: Path
) -> None:
    text = (directory / "topology.mmd").read_text()
    for name, ports in listening.items():
        box = re.search(rf"subgraph box_{name}\[.*?^ +end$", text, re.MULTILINE | re.DOTALL)
        assert box, text
        assert ports_in(box[0]) == ports - {SSH}


def test_active_backend_is_the_one_that_answers(host: Host, directory: Path) -> None:
    headers = host.check_output("curl -s -o /dev/null -D - http://127.0.0.1/")
    found = re.search(r"(?im)^x-bookface-backend: (\w+)", headers)
    assert found, headers
    svg = (directory / "topology.svg").read_text()
    assert f"backend {found[1]}: has the traffic" in svg
    assert svg.count(": has the traffic") == 1
    assert f"the traffic goes to {found[1]}" in svg


def test_the_way_from_clients_to_the_database(texts: dict[str, list[str]]) -> None:
    ways = {title: " ".join(words).strip() for title, words in texts.items() if "->" in title}
    found = {re.sub(r":[ew]\b", "", title): label for title, label in ways.items()}
    assert found["clients->lb1/haproxy"] == ":80"
    assert found["lb1/haproxy->web1/apache2"] == ":80"
    assert found["lb1/haproxy->docker1/bookface-web-1"] == ":32001"
    assert found["docker1/bookface-web-2->db1/postgres"] == ":5432"


def test_versions_are_those_that_run(host: Host, texts: dict[str, list[str]]) -> None:
    said = host.check_output("/usr/sbin/haproxy -v")
    found = re.search(r"version (\d+\.\d+\.\d+)", said)
    assert found, said
    assert f"HAProxy {found[1]}" in texts["lb1/haproxy"]


def test_the_svg_stands_alone(directory: Path) -> None:
    images = ElementTree.parse(directory / "topology.svg").iter(f"{SVG}image")  # noqa: S314
    links = [image.get("{http://www.w3.org/1999/xlink}href", "") for image in images]
    assert links
    assert all(link.startswith("data:image/png;base64,") for link in links)


def test_the_png_is_one(directory: Path) -> None:
    assert (directory / "topology.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_check_real_repeat(directory: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn"
    # One machine is enough to draw, and nothing is written.
    assert changed(draw(drawn, "--check", "--limit", "loadbalancers:localhost")) > 0
    assert not drawn.exists()
    before = {file.name: file.stat().st_mtime_ns for file in directory.iterdir()}
    assert set(before) == {"topology.svg", "topology.png", "topology.mmd"}
    assert changed(draw(directory)) == 0
    assert {file.name: file.stat().st_mtime_ns for file in directory.iterdir()} == before
