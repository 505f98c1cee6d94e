"""The module service, against a real systemd."""

from __future__ import annotations

from tests.support.commands import ansible


def test_a_service_runs_with_its_files() -> None:
    done = ansible("ansible-playbook", "molecule/haproxy/changes/service.yml")
    assert done.returncode == 0, done.stdout + done.stderr
