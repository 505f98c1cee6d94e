"""One load balancer under test: what it does, and what is done to it."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from testinfra.host import Host

from tests.support.commands import ansible
from tests.support.waiting import until

CONFIG = "/etc/haproxy/haproxy.cfg"


def name_of(host: Host) -> str:
    return str(host.ansible.get_variables()["inventory_hostname"])


def url_of(host: Host) -> str:
    facts = host.ansible.get_variables()
    return f"http://{facts['lab_network']}.{facts['lab_node_number']}/"


def switch(host: Host, backend: str, **options: Any) -> dict[str, Any]:
    """Run the module on this load balancer; its result."""
    arguments = json.dumps({"frontend": "bookface", "backend": backend} | options)
    module = ["-m", "bookface.platform.haproxy_default_backend", "-a", arguments]
    done = ansible("ansible", name_of(host), "--become", *module)
    found = re.search(r"=> (\{.*\})\s*$", done.stdout, re.DOTALL)
    assert found, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(found[1])
    return result


def site(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The role again, on this load balancer."""
    return ansible(
        "ansible-playbook", "molecule/haproxy/converge.yml", "--limit", name_of(host), *arguments
    )


def serving(host: Host, options: str = "") -> str:
    """Name of the backend that answers; C(options) are curl's."""
    headers = host.check_output(f"curl -s -o /dev/null -D - {options} http://127.0.0.1/")
    found = re.search(r"x-bookface-backend: (\S+)", headers, re.IGNORECASE)
    return found[1] if found else "none"


def default_on_disk(host: Host) -> str:
    return host.check_output(f"sudo sed -n 's/^ *default_backend //p' {CONFIG}").strip()


def servers_node(command: str) -> None:
    """Run a shell command where the servers are."""
    done = ansible("ansible", "servers1", "--become", "-m", "ansible.builtin.shell", "-a", command)
    assert done.returncode == 0, done.stdout


def show(host: Host, what: str) -> str:
    """What HAProxy's socket says of itself; nothing while there is none."""
    asks = (
        "import socket;s=socket.socket(socket.AF_UNIX);s.connect('/run/haproxy/admin.sock');"
        f"s.sendall(b'show {what}\\n');print(s.makefile().read())"
    )
    done = host.run(f'sudo python3 -c "{asks}"')
    return str(done.stdout) if done.rc == 0 else ""


def worker(host: Host) -> str:
    """Process of the worker that new connections meet."""
    found = re.search(r"^Pid: (\d+)$", show(host, "info"), re.MULTILINE)
    return found[1] if found else ""


def again(host: Host, command: str) -> None:
    """``reload`` or ``restart`` HAProxy, and wait until its next worker answers."""
    before = worker(host)
    host.check_output(f"sudo systemctl reset-failed haproxy; sudo systemctl {command} haproxy")
    until(lambda: worker(host) not in ("", before), f"another worker after {command}", 30)


def wait_for_status(host: Host, server: str, status: str) -> None:
    """Wait until HAProxy shows a server in a state."""

    def shown() -> bool:
        lines = show(host, "stat").splitlines()
        return any(f",{server}," in line and f",{status}," in line for line in lines)

    until(shown, f"{server} is {status}", 30)


def begin_at(host: Host, backend: str) -> None:
    """All traffic goes to this backend, live and on disk, whatever the test before has left."""
    found = {default_on_disk(host), *(cohort(host, number) for number in (0, 50, 99))}
    if found != {backend}:
        result = switch(host, backend)
        assert result["changed"], result


def cohort(host: Host, number: int) -> str:
    """Name of the backend that answers a client of this cohort."""
    return serving(host, f"-H 'Cookie: bookface_cohort={number}'")
