"""Packages are looked up by one command, and only what is missing is installed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.bookface.platform.plugins.action.packages import (
    UNFINISHED,
    ActionModule,
)

Calls = list[tuple[dict[str, Any], bool]]


class Host:
    """A host with some packages, whose apt is asked by the plugin."""

    def __init__(
        self,
        *installed: str,
        refresh: str = "",
        unfinished: str = "",
        held: str = "",
        simulated: str = "",
    ) -> None:
        self.installed = installed
        self.held = held
        self.simulated = simulated
        self.refresh = refresh
        self.unfinished = unfinished
        self.calls: Calls = []
        self.status = 0 if installed else 1

    def run(
        self,
        *names: str,
        check: bool = False,
        repair: bool | None = None,
        variable: bool = False,
        upgrade: bool = False,
    ) -> dict[str, Any]:
        """What the task returns."""
        task = SimpleNamespace(
            args={"name": list(names), "upgrade": upgrade}
            | ({} if repair is None else {"repair": repair}),
            check_mode=check,
            async_val=0,
            environment=None,
            diff=False,
        )
        shell = SimpleNamespace(tmpdir=None, _IS_WINDOWS=False)
        action = ActionModule(
            task=task,
            connection=SimpleNamespace(_shell=shell),
            play_context=None,
            loader=None,
            templar=SimpleNamespace(template=lambda value: value),
            shared_loader_obj=None,
        )

        def query(command: str) -> dict[str, Any]:
            if command == UNFINISHED:
                return {"rc": 1, "stdout": self.unfinished, "stderr": ""}
            if command.startswith("apt-mark showhold "):
                return {"rc": 0, "stdout": self.held, "stderr": ""}
            assert command.split()[-len(names) :] == list(names)
            known = "\n".join([f"installed {name}" for name in self.installed])
            return {"rc": self.status, "stdout": f"{known}\nconfig-files half\n", "stderr": "no"}

        def apt(
            module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]
        ) -> dict[str, Any]:
            self.calls.append((module_args, task.check_mode))
            if module_name == "bookface.platform.packages":
                if not module_args["repair"]:
                    return {"failed": True, "msg": "dpkg was interrupted"}
                return {"changed": True, "repaired": ["half"]}
            assert module_name == "ansible.builtin.apt"
            if "update_cache" in module_args and self.refresh:
                return {"failed": True, "msg": self.refresh}
            changed = "name" in module_args
            if module_args.get("only_upgrade"):
                changed = bool(self.simulated)
            return {"changed": changed, "diff": {"prepared": "new"}, "stdout": self.simulated}

        action._low_level_execute_command = query
        action._execute_module = apt
        result = action.run(None, {"bookface_repair_packages": True} if variable else {})
        assert task.check_mode is check
        return dict(result)


def test_nothing_missing_is_one_command() -> None:
    host = Host("apache2", "php")
    result = host.run("apache2", "php")
    assert (result["changed"], result["missing"], result["pending"]) == (False, [], False)
    assert host.calls == []


def test_only_the_missing_ones_are_installed_from_fresh_lists() -> None:
    host = Host("apache2")
    result = host.run("apache2", "php", "half")
    assert (result["changed"], result["missing"]) == (True, ["php", "half"])
    assert result["pending"] is False
    assert result["diff"] == {"prepared": "new"}
    assert host.calls == [
        ({"update_cache": True}, False),
        ({"name": ["php", "half"], "install_recommends": False}, False),
    ]


def test_a_check_refreshes_the_lists_and_leaves_the_packages_pending() -> None:
    host = Host()
    result = host.run("memcached", check=True)
    assert (result["changed"], result["pending"]) == (True, True)
    assert host.calls == [
        ({"update_cache": True}, False),
        ({"name": ["memcached"], "install_recommends": False}, True),
    ]


def test_a_check_where_nothing_is_missing_has_nothing_pending() -> None:
    assert Host("memcached").run("memcached", check=True)["pending"] is False


HALF = "half-configured docker.io\n"


def test_an_interrupted_dpkg_ends_it_before_anything_is_installed() -> None:
    for asked in ({}, {"repair": False, "variable": True}):
        host = Host("apache2", unfinished=HALF)
        result = host.run("apache2", "php", **asked)
        assert (result["failed"], result["msg"]) == (True, "dpkg was interrupted")
        assert host.calls == [({"repair": False}, False)]
    # Where nothing is missing, nobody looks: it is no business of the role's.
    assert "failed" not in Host("apache2", unfinished=HALF).run("apache2")


def test_an_interrupted_dpkg_is_repaired_if_that_is_wanted() -> None:
    for asked in ({"variable": True}, {"repair": True}):
        host = Host("apache2", unfinished=HALF)
        result = host.run("apache2", "php", **asked)
        assert (result["changed"], result["repaired"]) == (True, ["half"])
        assert [next(iter(arguments)) for arguments, _ in host.calls] == [
            "repair",
            "update_cache",
            "name",
        ]


def test_without_names_it_only_looks() -> None:
    assert Host().run()["changed"] is False
    assert Host(unfinished=HALF).run()["failed"] is True
    host = Host(unfinished=HALF)
    assert host.run(repair=True, check=True)["changed"] is True
    assert host.calls == [({"repair": True}, True)]


def test_lists_that_cannot_be_refreshed_end_it() -> None:
    host = Host(refresh="no route")
    result = host.run("memcached")
    assert (result["failed"], result["msg"]) == (True, "no route")
    assert len(host.calls) == 1


@pytest.mark.parametrize("status", [2, 127])
def test_a_host_without_dpkg_is_refused(status: int) -> None:
    host = Host()
    host.status = status
    with pytest.raises(AnsibleActionFail, match=f"status {status}: no"):
        host.run("memcached")
    assert host.calls == []


SIMULATED = "Inst haproxy [2.6-3] (2.6-4 Debian [amd64])\n"
REFRESH = ({"update_cache": True}, False)
LATEST = {"state": "latest", "only_upgrade": True, "install_recommends": False}


@pytest.mark.parametrize("check", [False, True])
def test_updates_of_what_is_installed_and_not_held(check: bool) -> None:
    host = Host("haproxy", "varnish", held="varnish\n", simulated=SIMULATED)
    result = host.run("haproxy", "varnish", upgrade=True, check=check)
    assert (result["changed"], result["upgrades"]) == (True, ["haproxy 2.6-3 -> 2.6-4"])
    assert result["pending"] is False
    wanted = {"name": ["haproxy"], **LATEST}
    assert host.calls == [REFRESH, (wanted, True), *([] if check else [(wanted, False)])]


def test_without_updates_nothing_changes() -> None:
    host = Host("haproxy")
    result = host.run("haproxy", upgrade=True)
    assert (result["changed"], result["upgrades"]) == (False, [])
    assert host.calls == [REFRESH, ({"name": ["haproxy"], **LATEST}, True)]
    host = Host("haproxy", held="haproxy\n", simulated=SIMULATED)
    assert host.run("haproxy", upgrade=True)["changed"] is False
    assert host.calls == [REFRESH]


def test_what_is_missing_is_installed_beside_updates() -> None:
    result = Host("haproxy").run("haproxy", "php", upgrade=True)
    assert (result["changed"], result["missing"], result["upgrades"]) == (True, ["php"], [])


def test_an_interrupted_dpkg_ends_updates_as_well() -> None:
    assert Host("haproxy", unfinished=HALF).run("haproxy", upgrade=True)["failed"] is True
