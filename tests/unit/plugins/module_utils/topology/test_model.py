"""The model and its drawing, from what the lab said once and from platforms in trouble."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.topology.drawing import (
    Arrow,
    Box,
    Drawing,
    Node,
    drawing,
    embed_images,
    mermaid,
    nodes,
)
from ansible_collections.bookface.platform.plugins.module_utils.topology.facts import (
    Socket,
    parse_packages,
    parse_sockets,
    software,
    upstream,
    version_of,
)
from ansible_collections.bookface.platform.plugins.module_utils.topology.model import topology

LAB = json.loads((Path(__file__).parent / "fixtures/lab.json").read_text())
Seen = list[dict[str, Any]]


@pytest.fixture
def lab() -> Seen:
    """What the machines of the lab said."""
    return copy.deepcopy(LAB)


def host(seen: Seen, name: str) -> dict[str, Any]:
    return next(found for found in seen if found["name"] == name)


def ports(model: dict[str, Any], name: str) -> dict[str, list[int]]:
    """Service → ports of one machine."""
    machine = next(found for found in model["machines"] if found["name"] == name)
    return {s["id"]: [port["number"] for port in s["ports"]] for s in machine["services"]}


def links(model: dict[str, Any]) -> set[tuple[str, str, int, bool]]:
    return {
        (link["source"], link["target"], link["port"], link["active"]) for link in model["links"]
    }


def listening(*sockets: tuple[str, str]) -> str:
    """Lines of ss, from address:port and process."""
    return "\n".join(
        f'LISTEN 0 128 {address} 0.0.0.0:* users:(("{process}",pid=1,fd=3))'
        for address, process in sockets
    )


class TestFacts:
    def test_sockets_of_all_kinds(self) -> None:
        text = (
            "LISTEN 0 511    0.0.0.0:80   0.0.0.0:* "
            'users:(("apache2",pid=2,fd=3),("apache2",pid=1,fd=3))\n'
            "LISTEN 0 4096 127.0.0.11:397 0.0.0.0:*\n"
            "LISTEN 0 128        [::]:22      [::]:* "
            'users:(("sshd",pid=9,fd=4),("systemd",pid=1,fd=5))\n'
            'LISTEN 0 128 127.0.0.53%lo:53 0.0.0.0:* users:(("systemd-resolve",pid=9,fd=4))\n'
            'LISTEN 0 128 [::ffff:127.0.0.1]:8005 *:* users:(("java",pid=9,fd=4))\n'
            "LISTEN 0 64            *:2049     *:*\n"
            "State Recv-Q\n"
        )
        found = parse_sockets(text)
        assert found == [
            Socket("*", 80, "apache2"),
            Socket("127.0.0.11", 397, ""),
            Socket("*", 22, "sshd"),
            Socket("127.0.0.53", 53, "systemd-resolve"),
            Socket("127.0.0.1", 8005, "java"),
            Socket("*", 2049, ""),
        ]
        assert [socket.port for socket in found if socket.public] == [80, 22, 2049]

    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            ("2.6.12-1+deb12u4", "2.6.12"),
            ("20.10.24+dfsg1-1+b3", "20.10.24"),
            ("2:8.4+96", "8.4"),
            ("5:28.1.1-1~debian.12~bookworm", "28.1.1"),
            ("2.6.12", "2.6.12"),
            ("", ""),
        ],
    )
    def test_versions_without_what_debian_adds(self, version: str, expected: str) -> None:
        assert upstream(version) == expected

    def test_only_what_is_installed_counts(self) -> None:
        text = "apache2 2.4.71-1 installed\nphp8.2-fpm  not-installed\nnginx 1.22 config-files\n"
        assert parse_packages(text) == {"apache2": "2.4.71-1"}

    def test_of_several_versions_the_highest(self) -> None:
        packages = {"postgresql-9": "9.6", "postgresql-15": "15.20", "postgresql-client-16": "16"}
        assert version_of(packages, r"postgresql-\d+") == "15.20"

    def test_php_belongs_to_the_web_server(self) -> None:
        packages = {"nginx": "1.22.1-9", "php8.2-fpm": "8.2.36-1", "haproxy": "2.6.12-1"}
        assert [part.name for part in software("nginx", packages)] == ["nginx", "PHP"]
        assert [part.name for part in software("haproxy", packages)] == ["HAProxy"]
        assert [part.name for part in software("nfsd", packages)] == ["nfsd"]


class TestLab:
    def test_who_runs_what(self, lab: Seen) -> None:
        model = topology(lab)
        found = {
            service["id"]: [part["name"] for part in service["software"]]
            for machine in model["machines"]
            for service in machine["services"]
            if service["kind"] != "administration"
        }
        assert found == {
            "lb1/haproxy": ["HAProxy"],
            "web1/apache2": ["Apache", "PHP"],
            "web2/apache2": ["Apache", "PHP"],
            "docker1/dockerd": ["Docker"],
            "docker1/bookface-web-1": ["Apache", "PHP"],
            "docker1/bookface-web-2": ["Apache", "PHP"],
            "db1/postgres": ["PostgreSQL"],
        }
        versions = {
            part["name"]: part["version"]
            for machine in model["machines"]
            for service in machine["services"]
            for part in service["software"]
        }
        assert versions["HAProxy"] == "2.6.12"
        assert versions["Docker"] == "20.10.24"
        assert versions["PostgreSQL"].startswith("15.")

    def test_ports_are_those_that_others_reach(self, lab: Seen) -> None:
        model = topology(lab)
        assert ports(model, "lb1") == {"lb1/haproxy": [80, 1936], "lb1/sshd": [22]}
        assert ports(model, "db1") == {"db1/postgres": [5432], "db1/sshd": [22]}
        assert ports(model, "docker1") == {
            "docker1/dockerd": [],
            "docker1/sshd": [22],
            "docker1/bookface-web-1": [32001],
            "docker1/bookface-web-2": [32002],
        }

    def test_the_traffic_from_client_to_database(self, lab: Seen) -> None:
        model = topology(lab)
        assert model["active_backends"] == ["docker"]
        assert links(model) == {
            ("clients", "lb1/haproxy", 80, True),
            ("lb1/haproxy", "web1/apache2", 80, False),
            ("lb1/haproxy", "web2/apache2", 80, False),
            ("lb1/haproxy", "docker1/bookface-web-1", 32001, True),
            ("lb1/haproxy", "docker1/bookface-web-2", 32002, True),
            ("web1/apache2", "db1/postgres", 5432, False),
            ("web2/apache2", "db1/postgres", 5432, False),
            ("docker1/bookface-web-1", "db1/postgres", 5432, True),
            ("docker1/bookface-web-2", "db1/postgres", 5432, True),
        }

    def test_a_switch_moves_the_active_way(self, lab: Seen) -> None:
        host(lab, "lb1")["haproxy"]["frontends"]["bookface"]["live_backend"] = "legacy"
        model = topology(lab)
        assert model["active_backends"] == ["legacy"]
        assert ("web1/apache2", "db1/postgres", 5432, True) in links(model)
        assert ("docker1/bookface-web-1", "db1/postgres", 5432, False) in links(model)

    def test_a_page_has_the_traffic(self, lab: Seen) -> None:
        haproxy = host(lab, "lb1")["haproxy"]
        haproxy["frontends"]["bookface"]["live_backend"] = "maintenance"
        haproxy["frontends"]["stats"]["live_backend"] = "stats"
        for name in ("maintenance", "stats"):
            haproxy["backends"][name] = {"status": "UP", "servers": []}
        model = topology(lab)
        assert model["active_backends"] == ["maintenance"]
        assert drawing(model).title == "bookface: the traffic goes to maintenance"

    def test_the_model_is_plain_data(self, lab: Seen) -> None:
        model = topology(lab)
        assert json.loads(json.dumps(model)) == model

    def test_the_order_of_facts_does_not_matter(self, lab: Seen) -> None:
        """Nor does what changes without a change: counters, process ids, order of containers."""
        before = topology(lab)
        for seen in lab:
            seen["containers"].reverse()
            seen["sockets"] = "\n".join(reversed(seen["sockets"].splitlines()))
            seen["sockets"] = re.sub(r"pid=\d+", "pid=7", seen["sockets"])
        host(lab, "lb1")["haproxy"]["backends"]["docker"]["servers"][0]["sessions_total"] = 7
        assert topology(lab) == before


class TestTrouble:
    def test_a_stopped_web_server_is_missing(self, lab: Seen) -> None:
        host(lab, "web2")["sockets"] = ""
        host(lab, "lb1")["haproxy"]["backends"]["legacy"]["servers"][1]["status"] = "DOWN"
        model = topology(lab)
        gone = [s for m in model["machines"] for s in m["services"] if s["missing"]]
        assert [(service["id"], service["name"]) for service in gone] == [
            ("web2/80", "nothing on port 80")
        ]
        styles = {arrow.target: arrow.style for arrow in drawing(model).arrows}
        assert styles["web2/80"] == "broken"
        # What does not run asks no database.
        assert not [link for link in model["links"] if link["source"] == "web2/80"]

    def test_a_server_that_is_down_gets_no_traffic(self, lab: Seen) -> None:
        host(lab, "lb1")["haproxy"]["backends"]["docker"]["servers"][0]["status"] = "DOWN"
        model = topology(lab)
        assert ("lb1/haproxy", "docker1/bookface-web-1", 32001, False) in links(model)
        assert ("lb1/haproxy", "docker1/bookface-web-2", 32002, True) in links(model)

    def test_a_machine_that_does_not_answer_is_drawn(self, lab: Seen) -> None:
        known = ("name", "groups", "address", "backends", "database")
        lost = {key: host(lab, "docker1")[key] for key in known} | {"reached": False}
        model = topology([lost if seen["name"] == "docker1" else seen for seen in lab])
        assert ports(model, "docker1") == {"docker1/32001": [], "docker1/32002": []}
        assert "not reached" in mermaid(drawing(model))
        assert not [s for m in model["machines"] for s in m["services"] if s["missing"]]

    def test_without_haproxy_the_inventory_tells_who_would_serve(self, lab: Seen) -> None:
        host(lab, "lb1").update(haproxy={}, sockets="")
        model = topology(lab)
        assert model["active_backends"] == []
        assert ("lb1/haproxy", "docker1/bookface-web-1", 32001, False) in links(model)
        assert not [link for link in model["links"] if link["source"] == "clients"]
        assert "unknown" in drawing(model).title

    def test_machines_that_nobody_knows(self, lab: Seen) -> None:
        """A server of an older configuration, and a database that is not in the inventory."""
        servers = host(lab, "lb1")["haproxy"]["backends"]["legacy"]["servers"]
        servers.append({"name": "old", "address": "192.0.2.9:8000", "status": "UP"})
        host(lab, "web1")["database"] = {"address": "db.example.org", "port": 26257}
        model = topology(lab)
        unknown = [machine["name"] for machine in model["machines"] if not machine["known"]]
        assert unknown == ["192.0.2.9", "db.example.org"]
        assert ("web1/apache2", "db.example.org/26257", 26257, False) in links(model)

    def test_an_empty_platform(self) -> None:
        model = topology([])
        assert model["machines"] == []
        assert mermaid(drawing(model)).startswith("---")

    def test_a_machine_without_anything(self) -> None:
        seen = {"name": "docker1", "groups": ["docker_hosts"], "reached": True}
        assert topology([seen])["machines"][0]["services"] == []


def swarm(lab: Seen, mode: str) -> Seen:
    """The lab with a swarm of three nodes; a task on the first two."""
    container = host(lab, "docker1")["containers"][0]
    published = {"IP": "0.0.0.0", "PrivatePort": 8080, "PublicPort": 8080, "Type": "tcp"}  # noqa: S104
    more = []
    for number in (1, 2, 3):
        task = copy.deepcopy(container)
        task["item"]["Names"] = [f"/bookface_web.{number}.k3v{'x' * 22}"]
        task["item"]["Ports"] = [published] if mode == "host" else []
        sockets = [("*:7946", "dockerd")]
        sockets += [("*:2377", "dockerd")] if number == 1 else []
        sockets += [("*:8080", "dockerd")] if mode == "mesh" else []
        more.append(
            {
                "name": f"swarm{number}",
                "groups": ["swarm_managers" if number == 1 else "swarm_workers"],
                "address": f"10.0.0.4{number}",
                "sockets": listening(*sockets),
                "engine": {
                    "ServerVersion": "20.10.24+dfsg1",
                    "Swarm": {"LocalNodeState": "active", "ControlAvailable": number == 1},
                },
                "containers": [task] if number < 3 else [],
                "database": host(lab, "web1")["database"],
            }
        )
    haproxy = host(lab, "lb1")["haproxy"]
    haproxy["frontends"]["bookface"]["live_backend"] = "swarm"
    haproxy["backends"]["swarm"] = {
        "servers": [
            {"address": f"10.0.0.4{n}:8080", "status": "UP" if n < 3 or mode == "mesh" else "DOWN"}
            for n in (1, 2, 3)
        ]
    }
    return lab + more


class TestSwarm:
    def test_published_by_each_node_that_runs_a_task(self, lab: Seen) -> None:
        model = topology(swarm(lab, "host"))
        assert model["swarm"] == ["swarm1", "swarm2", "swarm3"]
        assert ports(model, "swarm1") == {
            "swarm1/dockerd": [2377, 7946],
            "swarm1/bookface_web.1": [8080],
        }
        assert ports(model, "swarm3") == {"swarm3/dockerd": [7946], "swarm3/8080": []}
        assert ("lb1/haproxy", "swarm1/bookface_web.1", 8080, True) in links(model)
        assert ("swarm2/bookface_web.2", "db1/postgres", 5432, True) in links(model)
        text = mermaid(drawing(model))
        assert "swarm manager" in text
        assert "Docker 20.10.24 :2377 management :7946 nodes" in text

    def test_tasks_that_a_load_balancer_in_the_swarm_finds(self, lab: Seen) -> None:
        """By their addresses in the overlay network; places without a task are not drawn."""
        seen = swarm(lab, "edge")
        for number in (1, 2):
            networks = {"bookface-swarm": {"IPAddress": f"10.192.1.{number}"}, "none": {}}
            task = host(seen, f"swarm{number}")["containers"][0]
            task["item"]["NetworkSettings"] = {"Networks": networks}
        haproxy = host(seen, "lb1")["haproxy"]
        haproxy["backends"]["swarm"]["servers"] = [
            {"address": "10.192.1.1:8080", "status": "UP"},
            {"address": "10.192.1.2:8080", "status": "DOWN"},
            {"address": "", "status": "MAINT (resolution)"},
        ]
        model = topology(seen)
        assert ("lb1/haproxy", "swarm1/bookface_web.1", 0, True) in links(model)
        assert ("lb1/haproxy", "swarm2/bookface_web.2", 0, False) in links(model)
        assert all(machine["known"] for machine in model["machines"])
        haproxy.clear()
        places = [{"name": "b-1", "host": "", "address": "tasks.b", "port": 8080}]
        host(seen, "lb1")["backends"] = [{"name": "swarm", "servers": places}]
        assert all(machine["known"] for machine in topology(seen)["machines"])

    def test_a_node_without_a_task_says_so(self, lab: Seen) -> None:
        assert "no task on port 8080" in mermaid(drawing(topology(swarm(lab, "host"))))

    def test_routing_mesh_leads_from_any_node_to_every_task(self, lab: Seen) -> None:
        model = topology(swarm(lab, "mesh"))
        assert ("lb1/haproxy", "swarm3/dockerd", 8080, True) in links(model)
        assert ("swarm3/dockerd", "swarm1/bookface_web.1", 0, True) in links(model)
        assert ("swarm1/bookface_web.1", "db1/postgres", 5432, True) in links(model)

    def test_its_machines_stand_in_one_box(self, lab: Seen) -> None:
        boxes = [
            box for box in drawing(topology(swarm(lab, "host"))).content if box.id[:7] == "backend"
        ]
        last = boxes[-1]
        assert isinstance(last, Box)
        assert last.lines == ("backend swarm: has the traffic", "Docker Swarm")
        assert [box.id for box in last.content] == ["swarm1", "swarm2", "swarm3"]

    def test_a_swarm_that_no_backend_names_is_drawn_too(self, lab: Seen) -> None:
        seen = swarm(lab, "host")
        del host(seen, "lb1")["haproxy"]["backends"]["swarm"]
        host(seen, "lb1")["haproxy"]["frontends"]["bookface"]["live_backend"] = "docker"
        assert "Docker Swarm" in mermaid(drawing(topology(seen)))


def test_a_cache_is_asked_by_the_web_servers(lab: Seen) -> None:
    sockets = listening(("0.0.0.0:11211", "memcached"))
    lab.append({"name": "cache1", "groups": ["caches"], "sockets": sockets})
    found = links(topology(lab))
    assert ("web1/apache2", "cache1/memcached", 11211, False) in found
    assert ("docker1/bookface-web-1", "cache1/memcached", 11211, True) in found


class TestDrawing:
    def test_every_arrow_has_its_ends(self, lab: Seen) -> None:
        drawn = drawing(topology(swarm(lab, "mesh")))
        ids = [node.id for node in nodes(drawn.content)]
        assert len(ids) == len(set(ids))
        assert {end for a in drawn.arrows for end in (a.source, a.target)} <= set(ids)

    def test_active_and_idle_differ(self, lab: Seen) -> None:
        drawn = drawing(topology(lab))
        styles = {node.id: node.style for node in nodes(drawn.content)}
        assert styles["docker1/bookface-web-1"] == "active"
        assert styles["web1/apache2"] == "idle"
        assert styles["db1/postgres"] == "active"

    def test_administration_is_not_drawn(self, lab: Seen) -> None:
        assert "sshd" not in mermaid(drawing(topology(lab)))

    def test_mermaid(self) -> None:
        web = Node("web1/apache2", ('Apache "2"', "a<b"), (":80",), "apache", "active")
        drawn = Drawing(
            "it's up",
            (
                Node("clients", ("clients",), (), "clients", "active"),
                Box("web1", ("web1",), "active", False, (web,)),
            ),
            (Arrow("clients", "web1/apache2", ":80", "active"),),
        )
        text = mermaid(drawn)
        assert text.startswith("---\ntitle: 'it''s up'\n---\nflowchart LR\n")
        assert 'n2["Apache #quot;2#quot;<br>a&lt;b<br>:80"]:::active' in text
        assert '  n1 ==>|":80"| n2\n' in text
        assert text.count("subgraph") == text.count("  end\n") == 1

    def test_images_go_into_the_svg(self) -> None:
        svg = '<svg><image xlink:href="/icons/a.png" width="1"/><a href="x"/></svg>'
        assert embed_images(svg, lambda path: f"data:{path[-5:]}") == (
            '<svg><image xlink:href="data:a.png" width="1"/><a href="x"/></svg>'
        )
