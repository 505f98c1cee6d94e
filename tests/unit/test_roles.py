"""Each role's inputs: defaults and argument_specs agree, and each has a word of explanation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    return loaded


def defaults_of(role: str) -> Path | None:
    """The file of the role's defaults. A role without an entry point main has none."""
    path = ROOT / "roles" / role / "defaults/main.yml"
    specs = load(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]
    return path if path.exists() or "main" in specs else None


def options(role: str) -> dict[str, Any]:
    specs = load(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]
    merged: dict[str, Any] = {}
    for entry in specs.values():
        merged |= entry.get("options", {})
    return merged


def plain(value: Any) -> Any:
    """A value without the line breaks that only the file's layout brings."""
    return " ".join(value.split()) if isinstance(value, str) else value


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_specification_agree(role: str) -> None:
    path = defaults_of(role)
    defaults = load(path) if path else {}
    specified = options(role)
    with_default = {name for name, option in specified.items() if "default" in option}
    assert with_default == set(defaults)
    for name, value in defaults.items():
        assert plain(specified[name]["default"]) == plain(value), name


@pytest.mark.parametrize("role", ROLES)
def test_inputs_carry_the_role_s_name_and_a_description(role: str) -> None:
    for name, option in options(role).items():
        assert name.startswith(f"{role}_"), name
        assert option.get("description"), name


@pytest.mark.parametrize("role", ROLES)
def test_every_default_has_a_comment_above_its_group(role: str) -> None:
    path = defaults_of(role)
    lines = path.read_text().splitlines() if path else []
    for number, line in enumerate(lines):
        if line and line[0].islower() and ":" in line:
            above = next((text for text in reversed(lines[:number]) if text[:1] in ("#", "")), "")
            assert above.startswith("#"), f"{line} has no comment"


@pytest.mark.parametrize("role", ROLES)
def test_a_role_keeps_to_its_own_files(role: str) -> None:
    for path in (ROOT / "roles" / role).rglob("*"):
        if path.suffix in (".yml", ".j2") and path.parent.name != "meta":
            text = path.read_text()
            beside = set(re.findall(r"role_path[^\w.]+/\.\./(\w[\w./]*)", text))
            assert not beside, f"{path} reads {beside}"


def calls(tasks: Any) -> Iterator[dict[str, Any]]:
    """All tasks that bring in a role, with their blocks' insides."""
    for task in tasks or []:
        for part in ("block", "rescue", "always"):
            yield from calls(task.get(part))
        for kind in ("include_role", "import_role"):
            if f"ansible.builtin.{kind}" in task:
                yield task | {"call": task[f"ansible.builtin.{kind}"]}


def test_entry_points_are_called_so_that_ansible_validates_them() -> None:
    """With its extension, Ansible would find the file but not the specification."""
    called = 0
    for path in [*(ROOT / "playbooks").glob("*.yml"), *(ROOT / "roles").glob("*/tasks/*.yml")]:
        content = yaml.safe_load(path.read_text()) or []
        plays = [play for play in content if "hosts" in play]
        for task in calls([task for play in plays for task in play.get("tasks", [])] or content):
            role = task["call"]["name"].removeprefix("bookface.platform.")
            entry = task["call"].get("tasks_from", "main")
            specs = load(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]
            called += entry in specs
            assert entry.removesuffix(".yml") not in specs or entry in specs, f"{path}: {entry}"
    assert called > 10


def test_the_toolbox_is_called_so_that_ansible_validates_it() -> None:
    specs = load(ROOT / "roles/toolbox/meta/argument_specs.yml")["argument_specs"]
    called = set()
    for path in (ROOT / "roles").glob("*/tasks/*.yml"):
        for task in calls(yaml.safe_load(path.read_text())):
            if task["call"]["name"] == "bookface.platform.toolbox":
                entry = task["call"]["tasks_from"]
                called.add(entry)
                assert (ROOT / "roles/toolbox/tasks" / f"{entry}.yml").exists(), f"{path}: {entry}"
                given = {name for name in task.get("vars", {}) if name.startswith("toolbox_")}
                assert given == set(specs.get(entry, {}).get("options", {})), f"{path}: {entry}"
    shared = {"preflight", "source", "configuration", "leftovers"}
    assert called == shared | {"servers", "drain_check", "drain"}


def test_no_role_uses_a_private_variable_of_the_shared_ones() -> None:
    for path in (ROOT / "roles").rglob("*"):
        if path.suffix in (".yml", ".j2") and {"bookface", "toolbox"}.isdisjoint(path.parts):
            found = re.findall(r"__(?:bookface_(?!image)|toolbox_)\w+", path.read_text())
            assert not found, f"{path}: {found}"


def test_the_lab_provides_the_base_image_that_its_web_image_is_built_on() -> None:
    release = load(ROOT / "roles/bookface_image/defaults/main.yml")["bookface_image_release"]
    lab = load(ROOT / "inventories/lab/group_vars/lab.yml")
    assert repr(release) in lab["lab_base_images"]


def needs(role: str) -> set[str]:
    """All roles that a role depends on."""
    entries = load(ROOT / "roles" / role / "meta/main.yml")["dependencies"]
    names = {entry["role"].removeprefix("bookface.platform.") for entry in entries}
    return names.union(*map(needs, names))


@pytest.mark.parametrize("role", [role for role in ROLES if role != "filters"])
def test_filters_are_loaded_before_the_workers_start(role: str) -> None:
    """Or each of them would load all again."""
    if role == "heal":
        # Itself: a run with nothing to do has no time for tasks on each host.
        first = yaml.safe_load((ROOT / "roles/heal/tasks/prepare.yml").read_text())[0]
        loads = {"name": "bookface.platform.filters", "tasks_from": "load"}
        assert first["ansible.builtin.import_role"] == loads
        return
    assert "filters" in needs(role)


# Tasks that ask a Docker engine, by module or by its program.
ASKS_DOCKER = re.compile(
    r"community\.docker\.|\[docker,|'docker',|- docker\n| docker (?!ps --no-)\w+ "
)
# The lab is made on the engine that the user's client asks; docker_ce names the engine at the task.
OF_THEIR_OWN = {"lab", "docker_ce"}


def asking() -> list[Path]:
    """Task files that ask an engine."""
    return [
        path
        for path in sorted((ROOT / "roles").glob("*/tasks/*.yml"))
        if path.parts[-3] not in OF_THEIR_OWN and ASKS_DOCKER.search(path.read_text())
    ]


@pytest.mark.parametrize("path", asking(), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_the_engine_that_is_asked_is_not_left_to_root_s_client(path: Path) -> None:
    """By the file itself, or by the block of the whole role."""
    whole = path.parent / "main.yml"
    texts = [one.read_text() for one in (path, whole) if one.exists()]
    assert any(re.search(r'environment: "\{\{ \w+_environment \}\}"', text) for text in texts)


def modules(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The modules of this collection that tasks run, with their arguments."""
    if isinstance(node, list):
        for one in node:
            yield from modules(one)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key.startswith("bookface.platform.") and isinstance(value, dict):
                yield key.removeprefix("bookface.platform."), value
            yield from modules(value)


def task_files() -> list[Path]:
    return sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")])


def test_a_load_balancer_is_named_by_both_of_its_sockets() -> None:
    """Without the master's, nobody counts the sessions of workers that a reload has replaced."""
    found = 0
    for path in task_files():
        for name, arguments in modules(yaml.safe_load(path.read_text())):
            if name in ("haproxy_server", "haproxy_default_backend") and "socket" in arguments:
                found += 1
                assert "master_socket" in arguments, f"{path}: {name}"
    assert found > 5


def test_a_variable_of_another_host_has_the_role_s_default() -> None:
    """Defaults of roles are not in hostvars, and this host's own value is not the other one's."""
    given = re.compile(r"hostvars\[[^]]*\]\.(haproxy_\w+) \| default\((.*?)\)")
    specified, found = options("haproxy"), 0
    for path in task_files():
        for variable, default in given.findall(path.read_text()):
            found += 1
            right = ("omit", repr(specified[variable]["default"]))
            assert default in right, f"{path}: {variable}"
    assert found > 5


@pytest.mark.parametrize("role", ROLES)
def test_no_fact_hides_a_variable(role: str) -> None:
    """A fact has precedence, and stays for the rest of the run."""
    directory = ROOT / "roles" / role
    facts = {
        name
        for path in directory.glob("tasks/**/*.yml")
        for task in tasks_of(yaml.safe_load(path.read_text()) or [])
        for name in [*task.get("ansible.builtin.set_fact", {}), task.get("register")]
    }
    variables = {
        name
        for path in [*directory.glob("vars/**/*.yml"), *directory.glob("defaults/**/*.yml")]
        for name in load(path)
    }
    assert not facts & variables


def tasks_of(listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All tasks, those in blocks included."""
    for task in listed:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks_of(task.get(part, []))
