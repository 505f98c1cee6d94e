"""Further services of a swarm: what is refused, and what Docker gets."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from ansible_collections.bookface.platform.plugins.filter.swarm_services import FilterModule
from ansible_collections.bookface.platform.plugins.module_utils.web.labels import MADE, STACK
from ansible_collections.bookface.platform.plugins.module_utils.web.service import differences
from ansible_collections.bookface.platform.plugins.module_utils.web.swarm import Node

FILTERS = FilterModule().filters()
SITE = {"service": "bookface", "network": "bookface-swarm"}
CACHE: dict[str, Any] = {"name": "cache", "image": "memcached:1.6"}
MEMBERS = {
    id_: {
        "name": host,
        "addresses": [],
        "availability": "active",
        "state": "ready",
        "attributes": {"node.id": id_, "node.hostname": host, "node.labels.zone": zone},
    }
    for id_, host, zone in (("m1", "swarm1", "a"), ("w1", "swarm2", "b"), ("w2", "swarm3", "b"))
}
LEAD = Node("active", "m1", True, ipvs=True, managers={"m1": True}, members=MEMBERS)
WORKERS = {f"swarm{n}": Node("active", f"w{n - 1}", ipvs=True) for n in (2, 3)}


def faults(*entries: Any) -> list[str]:
    reserved = {8080: "swarm_port"}
    found: list[str] = FILTERS["swarm_services_faults"](list(entries), **SITE, reserved=reserved)
    return found


def plan(*entries: Any, lead: Node = LEAD, **changes: Any) -> dict[str, Any]:
    seen = {host: asdict(node) for host, node in {"swarm1": lead, **WORKERS}.items()}
    wish: dict[str, Any] = {"lead": "swarm1", "managers": ["swarm1"], **SITE, **changes}
    found: dict[str, Any] = FILTERS["swarm_services_plan"](seen, list(entries), **wish)
    return found


def errors(*entries: Any, **changes: Any) -> list[str]:
    found: list[str] = plan(*entries, **changes)["errors"]
    return found


FULL: dict[str, Any] = {
    "name": "postgres",
    "image": "registry.example:5000/db/postgres:17",
    "command": ["postgres", "-c", "fsync=on"],
    "env": {"PGDATA": "/data/17", "DEBUG": True, "N": 1},
    "secrets": {"password": "hidden", "key": {"content": "hidden", "uid": 70, "mode": "0400"}},
    "networks": ["bookface-swarm"],
    "ports": [{"published": 5432, "target": 5432}],
    "volumes": ["data:/data"],
    "tmpfs": ["/run"],
    "constraints": ["node.labels.zone == a"],
    "memory": "1G",
    "memory_reservation": "512m",
    "cpus": 1.5,
    "pids": 100,
    "healthcheck": {"test": ["pg_isready"], "interval": 10, "timeout": 5, "retries": 3},
    "cap_drop": ["ALL"],
    "cap_add": ["chown", "CAP_SETUID"],
    "stop_timeout": 60,
}


def test_what_is_right() -> None:
    tool = {"name": "agent", "image": "sha256:" + "a" * 64, "mode": "global"}
    assert faults(CACHE, FULL, tool) == []
    assert errors(CACHE, FULL, tool) == []


ONE_PORT = [{"published": 1, "target": 1}]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"imag": "x"}, "has the unknown key imag; expected some of name, image, "),
        ({"image": ""}, "has the image ; expected a name with a tag or digest"),
        ({"image": "Memcached"}, "has the image Memcached; expected"),
        ({"mode": "some"}, "has mode some; expected replicated or global"),
        ({"replicas": "two"}, "has replicas two; expected a number"),
        ({"replicas": 2, "mode": "global"}, "with mode global each node runs one task"),
        ({"command": "memcached -m 64"}, "expected a list of words"),
        ({"env": ["A=1"]}, "expected a dictionary of names and texts"),
        ({"memory": "64 MB"}, "has memory 64 MB; expected a size"),
        ({"memory": "64M", "memory_reservation": "1G"}, "a memory_reservation above its limit"),
        ({"cpus": 0.5, "cpus_reservation": 1}, "a cpus_reservation above its limit"),
        ({"constraints": ["zone=a"]}, "constraints has zone=a; expected"),
        ({"preferences": ["zone"]}, "preferences has zone; expected"),
        ({"volumes": ["/srv/data:/data"]}, "has the volume /srv/data:/data; expected the name"),
        ({"volumes": ["d:/d"], "replicas": 2}, "has 2 replicas that write to one volume"),
        ({"volumes": ["d:/d"], "update_order": "start-first"}, "two tasks would write"),
        ({"ports": [{"published": 1}]}, "has the port {'published': 1}; expected"),
        ({"ports": [{"published": 0, "target": 1}]}, "expected published and target"),
        ({"ports": [{"published": 8080, "target": 1}]}, "8080/tcp, which swarm_port has"),
        ({"ports": [{"published": 2377, "target": 1}]}, "2377/tcp, which the swarm itself has"),
        ({"healthcheck": {"interval": 1}}, "has healthcheck {'interval': 1}; expected test"),
        ({"secrets": {"key": ""}}, "has the secret key without content"),
        ({"secrets": {"key": None}}, "has the secret key without content"),
        ({"secrets": {"key": 1234}}, "has the secret key, which is not text"),
        ({"secrets": {"key": {"content": "x", "owner": "me"}}}, "key with an unknown key"),
        ({"name": "bookface-edge"}, "is a name of the site's own services"),
        ({"secrets": {"key_v2": "x"}}, "the secret key_v2, whose name ends like a version"),
        ({"secrets": {"key": "x", "key_vault": "y"}}, "bookface-cache.key_vault, which would be"),
        ({"name": "config", "secrets": {"json": "x"}}, "bookface-config.json, which would be"),
        ({"name": "config", "secrets": {"php_vars": "x"}}, "config.php_vars, which would be"),
        ({"name": "pgpass_v2", "secrets": {"a": "x"}}, "bookface-pgpass_v2.a, which would be"),
        ({"secrets": {"k" * 60: "x"}}, "expected at most 58 characters"),
        ({"secrets": ["key"]}, "has secrets that are not a dictionary"),
        ({"name": "bookface"}, "is a name of the site's own service"),
        ({"name": "bookface-canary"}, "is a name of the site's own service"),
        ({"name": "my.cache"}, "entry 1 has my.cache; expected a dictionary with a name"),
        (
            {"ports": ONE_PORT, "update_order": "start-first"},
            "two tasks cannot hold one port of a node",
        ),
        (
            {"ports": [{**ONE_PORT[0], "mode": "ingress"}], "endpoint_mode": "dnsrr"},
            "a port of mode ingress requires vip",
        ),
    ],
)
def test_what_is_refused_before_a_host_is_asked(change: dict[str, Any], said: str) -> None:
    found = faults({**CACHE, **change})
    assert len(found) == 1
    assert said in found[0]


def test_between_entries() -> None:
    port = {"ports": [{"published": 11211, "target": 11211}]}
    udp = {"ports": [{"published": 11211, "target": 11211, "protocol": "udp"}]}
    found = faults({**CACHE, **port}, {**CACHE}, {**CACHE, "name": "b", **port})
    assert found == [
        "swarm_services: cache is listed twice: each service needs a name of its own.",
        "swarm_services: b publishes the port 11211/tcp, which cache has: choose another.",
    ]
    assert faults({**CACHE, **port}, {**CACHE, "name": "b", **udp}) == []
    assert "has no image" in faults({"name": "a"})[0]
    assert "expected a list" in FILTERS["swarm_services_faults"]({"a": CACHE}, **SITE)[0]
    assert "entry 1 has cache" in faults("cache")[0]


def test_ports_that_haproxy_has_on_nodes() -> None:
    binds = {
        "haproxy_bind": ["*:80 accept-proxy", "192.0.2.1:80,192.0.2.1:8000"],
        "haproxy_tls_bind": ["", "*:443"],
        "haproxy_stats_bind": ["127.0.0.1:1936"],
        "haproxy_tcp_services": ["*:5433", "nonsense"],
    }
    read = FILTERS["swarm_reserved_ports"]
    public = {80: "haproxy_bind", 8000: "haproxy_bind", 443: "haproxy_tls_bind"}
    public[5433] = "haproxy_tcp_services"
    assert read(binds, True) == public
    assert read(binds, False) == {**public, 1936: "haproxy_stats_bind"}


def test_secrets_that_only_resemble_those_of_others() -> None:
    names = {"key": "x", "key2": "x", "db_vault": "x", "json": "x"}
    assert (
        faults({**CACHE, "secrets": names}, {**CACHE, "name": "config", "secrets": {"a": "x"}})
        == []
    )


def test_no_secret_is_shown() -> None:
    wrong = {**CACHE, "secrets": {"key": {"content": "hidden", "mode": "x", "uid": "y"}}}
    assert "hidden" not in str(faults(wrong) + faults({**wrong, "secrets": ["hidden"]}))


def test_data_stays_where_its_task_is() -> None:
    data = {**CACHE, "volumes": ["data:/data"]}
    [said] = errors(data)
    assert "has a volume, but 3 nodes may run it: its data would stay behind" in said
    assert "swarm1 (labels.zone=a), swarm2 (labels.zone=b)" in said
    assert "2 nodes may run it" in errors({**data, "constraints": ["node.labels.zone==b"]})[0]
    assert errors({**data, "constraints": ["node.labels.zone==a"]}) == []
    assert errors({**data, "constraints": ["node.hostname==swarm2"]}) == []
    # Each node has its own.
    assert errors({**data, "mode": "global"}) == []
    labels = {"swarm2": {"db": "true"}}
    assert errors({**data, "constraints": ["node.labels.db==true"]}, node_labels=labels) == []


ROACH = {**CACHE, "volumes": ["data:/data"], "constraints": ["node.hostname==swarm2"]}


def test_a_host_that_joins_has_its_hostname() -> None:
    """The first run of a site, in which no node is known yet."""
    bare = {f"swarm{n}": asdict(Node("none", name=f"swarm{n}")) for n in (1, 2, 3)}
    wish = {"lead": "swarm1", "managers": ["swarm1"], **SITE}
    assert FILTERS["swarm_services_plan"](bare, [ROACH], **wish)["errors"] == []
    unknown = {**ROACH, "constraints": ["node.hostname==swarm4"]}
    [said] = FILTERS["swarm_services_plan"](bare, [unknown], **wish)["errors"]
    assert "which no node meets" in said


@pytest.mark.parametrize("joined", [False, True])
def test_what_a_rebuilt_machine_has_left_runs_nothing(joined: bool) -> None:
    """Its entry is removed in this run, once the plan is made."""
    old = {**MEMBERS["w1"], "state": "down"}
    known = {**MEMBERS, "x1": old}
    new = WORKERS["swarm2"]
    if not joined:
        new = Node("inactive", ipvs=True, name="swarm2")
        known.pop("w1")
    seen = {"swarm1": replace(LEAD, members=known), "swarm2": new, "swarm3": WORKERS["swarm3"]}
    wish = {"lead": "swarm1", "managers": ["swarm1"], **SITE}
    said = {host: asdict(node) for host, node in seen.items()}
    assert FILTERS["swarm_services_plan"](said, [ROACH], **wish)["errors"] == []


def test_constraints_that_no_node_meets() -> None:
    [said] = errors({**CACHE, "constraints": ["node.labels.zone==c"]})
    assert "has the constraints node.labels.zone==c, which no node meets." in said


def test_labels_that_would_stop_all_tasks() -> None:
    there = {"stack": "bookface", "mode": "Replicated", "image": "memcached:1.6", "replicas": 2}
    runs = {"cache": {**there, "constraints": ["node.labels.zone==b"]}}
    lead = replace(LEAD, services=runs, ready=dict.fromkeys(MEMBERS, True))
    entry = {**CACHE, "replicas": 2, "constraints": ["node.labels.zone==c"]}
    labels = {f"swarm{number}": {"zone": "c"} for number in (2, 3)}
    [said] = errors(entry, lead=lead, node_labels=labels)
    assert said.startswith("swarm_services: cache would lose its tasks: swarm_node_labels would")
    assert "on swarm2, swarm3" in said
    assert errors(entry, lead=lead, node_labels={"swarm1": {"zone": "c"}}) == []


def test_ports_of_nodes() -> None:
    host = {"ports": [{"published": 11211, "target": 11211}]}
    [said] = errors({**CACHE, **host, "replicas": 4})
    assert "4 replicas that publish a port with mode host, one on each node, but only 3" in said
    mesh = {"ports": [{"published": 81, "target": 81, "mode": "ingress"}]}
    assert errors({**CACHE, **mesh, "replicas": 4}) == []
    without = replace(LEAD, ipvs=False)
    assert "needs IPVS" in errors({**CACHE, **mesh}, lead=without)[0]
    assert errors({**CACHE, **host}, lead=without) == []
    known = replace(LEAD, ports=[{"port": 81, "mode": "host", "service": "theirs"}])
    assert "the service theirs of this swarm has" in errors({**CACHE, **mesh}, lead=known)[0]
    ours = {"theirs": {"stack": "bookface", "mode": "Replicated", "image": ""}}
    assert errors({**CACHE, **mesh}, lead=replace(known, services=ours)) == []


def test_a_network_must_be_there() -> None:
    wish = {**CACHE, "networks": ["bookface-swarm", "other"]}
    assert "has the network other, which is no overlay network" in errors(wish)[0]
    assert errors(wish, lead=replace(LEAD, overlays=["other"])) == []


THEIRS = {"cache": {"stack": "", "mode": "Replicated", "image": "memcached:1"}}


def test_a_service_of_somebody_else_is_not_taken() -> None:
    lead = replace(LEAD, services=THEIRS)
    [said] = errors(CACHE, lead=lead)
    assert f"lacks the label {STACK}=bookface and runs memcached:1." in said
    assert "swarm_adopt: [service/cache]" in said
    assert errors(CACHE, lead=lead, adopt=["service/cache"]) == []
    assert plan(lead=lead)["remove"] == []


def test_the_mode_of_a_service_is_not_changed() -> None:
    lead = replace(LEAD, services={"cache": {**THEIRS["cache"], "stack": "bookface"}})
    assert errors(CACHE, lead=lead) == []
    [said] = errors({**CACHE, "mode": "global"}, lead=lead)
    assert "has mode global, but runs with replicated, which Docker does not change" in said


def test_only_ours_is_removed() -> None:
    other = {"stack": "other-site", "mode": "Replicated", "image": ""}
    services = {"old": {**other, "stack": "bookface"}, "theirs": THEIRS["cache"], "others": other}
    kept_secrets = [f"bookface-postgres.password_v{n}" for n in (1, 2, 3)]
    lead = replace(LEAD, services=services, stack_secrets=["bookface-old.key_v1", *kept_secrets])
    found = plan(FULL, lead=lead)
    assert found["remove"] == ["old"]
    assert found["remove_secrets"] == ["bookface-old.key_v1"]
    assert found["old_secrets"] is True


def test_a_swarm_that_is_not_there_yet() -> None:
    """The labels that its nodes will have count."""
    bare = {host: asdict(Node("inactive", ipvs=True)) for host in ("swarm1", "swarm2")}
    wish: dict[str, Any] = {"lead": "swarm1", **SITE}
    ask = FILTERS["swarm_services_plan"]
    labelled = ask(bare, [CACHE, FULL], **wish, node_labels={"swarm1": {"zone": "a"}})
    assert labelled["errors"] == []
    assert "no node meets" in ask(bare, [FULL], **wish)["errors"][0]


def kept(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    """What docker_secret has returned."""
    listed = FILTERS["swarm_services_secrets"](list(entries), **SITE)
    return [
        {"item": one, "secret_id": f"id-{one['secret']}", "secret_name": f"{one['name']}_v1"}
        for one in listed
    ]


def test_secrets_are_named_by_their_service() -> None:
    found = FILTERS["swarm_services_secrets"]([CACHE, FULL], **SITE)
    assert [(one["name"], one["content"]) for one in found] == [
        ("bookface-postgres.key", "hidden"),
        ("bookface-postgres.password", "hidden"),
    ]


def test_what_docker_gets() -> None:
    found = FILTERS["swarm_service_spec"](FULL, **SITE, secrets=kept(FULL))
    assert found["Labels"] == {MADE: "swarm", STACK: "bookface"}
    assert found["Mode"] == {"Replicated": {"Replicas": 1}}
    template = found["TaskTemplate"]
    container = template["ContainerSpec"]
    assert container["Args"] == ["postgres", "-c", "fsync=on"]
    assert container["Env"] == ["DEBUG=true", "N=1", "PGDATA=/data/17"]
    assert container["Secrets"] == [
        {
            "SecretID": "id-key",
            "SecretName": "bookface-postgres.key_v1",
            "File": {"Name": "key", "UID": "70", "GID": "0", "Mode": 0o400},
        },
        {
            "SecretID": "id-password",
            "SecretName": "bookface-postgres.password_v1",
            "File": {"Name": "password", "UID": "0", "GID": "0", "Mode": 0o444},
        },
    ]
    volume, tmpfs = container["Mounts"]
    assert (volume["Source"], volume["Target"], volume["ReadOnly"]) == ("data", "/data", False)
    assert tmpfs == {"Type": "tmpfs", "Target": "/run"}
    assert container["CapabilityAdd"] == ["CAP_CHOWN", "CAP_SETUID"]
    assert container["CapabilityDrop"] == ["ALL"]
    assert container["Healthcheck"] == {
        "Test": ["CMD", "pg_isready"],
        "Interval": 10 * 10**9,
        "Timeout": 5 * 10**9,
        "StartPeriod": 0,
        "Retries": 3,
    }
    limits = {"MemoryBytes": 1 << 30, "NanoCPUs": 1_500_000_000, "Pids": 100}
    assert template["Resources"]["Limits"] == limits
    assert template["Resources"]["Reservations"]["MemoryBytes"] == 512 << 20
    assert template["Placement"]["Constraints"] == ["node.labels.zone==a"]
    assert template["Placement"]["MaxReplicas"] == 1
    assert found["EndpointSpec"]["Mode"] == "dnsrr"
    assert found["EndpointSpec"]["Ports"] == [
        {"Protocol": "tcp", "TargetPort": 5432, "PublishedPort": 5432, "PublishMode": "host"}
    ]
    assert found["UpdateConfig"]["FailureAction"] == "rollback"
    assert found["UpdateConfig"]["Order"] == "stop-first"


def test_what_is_no_longer_given_is_taken_away() -> None:
    before = FILTERS["swarm_service_spec"](FULL, **SITE, secrets=kept(FULL))
    after = FILTERS["swarm_service_spec"]({**CACHE, "name": "postgres"}, **SITE)
    found = {one.name for one in differences(after, before)}
    assert {"mounts", "secrets", "env", "args", "ports", "test", "pids", "placement"} <= found
    assert differences(after, after) == []


def test_a_port_through_the_mesh_needs_a_virtual_address() -> None:
    ports = [{"published": 81, "target": 80, "mode": "ingress"}]
    found = FILTERS["swarm_service_spec"]({**CACHE, "ports": ports}, **SITE, image="sha256:1")
    assert found["EndpointSpec"]["Mode"] == "vip"
    assert found["TaskTemplate"]["ContainerSpec"]["Image"] == "sha256:1"
    assert found["TaskTemplate"]["Placement"]["MaxReplicas"] == 0


@pytest.mark.parametrize(
    ("image", "user"),
    [
        ("registry.example:5000/tool:2", "r"),
        ("memcached:1.6", "hub"),
        ("bitnami/memcached", "hub"),
        ("localhost/tool", None),
    ],
)
def test_the_account_of_a_registry(image: str, user: str | None) -> None:
    logins = {"registry.example:5000": {"username": "r"}, "docker.io": {"username": "hub"}}
    assert FILTERS["swarm_registry_login"](image, logins).get("username") == user


def test_an_account_has_a_password() -> None:
    check = FILTERS["swarm_registry_login_faults"]
    assert check({"r": {"username": "a", "password": "b"}}) == []
    assert "r without username and password" in check({"r": {"username": "a"}})[0]
    assert "expected registries" in check([])[0]


STATE = {
    "settled": True,
    "placed": True,
    "rolled_back": False,
    "running": 0,
    "wanted": 1,
    "message": "",
    "tasks": ["swarm1 running"],
    "failed": {},
}
CHANGED = {"changed": True, "changes": ["image"]}
NEW, SAME = ({"changed": changed, "changes": []} for changed in (True, False))


def judged(ran: dict[str, Any], **state: Any) -> list[dict[str, Any]]:
    """What is said of a service."""
    told = {"item": "cache", "rc": 0, "stdout": json.dumps({**STATE, **state})}
    found: list[dict[str, Any]] = FILTERS["swarm_services_failures"](
        [told], [{"item": "cache", **ran}], 180
    )
    return found


def test_an_update_that_docker_has_rolled_back() -> None:
    last = {"id": "t1", "task": "swarm1 failed with exit code 1: boom"}
    [one] = judged(CHANGED, rolled_back=True, failed=last)
    assert one["message"].startswith("The update of cache (image) was rolled back; tasks of the")
    assert "Last failure: swarm1 failed with exit code 1: boom." in one["message"]
    assert (one["roll_back"], one["task"]) == (False, "t1")
    # An earlier run's is history.
    assert judged(SAME, rolled_back=True) == []


def test_a_service_that_does_not_run() -> None:
    assert judged(CHANGED) == []
    [one] = judged(CHANGED, settled=False)
    assert one["message"].startswith("cache has 0 of 1 tasks running after 180 s. Tasks: swarm1")
    assert one["roll_back"] is True
    # There is nothing to go back to.
    assert judged(NEW, settled=False)[0]["roll_back"] is False
    assert judged(SAME, settled=False, placed=False)[0]["roll_back"] is False
    # It may wait for a node that is down, and is no reason to stop releases.
    assert judged(SAME, settled=False) == []
    told = {"item": "cache", "rc": 1, "stderr": "no answer"}
    [one] = FILTERS["swarm_services_failures"]([told], [], 1)
    assert "no answer" in one["message"]
