"""A cloud that cannot be asked, or an inventory without hosts, never ends a run well."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from described import ROOT, Site, credentials
from faulty import faulty

from tests.support.commands import failures, recap

Done = subprocess.CompletedProcess[str]
# What only looks, and what changes something; with the variables that each needs.
PLAYBOOKS = {
    "site.yml": "loadbalancers",
    "switch_backend.yml": "loadbalancers",
    "playbooks/status.yml": "loadbalancers",
    "playbooks/drain.yml": "loadbalancers",
    "playbooks/update.yml": "loadbalancers or docker_hosts or swarm_managers or swarm_workers",
    "playbooks/heal.yml": "loadbalancers or legacy_web",
    "playbooks/maintenance.yml": "docker_hosts or swarm_managers or swarm_workers",
    "playbooks/topology.yml": "loadbalancers or legacy_web",
    "playbooks/indexes.yml": "databases or docker_hosts or swarm_managers or legacy_web",
    "playbooks/backup.yml": "databases",
    "playbooks/restore.yml": "databases",
    "playbooks/autoscale.yml": "swarm_managers",
    "playbooks/deploy.yml": "docker_hosts or swarm_managers",
    "rotate.yml": "legacy_web or docker_hosts or swarm_managers",
    "swarm_node.yml": "swarm_managers",
    "playbooks/lab.yml": "lab",
}
# What else is refused without an inventory. A new playbook has to be in one of these.
OTHERS = {
    "playbooks/provision.yml": "openstack_vms is empty",
    "playbooks/floating_address.yml": "openstack_vms is empty",
    "playbooks/deprovision.yml": "The inventory names no cloud and platform",
    "playbooks/rotate_web.yml": "This is a part of rotate.yml",
    "playbooks/watch.yml": "The inventory has no host in watchers",
}


def played(inventory: Path, playbook: str, *arguments: str) -> Done:
    """A playbook on an inventory of the test's own, whose machines are not there."""
    return subprocess.run(
        ["ansible-playbook", "-i", str(inventory), playbook, *arguments],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def told(done: Done) -> str:
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("playbook", ["site.yml", "switch_backend.yml", "playbooks/status.yml"])
def test_a_wrong_password_ends_a_run(site: Site, playbook: str) -> None:
    with credentials(site, {"auth": {"password": "another"}}) as environment:
        done = site.execute(site.command("ansible-playbook", playbook), **environment)
    assert done.returncode != 0
    assert "lab: the cloud refused the credentials: a wrong user or password" in told(done)
    assert "PLAY" not in done.stdout
    assert "Traceback" not in told(done)


def test_a_wrong_password_ends_a_run_without_our_configuration(site: Site) -> None:
    """As where the collection is installed: Ansible then goes on without hosts."""
    with credentials(site, {"auth": {"password": "another"}}) as environment:
        lenient = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "false"}
        command = site.command("ansible-playbook", "playbooks/status.yml")
        done = site.execute(command, **environment, **lenient)
    assert done.returncode != 0
    (_host, message), *_ = failures(done.stdout)
    assert "The inventory has no host in loadbalancers" in message
    assert str(site.directory / "inventory") in message


def test_every_playbook_demands_its_machines(tmp_path: Path) -> None:
    """Whatever tags are asked for."""
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"hosts": {"other1": {}}}}))
    says = {one: f"The inventory has no host in {groups}" for one, groups in PLAYBOOKS.items()}
    for playbook, message in (says | OTHERS).items():
        tags = ["--tags", "report"] if playbook in PLAYBOOKS else []
        done = played(inventory, playbook, *tags)
        assert done.returncode != 0, playbook
        assert message in told(done), playbook


def test_no_playbook_is_left_out() -> None:
    known = {Path(playbook).name for playbook in PLAYBOOKS | OTHERS}
    assert {one.name for one in (ROOT / "playbooks").glob("*.yml")} == known


@pytest.mark.parametrize("playbook", ["status", "topology"])
def test_machines_of_which_none_answers_end_a_run(tmp_path: Path, playbook: str) -> None:
    inventory = tmp_path / "hosts.yml"
    lb1 = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    groups = {"loadbalancers": {"hosts": {"lb1": lb1}}}
    inventory.write_text(json.dumps({"all": {"children": groups}}))
    done = played(inventory, f"playbooks/{playbook}.yml")
    assert done.returncode != 0
    assert "Connection refused" in told(done)


@pytest.mark.parametrize(
    ("playbook", "confirmed", "says"),
    [
        ("site.yml", "db9", "of openstack_vms are not in the inventory: web2, lb2."),
        # Away from web2, on all load balancers.
        (
            "switch_backend.yml",
            "web2",
            "of openstack_vms are not in the inventory: lb2.",
        ),
        ("switch_backend.yml", "lb2", "WARNING: these machines of openstack_vms are not in the"),
        ("switch_backend.yml", "web2,lb2", ""),
        ("playbooks/status.yml", "", "WARNING: these machines of openstack_vms are not in the"),
    ],
)
def test_a_described_machine_that_is_missing_is_refused_or_told(
    tmp_path: Path, playbook: str, confirmed: str, says: str
) -> None:
    inventory = tmp_path / "hosts.yml"
    closed = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    groups = {"loadbalancers": {"hosts": {"lb1": closed}}}
    described = {
        "openstack_vms": [
            {"name": "lb1", "groups": ["loadbalancers"]},
            {"name": "web2", "groups": ["legacy_web"]},
            {"name": "lb2", "groups": ["loadbalancers"]},
        ]
    }
    inventory.write_text(json.dumps({"all": {"children": groups, "vars": described}}))
    done = played(inventory, playbook, "-e", f"target=docker confirm_missing={confirmed}")
    assert done.returncode != 0
    assert says in told(done)
    assert ("of openstack_vms are not" in told(done)) == bool(says)
    # Whether a load balancer was asked.
    assert ("lb1" in recap(done.stdout)) == (not says.startswith("of "))


@pytest.mark.parametrize(("listed", "code"), [(["lb1"], 2), (["lb1", "web1"], 0)])
def test_machines_that_the_refreshed_inventory_lacks_end_a_provisioning(
    tmp_path: Path, listed: list[str], code: int
) -> None:
    inventory, play = tmp_path / "hosts.yml", tmp_path / "play.yml"
    inventory.write_text(json.dumps({"openstack_platform": {"hosts": dict.fromkeys(listed)}}))
    told_before = {
        "__openstack_machines": [{"name": name} for name in ("lb1", "web1", "broken1")],
        "__openstack_unfit": ["broken1"],
        "__openstack_plan": {"wrong": [], "make": {"server": []}},
        "__openstack_pending": [],
    }
    role = {"name": "bookface.platform.openstack", "tasks_from": "sound.yml"}
    task = {"ansible.builtin.include_role": role}
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    done = played(inventory, str(play), "-e", json.dumps(told_before))
    assert done.returncode == code, told(done)
    assert ("does not have web1, so nothing has waited" in told(done)) == bool(code)


def with_two_databases(directory: Path, *arguments: str) -> Done:
    """A playbook on machines that are not asked."""
    inventory = directory / "hosts.yml"
    groups = {
        "databases": {"hosts": {"db1": {}, "db2": {}}},
        "loadbalancers": {"hosts": {"lb1": {}}},
    }
    inventory.write_text(json.dumps({"all": {"children": groups}}))
    return played(inventory, *arguments)


@pytest.mark.parametrize(
    ("playbook", "says"),
    [
        (
            "site.yml",
            "Set bookface_db_host in the variables of all hosts to the address of the one",
        ),
        (
            "playbooks/backup.yml",
            "Name the machine of the one that is meant: -e database_host=db1.",
        ),
        (
            "playbooks/restore.yml",
            "Name the machine of the one that is meant: -e database_host=db1.",
        ),
    ],
)
def test_of_two_databases_nobody_guesses(tmp_path: Path, playbook: str, says: str) -> None:
    done = with_two_databases(tmp_path, playbook)
    assert done.returncode != 0
    assert "The group databases has db1, db2." in told(done)
    assert says in told(done)


@pytest.mark.parametrize(
    ("playbook", "named", "says"),
    [
        ("backup", "database_host=db9", "database_host is db9, expected one of db1, db2. Nothing"),
        ("restore", "database_host=lb1", "database_host is lb1, expected one of db1, db2. Nothing"),
        ("indexes", "indexes_from=db9", "indexes_from is db9, expected one of db1, db2, lb1, or"),
    ],
)
def test_a_machine_that_is_named_has_to_be_there(
    tmp_path: Path, playbook: str, named: str, says: str
) -> None:
    done = with_two_databases(tmp_path, f"playbooks/{playbook}.yml", "-e", named)
    assert done.returncode != 0
    assert says in told(done)


def test_two_hosts_that_watch_are_refused(tmp_path: Path) -> None:
    """Each would mend and tell everything. One that is to end may stay until it has."""
    inventory = tmp_path / "hosts.yml"
    nowhere = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    for old, refused in (({}, True), ({"watch_state": "absent"}, False)):
        groups = {"watchers": {"hosts": {"new": nowhere, "old": nowhere | old}}}
        inventory.write_text(json.dumps({"all": {"children": groups}}))
        done = played(inventory, "playbooks/watch.yml")
        assert done.returncode != 0
        assert ("watchers has new, old; expected one host" in told(done)) is refused


def test_a_site_whose_database_is_elsewhere_has_no_group_of_it(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    groups = {"loadbalancers": {"hosts": {"lb1": {}}}}
    inventory.write_text(json.dumps({"all": {"hosts": {"localhost": {}}, "children": groups}}))
    done = played(inventory, "site.yml", "--limit", "localhost")
    assert done.returncode == 0, told(done)


def test_a_cloud_that_stays_overloaded_is_reported_in_its_words(site: Site) -> None:
    done = asked(site, "/limits", 503)
    assert done.returncode != 0
    assert "lab: the cloud is overloaded or under maintenance" in told(done)
    assert "503" in told(done)
    assert "Traceback" not in told(done)


@pytest.mark.parametrize(("status", "times"), [(429, 2), (403, 1000)])
def test_a_request_is_repeated_and_quotas_are_not_needed(
    site: Site, status: int, times: int
) -> None:
    done = asked(site, "/limits", status, times)
    assert done.returncode == 0, told(done)
    assert "m1.small" in done.stdout


def asked(site: Site, pattern: str, status: int, times: int = 1000) -> Done:
    """What the module that looks at the cloud returns, while Nova has a fault."""
    with (
        faulty(f"http://127.0.0.1:{site.lab.ports['nova']}", pattern, status, times) as address,
        credentials(site, {"compute_endpoint_override": f"{address}/v2.1"}) as environment,
    ):
        module = ["-m", "bookface.platform.openstack_platform_info", "-a", "cloud=lab"]
        return site.execute(["ansible", "localhost", *module], **environment)


def test_what_is_no_openstack_is_reported_as_that(site: Site) -> None:
    done = asked(site, "/limits", 200)
    assert done.returncode != 0
    assert "lab: what answers at the cloud's endpoint is not OpenStack" in told(done)
    assert "Traceback" not in told(done)


def test_an_overloaded_cloud_is_no_empty_inventory(site: Site) -> None:
    with (
        faulty(f"http://127.0.0.1:{site.lab.ports['nova']}", "/servers", 429) as address,
        credentials(site, {"compute_endpoint_override": f"{address}/v2.1"}) as environment,
    ):
        # An earlier test may have had an answer.
        command = site.command("ansible-inventory", "--graph", "--flush-cache")
        done = site.execute(command, **environment)
    assert done.returncode != 0
    assert "lab: the cloud limits how many requests it answers" in told(done)
    assert "Traceback" not in told(done)
