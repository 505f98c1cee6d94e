"""What runs of site.yml leave that are killed between writing a file and telling the service."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.commands import killed_at

if TYPE_CHECKING:
    from conftest import Platform


@dataclass(frozen=True)
class Fault:
    """A command that breaks a file and lets the service load it, and the task after the repair."""

    machine: str
    command: str
    task: str


FAULTS = (
    # Answers no longer say which backend they are from.
    Fault(
        "lb1",
        "sed -i '/x-bookface-backend/Id' /etc/haproxy/haproxy.cfg && systemctl reload haproxy",
        "Run HAProxy with this configuration",
    ),
    # Nobody listens where HAProxy expects it.
    Fault(
        "web1",
        "sed -i 's/^Listen .*/Listen 8081/' /etc/apache2/ports.conf && systemctl restart apache2",
        "Run Apache with this configuration",
    ),
    # Everybody may do everything.
    Fault(
        "db1",
        "cd /etc/postgresql/*/main"
        " && sed -i '/^# BEGIN bookface/a host all all samenet trust' pg_hba.conf"
        " && systemctl reload postgresql",
        "Run PostgreSQL with this configuration",
    ),
)


def leave_runs(platform: Platform) -> None:
    """Break, let site.yml repair the files, and kill it before it reaches the services."""

    def leave(fault: Fault) -> None:
        platform.machine(fault.machine).check_output(fault.command)
        killed_at(fault.task, "site.yml", "--limit", fault.machine)

    with ThreadPoolExecutor() as pool:
        list(pool.map(leave, FAULTS))
