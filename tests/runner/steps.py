"""The steps of `make test`, and how to choose among them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "logs"
JUNIT = LOGS / "junit"
BUILD = ROOT / "build"


@dataclass(frozen=True)
class Step:
    """One command.

    C(group) is another name to choose it by. C(reports) matches the JUnit files its pytest writes.
    C(sources) are the files and directories it starts from, for C(--changed).

    For the schedule: about how many C(seconds) it takes, C(load) as the processors it keeps busy,
    C(alone) as names of things that only one step may use at a time, and C(after) as the steps
    that must have ended before.
    """

    name: str
    group: str
    command: tuple[str, ...]
    seconds: int
    sources: tuple[str, ...] = ()
    reports: str = ""
    load: float = 1.0
    alone: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()
    # Whether it is a pytest alone: then its tests are counted, and not the command as well.
    only_tests: bool = False


def pytest(
    name: str,
    paths: Sequence[str],
    seconds: int,
    *options: str,
    group: str = "",
    load: float = 1.0,
    alone: Iterable[str] = (),
    after: Iterable[str] = (),
    sources: Sequence[str] = (),
) -> Step:
    """A step that runs pytest on directories or files, which may need other C(sources)."""
    return Step(
        name,
        group or name,
        (
            sys.executable,
            "-m",
            "tests.runner.once_more",
            str(JUNIT / f"{name}.xml"),
            "--color=no",
            *paths,
            *options,
        ),
        seconds,
        (*paths, *sources),
        f"{name}.xml",
        load,
        frozenset(alone),
        frozenset(after),
        only_tests=True,
    )


def molecule(
    scenario: str, seconds: int, group: str = "molecule", alone: Iterable[str] = ()
) -> Step:
    """A step that runs one molecule scenario, from bare machines to their removal."""
    return Step(
        f"molecule-{scenario}",
        group,
        ("molecule", "test", "-s", scenario),
        seconds,
        (f"molecule/{scenario}", "molecule/shared", ".config"),
        f"{scenario}-*.xml",
        # It waits for its machines, whose work counts as well.
        load=0.8,
        alone=frozenset(alone),
        after=frozenset({"node-images"}),
    )


def lint(name: str, seconds: int, *command: str) -> Step:
    """A step of a linter."""
    return Step(name, "lint", command, seconds)


# The tests themselves are run, not checked.
TYPED_TESTS = ("tests/support", "tests/run.py", "tests/runner")
BENCHES = "tests/integration/bench"
# They make the containers of the role web_containers on this machine's engine.
WEB_CONTAINERS = ("web containers",)
# They install packages on this machine.
APT = ("apt",)

STEPS = (
    lint("yamllint", 15, "yamllint", "--strict", "."),
    lint("ruff", 2, "ruff", "check", "."),
    lint("ruff-format", 2, "ruff", "format", "--check", "."),
    lint("mypy", 40, "mypy", "plugins", "bench", "scripts", *TYPED_TESTS),
    lint("role-tables", 2, sys.executable, "scripts/role_tables.py", "--check"),
    lint("ansible-lint", 120, "ansible-lint"),
    pytest("unit", ["tests/unit"], 50),
    Step("build", "build", ("bash", "tests/build.sh", str(BUILD)), 30, ("tests/build.sh",)),
    Step(
        "sanity",
        "build",
        ("bash", "tests/sanity.sh", str(BUILD)),
        90,
        ("tests/sanity.sh",),
        after=frozenset({"build"}),
    ),
    # Before all that starts machines: two that need the engine or an image would both make it.
    Step(
        "node-images",
        "images",
        ("ansible-playbook", "tests/lab/images.yml"),
        120,
        ("tests/lab/images.yml",),
        load=0.8,
        alone=frozenset(APT),
    ),
    pytest(
        "integration-haproxy",
        ["tests/integration/haproxy"],
        600,
        group="integration",
        load=0.4,
    ),
    pytest(
        "integration-containers",
        [f"tests/integration/{name}" for name in ("image", "containers", "swarm")],
        1100,
        group="integration",
        load=0.8,
        alone=WEB_CONTAINERS,
        after=["node-images"],
    ),
    pytest(
        "integration-database",
        [
            *(f"tests/integration/{name}" for name in ("database", "backup", "workalike")),
            *(f"tests/integration/{name}" for name in ("page_cache", "heal")),
        ],
        380,
        group="integration",
        load=0.8,
    ),
    molecule("platform", 2800),
    molecule("haproxy", 900),
    molecule("docker_ce", 700),
    pytest("openstack", ["tests/openstack"], 440, load=0.8),
)
# What runs only when asked for: it takes many minutes.
ON_DEMAND = (
    pytest(
        "benches",
        [BENCHES],
        960,
        group="bench",
        sources=["bench"],
        alone=WEB_CONTAINERS,
        after=["node-images"],
    ),
    # What `make killed` relies on.
    pytest("killed", ["tests/killed"], 60),
    # On the lab of the inventory in BOOKFACE_INVENTORY.
    pytest("rotation", ["tests/rotation"], 700),
    pytest("long", ["tests/e2e"], 600, "-m", "long"),
    molecule("vm_first_boot", 400, "vm", APT),
    molecule("vm", 1300, "vm", APT),
)


class UnknownStepError(ValueError):
    """A name that is neither a step's nor a group's."""


def choose(only: str | None) -> tuple[Step, ...]:
    """The steps of these names and groups, separated by commas; without any, those of STEPS."""
    if only is None:
        return STEPS
    steps = STEPS + ON_DEMAND
    names = set(filter(None, only.split(",")))
    known = {name for step in steps for name in (step.name, step.group)}
    if not names or names - known:
        raise UnknownStepError(
            f"expected names of steps, got {', '.join(sorted(names - known)) or 'none'};"
            f" there are {', '.join(sorted(known))}"
        )
    return tuple(step for step in steps if {step.name, step.group} & names)
