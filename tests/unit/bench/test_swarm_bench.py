"""What the bench of the swarm deploys beside the role, and what it makes of its figures."""

from __future__ import annotations

from bench import swarm
from bench.swarm import Measured

STEPS = ("first deploy", "unchanged redeploy", "scale", "update", "drain", "worker killed")
SPEC = {
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "sha256:1",
            "Env": ["A=1"],
            "Secrets": [
                {
                    "SecretName": "bookface-pgpass_v1",
                    "File": {"Name": "/etc/bookface/pgpass", "UID": "33", "GID": "33", "Mode": 256},
                }
            ],
        },
        "Resources": {"Limits": {"MemoryBytes": 512}},
        "Placement": {"MaxReplicas": 1},
    },
    "EndpointSpec": {"Ports": [{"TargetPort": 8080, "PublishedPort": 8090, "PublishMode": "host"}]},
}


def measured(seconds: float, failed: int) -> Measured:
    steps = ("scale", "update", "drain")
    return Measured(
        {step: [seconds] for step in STEPS},
        dict.fromkeys((*steps, "worker killed"), failed),
        dict.fromkeys(steps, 100),
        seconds / 10,
    )


def test_the_stack_has_what_the_service_has() -> None:
    found = swarm.stack(SPEC, 3, 99)
    web = found["services"]["web"]
    assert web["image"] == "sha256:1"
    assert web["environment"] == ["A=1"]
    assert web["ports"] == [{"target": 8080, "published": 8090, "mode": "host"}]
    assert web["secrets"][0]["target"] == "/etc/bookface/pgpass"
    assert web["deploy"]["replicas"] == 3
    assert web["deploy"]["resources"]["limits"] == {"memory": "512", "pids": 99}
    assert web["deploy"]["placement"] == {"max_replicas_per_node": 1}
    assert found["secrets"] == {"bookface-pgpass_v1": {"external": True}}


def test_the_rows_and_their_targets() -> None:
    rows = swarm.rows(measured(9, 0), measured(3, 40), 20_000)
    judged = {row.what: (row.target, row.met) for row in rows if row.target}
    assert judged == {
        "worker killed: failed of 20,000": ("<= 20", True),
        "worker killed: longest gap": ("<= 2", True),
        "worker killed: s to full replicas": ("<= 30", True),
        "scale, update, drain: failed requests": ("<= 0", True),
        "unchanged redeploy: s": ("<= 10", True),
        "worker killed: failed / stack's": ("<= 1", True),
        "scale: failed / stack's": ("<= 1", True),
        "update: failed / stack's": ("<= 1", True),
        "drain: failed / stack's": ("<= 1", True),
    }
    assert len({row.what for row in rows}) == len(rows)
    assert not swarm.rows(measured(11, 21), measured(3, 0), 20_000)[0].met
