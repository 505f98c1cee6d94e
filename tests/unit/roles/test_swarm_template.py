"""The service that the role swarm describes, as its template has it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.plugins.filter import core, mathstuff
from ansible_collections.bookface.platform.plugins.filter import labels, swarm_plan

from tests.support.loopback import templates


def spec(mode: str, **changes: Any) -> dict[str, Any]:
    page = templates("swarm")
    page.filters |= core.FilterModule().filters() | mathstuff.FilterModule().filters()
    filters = {**labels.FilterModule().filters(), **swarm_plan.FilterModule().filters()}
    page.filters |= {f"bookface.platform.{name}": one for name, one in filters.items()}
    kept = [SimpleNamespace(secret_id=f"id{n}", secret_name=f"bookface-{n}_v1") for n in (1, 2)]
    variables: dict[str, Any] = {
        "swarm_service": "123",
        "swarm_network": "net",
        "swarm_port": 8080,
        "swarm_memory": "512m",
        "swarm_cpus": 0,
        "swarm_pids": 200,
        "swarm_memory_reservation": 0,
        "swarm_cpus_reservation": "0",
        "swarm_constraints": [],
        "swarm_preferences": [],
        "swarm_stop_timeout": 60,
        "swarm_monitor": 10,
        "bookface_container_env": {"PGPASSFILE": "/etc/bookface/pgpass", "BOOKFACE_METRICS": "1"},
        "__swarm_env": {"BOOKFACE_PROXIES": "10.0.0.0/24"},
        "__swarm_image_id": "sha256:12",
        "__swarm_image_name": "bookface/web:12",
        "__swarm_labels": {"platform.bookface.made": "swarm"},
        "__swarm_secrets": [
            {"name": "config.json", "uid": "0", "gid": "33", "mode": 288},
            {"name": "pgpass", "uid": "33", "gid": "33", "mode": 256},
        ],
        "__swarm_kept": SimpleNamespace(results=kept),
        "swarm_ingress_mode": mode,
        "__swarm_plan": {"replicas": 2, "autoscaled": False},
    }
    rendered = page.get_template("service.yml.j2").render(variables | changes)
    found: dict[str, Any] = yaml.safe_load(rendered)
    return found


def test_what_autoscaling_may_change_meanwhile_is_not_described() -> None:
    assert "Mode" not in spec("host", __swarm_plan={"replicas": 3, "autoscaled": True})


def test_what_is_described_has_the_kinds_that_docker_expects() -> None:
    found = spec("host")
    assert found["Name"] == "123"
    assert found["Mode"] == {"Replicated": {"Replicas": 2}}
    assert found["Labels"] == {
        "platform.bookface.role": "web",
        "platform.bookface.image": "bookface/web:12",
    }
    template = found["TaskTemplate"]
    assert template["Resources"]["Limits"] == {
        "MemoryBytes": 512 << 20,
        "NanoCPUs": 0,
        "Pids": 200,
    }
    container = template["ContainerSpec"]
    assert container["Image"] == "sha256:12"
    assert container["StopGracePeriod"] == 60 * 10**9
    assert container["Env"] == [
        "BOOKFACE_METRICS=1",
        "BOOKFACE_PROXIES=10.0.0.0/24",
        "PGPASSFILE=/etc/bookface/pgpass",
    ]
    assert container["Secrets"][1] == {
        "SecretID": "id2",
        "SecretName": "bookface-2_v1",
        "File": {"Name": "/etc/bookface/pgpass", "UID": "33", "GID": "33", "Mode": 0o400},
    }
    assert container["Mounts"][0]["TmpfsOptions"] == {"Mode": 0o1777}


@pytest.mark.parametrize(
    ("mode", "order", "endpoint", "limit"),
    [("host", "stop-first", "dnsrr", 1), ("mesh", "start-first", "vip", 0)],
)
def test_two_tasks_cannot_hold_one_port_of_a_node(
    mode: str, order: str, endpoint: str, limit: int
) -> None:
    found = spec(mode)
    assert {found["UpdateConfig"]["Order"], found["RollbackConfig"]["Order"]} == {order}
    assert found["UpdateConfig"]["FailureAction"] == "rollback"
    assert found["EndpointSpec"]["Mode"] == endpoint
    (port,) = found["EndpointSpec"]["Ports"]
    published = {"host": "host", "mesh": "ingress"}[mode]
    assert (port["PublishedPort"], port["PublishMode"]) == (8080, published)
    assert found["TaskTemplate"]["Placement"]["MaxReplicas"] == limit


def test_resources_and_placement() -> None:
    found = spec(
        "mesh",
        swarm_cpus="0.5",
        swarm_memory_reservation="64M",
        swarm_cpus_reservation=0.1,
        swarm_constraints=["node.labels.zone == a"],
        swarm_preferences=["node.labels.rack"],
    )["TaskTemplate"]
    assert found["Resources"]["Limits"]["NanoCPUs"] == 500_000_000
    reserved = {"MemoryBytes": 64 << 20, "NanoCPUs": 100_000_000, "GenericResources": []}
    assert found["Resources"]["Reservations"] == reserved
    assert found["Placement"]["Constraints"] == ["node.labels.zone==a"]
    spread = {"Spread": {"SpreadDescriptor": "node.labels.rack"}}
    assert found["Placement"]["Preferences"] == [spread]


def test_with_mode_edge_tasks_publish_nothing_and_share_nodes() -> None:
    found = spec("edge")
    assert found["EndpointSpec"] == {"Mode": "dnsrr", "Ports": []}
    assert {found["UpdateConfig"]["Order"], found["RollbackConfig"]["Order"]} == {"start-first"}
    assert found["TaskTemplate"]["Placement"]["MaxReplicas"] == 0


def test_haproxy_as_a_service() -> None:
    page = templates("swarm")
    page.filters |= core.FilterModule().filters()
    page.filters["dirname"] = lambda path: path.rpartition("/")[0]
    rendered = page.get_template("edge.yml.j2").render(
        __swarm_edge_service="bookface-edge",
        __swarm_labels={"platform.bookface.made": "swarm"},
        __swarm_edge_image="sha256:12",
        __swarm_edge_label="bookface.edge.web",
        __swarm_edge_sockets="/run/haproxy",
        __swarm_edge_ports=[80, 1936],
        swarm_edge_config="/etc/haproxy/haproxy.cfg",
        swarm_network="net",
        swarm_stop_timeout=60,
    )
    found = yaml.safe_load(rendered)
    assert found["Mode"] == {"Global": {}}
    template = found["TaskTemplate"]
    assert template["Placement"] == {"Constraints": ["node.labels.bookface.edge.web==true"]}
    mounts = [(one["Target"], one.get("ReadOnly")) for one in template["ContainerSpec"]["Mounts"]]
    assert mounts == [("/etc/haproxy", True), ("/run/haproxy", None)]
    ports = found["EndpointSpec"]["Ports"]
    assert [(one["PublishedPort"], one["PublishMode"]) for one in ports] == [
        (80, "host"),
        (1936, "host"),
    ]
    assert found["UpdateConfig"]["Order"] == "stop-first"
