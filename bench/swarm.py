"""`make bench-swarm`: the role swarm beside C(docker stack deploy) of the same service.

    python -m bench.swarm [--quick] [--output FILE]

README.md beside this file says what is measured, and how.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment

from bench import report
from bench.lab import Size, lab, play
from bench.report import BenchError, Row, spread
from tests.support.engine import docker
from tests.support.errors import HarnessError
from tests.support.load import Load, longest_gap
from tests.support.paths import ROOT
from tests.support.platform import Platform
from tests.support.waiting import until

LAB = {
    "lab_name": "bookface-bench-swarm",
    "lab_network": "172.28.98",
    "lab_http_port": 8098,
    "lab_stats_port": 1998,
    "bookface_initial_backend": "swarm",
}
SWARM = "swarm_managers:swarm_workers"
SERVICE = "bookface"
STACK = "plain"
# Where the HAProxy listens that stands before the stack.
PLAIN_PORT = 8081
PAGE = "Users:"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    # While a node is lost, and while the service is scaled, updated and drained.
    requests: int
    rate: int


# The rate leaves two processors half idle: else clients would wait for each other, not for us.
FULL = Scale(rounds=3, requests=20_000, rate=60)
QUICK = Scale(rounds=1, requests=400, rate=20)


class Lab:
    """The machines of one size, and what a manager of their swarm says."""

    def __init__(self, inventory: Path) -> None:
        self.inventory = inventory
        self.platform = Platform.of(str(inventory))
        (self.manager,) = self.platform.groups["swarm_managers"]
        self.workers = list(self.platform.groups.get("swarm_workers", ()))
        self.nodes = [self.manager, *self.workers]

    def manage(self, command: str, text: str | None = None) -> str:
        """What a docker command prints on the manager."""
        container = f"{self.platform.name}-{self.manager}"
        return docker("exec", "-i", container, "docker", *command.split(), text=text)

    def play(self, playbook: str, *options: str) -> int:
        """Run a playbook; how much it changed."""
        return play(ROOT, self.inventory, playbook, *options).changed

    def serving(self, service: str) -> list[str]:
        """The node of each task that runs."""
        form = "--format {{.Node}}:{{.CurrentState}}"
        with suppress(HarnessError):
            listed = self.manage(f"service ps {service} --filter desired-state=running {form}")
            lines = [line.partition(":") for line in listed.splitlines()]
            return sorted(node for node, _, state in lines if state.startswith("Running "))
        return []

    @property
    def address(self) -> str:
        """Where the site is asked for: at the first load balancer."""
        return self.platform.addresses[self.platform.groups["loadbalancers"][0]]

    def wait(self, service: str, tasks: int, without: str = "") -> None:
        """Until so many tasks run, none of them on a node that is lost or drained."""
        until(
            lambda: len([n for n in self.serving(service) if n != without]) == tasks,
            lambda: f"{tasks} tasks of {service}: they run on {self.serving(service)}",
            180,
        )

    def update(self, service: str) -> tuple[str, str]:
        """When the last update of a service began, and its state; empty without one."""
        with suppress(HarnessError):
            (found,) = json.loads(self.manage(f"service inspect {service}"))
            status = found.get("UpdateStatus") or {}
            return status.get("StartedAt", ""), status.get("State", "")
        return "", ""


class Way(Protocol):
    """A way to run the service."""

    name: str
    service: str

    @property
    def url(self) -> str: ...

    def deploy(self, replicas: int, pids: int) -> None:
        """Make it so, and return once it is."""

    def drain(self, node: str) -> None:
        """Return once its tasks run elsewhere."""

    def activate(self, node: str) -> None:
        """Let it take tasks again."""


@dataclass
class Ours:
    """The role, and the load balancer that it was made for."""

    lab: Lab
    name: str = "role"
    service: str = SERVICE

    @property
    def url(self) -> str:
        return f"http://{self.lab.address}/"

    def deploy(self, replicas: int, pids: int) -> None:
        settings = {"swarm_replicas": replicas, "swarm_pids": pids}
        self.changed = self.lab.play("deploy.yml", "--limit", SWARM, "-e", json.dumps(settings))

    def drain(self, node: str) -> None:
        self.lab.play("swarm_node.yml", "-e", f"node={node}", "-e", "state=drain")

    def activate(self, node: str) -> None:
        self.lab.play("swarm_node.yml", "-e", f"node={node}", "-e", "state=active")


@dataclass
class Plain:
    """A stack file with the same image, secrets, limits and port; HAProxy as guides have it."""

    lab: Lab
    # The service as docker service inspect shows it.
    spec: Mapping[str, Any]
    name: str = "docker stack deploy"
    service: str = f"{STACK}_web"
    # Limit of processes that it was last deployed with. 0: not yet.
    pids: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.lab.address}:{PLAIN_PORT}/"

    def deploy(self, replicas: int, pids: int) -> None:
        text = json.dumps(stack(self.spec, replicas, pids))
        before, _ = self.lab.update(self.service)
        self.lab.manage(f"stack deploy --resolve-image never -c - {STACK}", text)
        if self.pids not in (0, pids):
            until(lambda: self.lab.update(self.service)[0] != before, "an update that begins", 60)
            until(lambda: self.lab.update(self.service)[1] == "completed", "its end", 180)
        self.pids = pids
        self.lab.wait(self.service, replicas)

    def drain(self, node: str) -> None:
        tasks = len(self.lab.serving(self.service))
        self.lab.manage(f"node update --availability drain {node}")
        self.lab.wait(self.service, tasks, without=node)

    def activate(self, node: str) -> None:
        self.lab.manage(f"node update --availability active {node}")

    def balance(self) -> None:
        """Start its HAProxy, beside the lab's."""
        nodes = {node: self.lab.platform.addresses[node] for node in self.lab.nodes}
        source = (ROOT / "bench/swarm_lab/plain.cfg.j2").read_text()
        text = Environment(autoescape=False, trim_blocks=True).from_string(source)  # noqa: S701
        container = f"{self.lab.platform.name}-lb1"
        docker(
            "exec", "-i", container, "sh", "-c", "cat > /run/plain.cfg",
            text=text.render(port=PLAIN_PORT, nodes=nodes) + "\n",
        )  # fmt: skip
        docker("exec", container, "haproxy", "-D", "-f", "/run/plain.cfg")


def stack(spec: Mapping[str, Any], replicas: int, pids: int) -> dict[str, Any]:
    """The stack file of a service: what a person would write who wants the same tasks."""
    task = spec["TaskTemplate"]
    container = task["ContainerSpec"]
    secrets = container["Secrets"]
    return {
        # Docker 20.10 refuses a file without it; newer ones ignore it.
        "version": "3.9",
        "services": {
            "web": {
                "image": container["Image"],
                "environment": list(container["Env"]),
                "secrets": [
                    {
                        "source": one["SecretName"],
                        "target": one["File"]["Name"],
                        "uid": one["File"]["UID"],
                        "gid": one["File"]["GID"],
                        "mode": one["File"]["Mode"],
                    }
                    for one in secrets
                ],
                "ports": [
                    {"target": port["TargetPort"], "published": port["PublishedPort"],
                     "mode": port["PublishMode"]}
                    for port in spec["EndpointSpec"]["Ports"]
                ],
                "deploy": {
                    "replicas": replicas,
                    "resources": {
                        "limits": {
                            "memory": str(task["Resources"]["Limits"]["MemoryBytes"]),
                            "pids": pids,
                        }
                    },
                    "placement": {
                        "max_replicas_per_node": task["Placement"].get("MaxReplicas", 0)
                    },
                },
            }
        },
        "secrets": {one["SecretName"]: {"external": True} for one in secrets},
    }  # fmt: skip


@dataclass
class Measured:
    """What one way did on one size: seconds by step, and what its clients saw."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    # The longest time without a good answer to anybody, while a worker was lost.
    gap: float = 0

    def time(self, step: str, action: Callable[[], object]) -> None:
        began = time.monotonic()
        action()
        self.seconds.setdefault(step, []).append(time.monotonic() - began)

    def median(self, step: str) -> float:
        return statistics.median(self.seconds[step])

    def changes(self) -> int:
        """Failed requests while it was scaled, updated and drained."""
        return sum(self.failed[step] for step in ("scale", "update", "drain"))


@contextmanager
def clients(way: Way, step: str, measured: Measured, scale: Scale, least: int) -> Iterator[Load]:
    """Clients of the site while something is done; what they saw is added to the step's."""
    with Load(
        [way.url], clients=32, rate=scale.rate, at_least=least, expect=PAGE, timeout=30
    ) as load:
        if not load.wait_for(50, seconds=60):
            raise BenchError(f"{way.name}: no answers from {way.url}")
        yield load
    summary = load.summary
    measured.failed[step] = measured.failed.get(step, 0) + summary.failed
    measured.requests[step] = measured.requests.get(step, 0) + summary.requests
    say(f"{way.name}: {step}: {summary.failed} of {summary.requests} failed {summary.failures}")


def deployed(lab: Lab, way: Way, measured: Measured) -> None:
    """A first deployment, and another one with nothing to change."""
    measured.time("first deploy", lambda: way.deploy(2, 200))
    measured.time("unchanged redeploy", lambda: way.deploy(2, 200))
    if isinstance(way, Ours) and way.changed:
        raise BenchError(f"an unchanged redeploy changed {way.changed}")


def changed(lab: Lab, way: Way, measured: Measured, scale: Scale, load: bool, most: int) -> None:
    """Scaled from two tasks to C(most) and back, updated, a node drained; each with clients."""

    def step(name: str, *actions: Callable[[], object]) -> None:
        def act() -> None:
            for action in actions:
                measured.time(name, action)

        if load:
            with clients(way, name, measured, scale, scale.requests // 3):
                act()
        else:
            act()

    step("scale", lambda: way.deploy(most, 200), lambda: way.deploy(2, 200))
    step("update", lambda: way.deploy(2, 201), lambda: way.deploy(2, 200))
    busy = next(node for node in lab.serving(way.service) if node != lab.manager)
    step("drain", lambda: way.drain(busy))
    way.activate(busy)


def lost(lab: Lab, way: Way, measured: Measured, scale: Scale) -> None:
    """A worker without power, while clients ask."""
    victim = next(node for node in lab.serving(way.service) if node != lab.manager)
    container = f"{lab.platform.name}-{victim}"
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "requests"
        with Load(
            [way.url], clients=32, rate=scale.rate, requests=scale.requests, expect=PAGE,
            timeout=30, log=log,
        ) as load:  # fmt: skip
            load.wait_for(scale.requests // 10, seconds=600)
            docker("kill", container)
            try:
                measured.time("worker killed", lambda: lab.wait(way.service, 2, without=victim))
                load.wait_for(scale.requests // 2, seconds=600)
            finally:
                docker("start", container)
            load.wait_for(scale.requests, seconds=1800)
        measured.gap = longest_gap(log)
    measured.failed["worker killed"] = load.summary.failed
    say(f"{way.name}: worker killed: {load.summary.as_text()}; gap {measured.gap:.2f} s")
    until(lambda: _ready(lab, victim), f"{victim} is ready again", 180)


def _ready(lab: Lab, node: str) -> bool:
    listed = lab.manage("node ls --format {{.Hostname}}:{{.Status}}").splitlines()
    return f"{node}:Ready" in listed


def remove(lab: Lab, whole: bool) -> None:
    """The service of either way, and with it, if C(whole), what else the role has made."""
    lab.manage(f"stack rm {STACK}")
    if lab.manage("service ls --quiet --filter name=" + SERVICE).split():
        lab.manage(f"service rm {SERVICE}")
    for node in lab.nodes:
        until(partial(_idle, lab, node), f"the tasks on {node} to be gone", 180)
    if whole:
        until(lambda: _removed(lab, "network", "bookface-swarm"), "the network to be gone")
        if secrets := lab.manage("secret ls --quiet").split():
            lab.manage("secret rm " + " ".join(secrets))


def _idle(lab: Lab, node: str) -> bool:
    return not docker("exec", f"{lab.platform.name}-{node}", "docker", "ps", "--quiet").split()


def _removed(lab: Lab, kind: str, name: str) -> bool:
    if not lab.manage(f"{kind} ls --quiet --filter name={name}").split():
        return True
    with suppress(HarnessError):
        lab.manage(f"{kind} rm {name}")
    return False


def measure(nodes: int, scale: Scale, load: bool) -> tuple[Measured, Measured]:
    """The role and the stack, in turn, on one lab."""
    size = Size(web=0, workers=nodes - 1, containers=0)
    ours, plain = Measured(), Measured()
    with lab(size, LAB) as inventory:
        machines = Lab(inventory)
        machines.play("site.yml")
        role = Ours(machines)
        spec = json.loads(machines.manage(f"service inspect {SERVICE}"))[0]["Spec"]
        stacked = Plain(machines, spec)
        stacked.balance()
        for last in [False] * (scale.rounds - 1) + [True]:
            remove(machines, whole=True)
            deployed(machines, role, ours)
            if last:
                changed(machines, role, ours, scale, load, most=nodes)
                if load:
                    lost(machines, role, ours, scale)
            # The secrets stay, under the names that they have now.
            stacked.spec = json.loads(machines.manage(f"service inspect {SERVICE}"))[0]["Spec"]
            remove(machines, whole=False)
            stacked.pids = 0
            deployed(machines, stacked, plain)
            if last:
                changed(machines, stacked, plain, scale, load, most=nodes)
                if load:
                    lost(machines, stacked, plain, scale)
    return ours, plain


def say(text: str) -> None:
    """Progress."""
    print(text, flush=True)


def steps(nodes: int, ours: Measured, plain: Measured) -> list[Row]:
    """Seconds of each step beside the stack's."""
    return [
        Row(f"{step}, {nodes} nodes / stack's", ours.median(step),
            f"s, {spread(ours.seconds[step])}", plain.median(step))
        for step in ("first deploy", "unchanged redeploy", "scale", "update", "drain")
    ]  # fmt: skip


def promised(measured: Measured, requests: int, mode: str = "") -> list[Row]:
    """What is promised of a lost node and of changes, under load."""
    return [
        Row(f"{mode}worker killed: failed of {requests:,}", measured.failed["worker killed"],
            "requests", target=f"<= {requests // 1000}"),
        Row(f"{mode}worker killed: longest gap", measured.gap, "s", target="<= 2"),
        Row(f"{mode}worker killed: s to full replicas", measured.median("worker killed"), "s",
            target="<= 30"),
        Row(f"{mode}scale, update, drain: failed requests", measured.changes(),
            f"of {sum(measured.requests.values())}", target="<= 0"),
    ]  # fmt: skip


def rows(ours: Measured, plain: Measured, requests: int) -> Sequence[Row]:
    """The table: what is promised, then each step beside the stack's."""
    again = ours.seconds["unchanged redeploy"]
    return [
        *promised(ours, requests),
        Row("unchanged redeploy: s", ours.median("unchanged redeploy"), f"s, {spread(again)}",
            target="<= 10"),
        Row("worker killed: failed / stack's", ours.failed["worker killed"], "requests",
            plain.failed["worker killed"], "<= 1"),
        Row("worker killed: longest gap / stack's", ours.gap, "s", plain.gap),
        Row("worker killed: s to full replicas / stack's", ours.median("worker killed"), "s",
            plain.median("worker killed")),
        *(Row(f"{step}: failed / stack's", ours.failed[step], "requests", plain.failed[step],
              "<= 1")
          for step in ("scale", "update", "drain")),
        *steps(3, ours, plain),
    ]  # fmt: skip


def bench(quick: bool) -> tuple[Sequence[Row], Mapping[str, str]]:
    """Three nodes, with clients."""
    scale = QUICK if quick else FULL
    return rows(*measure(3, scale, load=True), scale.requests), {}


if __name__ == "__main__":
    sys.exit(report.run("swarm", bench))
