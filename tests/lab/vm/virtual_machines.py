#!/usr/bin/env python3
"""Virtual machines with a kernel of their own, as ordinary processes (user-mode Linux, no KVM).

    python -m tests.lab.vm.virtual_machines COMMAND

    disks [TREE...]    make what is missing of the disks: plain, docker, front
    up LAB             make and start the machines that the file LAB describes
    down LAB           remove them, with their network and disks
    start LAB NAME...  power on
    cut LAB NAME...    cut the power
    stop LAB NAME...   shut down in order

LAB is JSON:

    {"name": "bookface-vm", "network": "172.29.91", "user": "debian", "directory": ..., "logs": ...,
     "machines": [{"name": "vm1", "number": 11, "tree": "docker", "user_data": FILE}]}

Each machine has a copy-on-write file over the disk of its tree; a tap on the bridge of a network of
the Docker engine, which gives it the way out; and a second disk, where cloud-init finds name, key,
address and user data. Machines are known by pid files; no other process is touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.engine import client, docker
from tests.support.errors import HarnessError
from tests.support.waiting import until

RECIPE = Path(__file__).resolve().parent / "disk"
LABS = Path.home() / ".cache/bookface-platform"
CACHE = LABS / "vm-disks"
BASE = "bookface/debian:bookworm"
TREES = ("plain", "docker", "front")
# Of the file system. The file has holes where nothing is.
DISK_SIZE = "6G"
LABEL = "platform.bookface.lab"
BOOT_SECONDS = 180
STOP_SECONDS = 90


class LabError(HarnessError):
    """What is wrong, and what to do about it."""


def run(*command: str, give: bytes | None = None) -> str:
    """Output of a command; where it fails, its own words."""
    done = subprocess.run(command, check=False, capture_output=True, input=give)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {(done.stderr or done.stdout).decode().strip()}")
    return done.stdout.decode()


def as_root(*command: str) -> str:
    """The same, as root."""
    if os.geteuid() == 0:
        return run(*command)
    if not shutil.which("sudo"):
        raise LabError(f"{' '.join(command)} wants root: run this as root, or install sudo.")
    return run("sudo", "--non-interactive", *command)


# --- Disks: made once for a recipe and a base, kept in the cache ---------------------------------


class Disks:
    """The disks of one recipe on one base image."""

    def __init__(self) -> None:
        base = docker("image", "inspect", "--format", "{{.Id}}", BASE)
        content = hashlib.sha256(base.encode())
        for file in sorted(path for path in RECIPE.rglob("*") if path.is_file()):
            content.update(f"{file.relative_to(RECIPE)} {file.stat().st_mode}".encode())
            content.update(file.read_bytes())
        self.tag = content.hexdigest()[:12]
        self.directory = CACHE / self.tag
        self.kernel = self.directory / "linux"

    def disk(self, tree: str) -> Path:
        """The file; it may be still to come."""
        return self.directory / f"{tree}.img"

    def make(self, *trees: str) -> None:
        """Make what is missing."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self.kernel.exists():
            self._build("tools")
            run(*self.tool("cp", "/usr/bin/linux.uml", "/cache/linux"))
        for tree in trees:
            if not self.disk(tree).exists():
                self._build(tree)
                self._pour(tree)
        used = "".join(boot.read_text() for boot in LABS.glob("*/machines/*/boot"))
        for old in set(CACHE.iterdir()) - {self.directory}:
            # Of an older recipe, and of no machine any more.
            if str(old) not in used:
                as_root("rm", "-r", str(old))

    def tool(self, *command: str) -> list[str]:
        """The command line that runs a tool of the recipe, with the cache at /cache."""
        volume = f"--volume={self.directory}:/cache"
        image = self._image("tools")
        return [*client(), "run", "--rm", "-i", "--network=none", volume, image, *command]

    def _image(self, tree: str) -> str:
        return f"bookface/vm-{tree}:{self.tag}"

    def _build(self, tree: str) -> None:
        """The tree of files, as an image."""
        print(f"disk {tree}: collecting its files", flush=True)
        docker(
            *("build", "--quiet", "--target", tree, "--build-arg", f"BASE={BASE}"),
            *("--label", f"{LABEL}=image", "--tag", self._image(tree), str(RECIPE)),
        )

    def _pour(self, tree: str) -> None:
        """From the image onto the disk, without a copy on the way."""
        print(f"disk {tree}: writing it", flush=True)
        container = docker("create", self._image(tree), "true")
        try:
            export = subprocess.Popen([*client(), "export", container], stdout=subprocess.PIPE)
            with export:
                made = subprocess.run(
                    self.tool("make_disk", f"/cache/{tree}.img", DISK_SIZE),
                    stdin=export.stdout,
                    check=False,
                    capture_output=True,
                )
            if made.returncode or export.returncode:
                raise LabError(f"the disk {tree} was not made: {made.stderr.decode().strip()}")
        finally:
            docker("rm", container)


# --- Machines ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """What one machine is made of."""

    name: str
    number: int
    tree: str = "plain"
    memory: int = 1024
    # A file for cloud-init: configuration, or a script. None: nothing.
    user_data: str | None = None


class Lab:
    """Some machines on a network of their own."""

    def __init__(self, description: Path) -> None:
        told = json.loads(description.read_text())
        self.name: str = told["name"]
        self.network: str = told["network"]
        self.user: str = told["user"]
        self.directory = Path(told["directory"])
        self.logs = Path(told["logs"])
        self.machines = {facts["name"]: Machine(**facts) for facts in told["machines"]}
        # An interface's name has 15 letters at most.
        self.bridge = "bk-" + self.network.rpartition(".")[2]
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    @classmethod
    def of(cls, name: str) -> Lab:
        """The lab of that name, as its scenario has described it."""
        return cls(LABS / name / "machines.json")

    # --- what there is of one machine

    def home(self, name: str) -> Path:
        """Directory of all its files."""
        return self.directory / "machines" / name

    def address(self, name: str) -> str:
        """Its address on the lab's network."""
        return f"{self.network}.{self.machines[name].number}"

    def tap(self, name: str) -> str:
        """Its network interface, as this machine sees it."""
        return f"{self.bridge}-{self.machines[name].number}"

    def runs(self, name: str) -> bool:
        """Whether it has power."""
        if name in self._started:
            # While it starts anew in place, for a moment it has no words to be known by.
            return self._started[name].poll() is None
        return self._process(name) > 0

    def is_off(self, name: str) -> bool:
        """Whether it has none."""
        return not self.runs(name)

    def _process(self, name: str) -> int:
        """Number of its process, 0 without one. The number alone may have gone to another."""
        with contextlib.suppress(OSError, ValueError):
            number = int((self.home(name) / "pid").read_text())
            words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
            if f"umid={self.name}-{name}".encode() in words:
                return number
        return 0

    # --- all of them

    def up(self) -> None:
        """Make and start what is missing; returns once all let users in."""
        self.make()
        self.start(*self.machines)

    def make(self) -> None:
        """Disks, network and seeds, as far as they are missing."""
        self._check()
        disks = Disks()
        disks.make(*sorted({machine.tree for machine in self.machines.values()}))
        if not docker("network", "ls", "--quiet", "--filter", f"name=^{self.name}$"):
            docker(
                *("network", "create", "--subnet", f"{self.network}.0/24"),
                *("--opt", f"com.docker.network.bridge.name={self.bridge}"),
                *("--label", f"{LABEL}={self.name}", self.name),
            )
        for machine in self.machines.values():
            if not self.home(machine.name).exists():
                self._make(machine, disks)

    def down(self) -> None:
        """Remove all."""
        for name in self.machines:
            self.cut(name)
            if Path(f"/sys/class/net/{self.tap(name)}").exists():
                as_root("ip", "link", "delete", self.tap(name))
        shutil.rmtree(self.directory / "machines", ignore_errors=True)
        if shutil.which("docker"):
            with contextlib.suppress(HarnessError):
                docker("network", "rm", self.name)

    def _check(self) -> None:
        """What this machine must have."""
        tun = Path("/dev/net/tun")
        if not tun.exists():
            raise LabError(f"{tun} is missing: modprobe tun, or run this where it is allowed.")
        if not os.access(tun, os.R_OK | os.W_OK):
            raise LabError(f"{tun} may not be opened by this account: run this as root.")
        for tool in ("ip", "ssh"):
            if not shutil.which(tool):
                raise LabError(f"{tool} is missing: apt-get install iproute2 openssh-client.")

    # --- one machine

    def _make(self, machine: Machine, disks: Disks) -> None:
        """Its disk, its seed, its interface."""
        home = self.home(machine.name)
        home.mkdir(parents=True)
        (home / "boot").write_text(f"{disks.kernel}\n{disks.disk(machine.tree)}\n")
        os.mkfifo(home / "console")
        seed = subprocess.run(
            disks.tool("make_seed"), input=self._seed(machine), check=False, capture_output=True
        )
        if seed.returncode:
            raise LabError(f"the seed of {machine.name} was not made: {seed.stderr.decode()}")
        (home / "seed.iso").write_bytes(seed.stdout)
        tap = self.tap(machine.name)
        as_root("ip", "tuntap", "add", "dev", tap, "mode", "tap", "user", str(os.geteuid()))
        as_root("ip", "link", "set", tap, "master", self.bridge, "up")

    def _seed(self, machine: Machine) -> bytes:
        """What a cloud tells the machine, as tar. Only the user data is the user's."""
        key = (self.directory / "id_ed25519.pub").read_text().strip()
        servers = " ".join(f"nameserver {server}\\n" for server in name_servers())
        port = {
            "type": "static",
            "address": f"{self.address(machine.name)}/24",
            "gateway": f"{self.network}.1",
        }
        files = {
            "user-data": Path(machine.user_data).read_text() if machine.user_data else "",
            "meta-data": json.dumps(
                {
                    "instance-id": f"{self.name}-{machine.name}-{time.time_ns()}",
                    "local-hostname": machine.name,
                    "public-keys": [key],
                }
            ),
            "vendor-data": "#cloud-config\n"
            + json.dumps({"bootcmd": [["sh", "-c", f"printf '{servers}' > /etc/resolv.conf"]]}),
            "network-config": json.dumps(
                {
                    "version": 1,
                    "config": [{"type": "physical", "name": "vec0", "subnets": [port]}],
                }
            ),
        }
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            for name, text in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        return packed.getvalue()

    def power_on(self, name: str) -> None:
        """Start its process."""
        if self.runs(name):
            return
        home, machine = self.home(name), self.machines[name]
        kernel, disk = (home / "boot").read_text().split()
        command = [
            kernel,
            f"umid={self.name}-{name}",
            # Here: a socket's path has 107 letters at most.
            "uml_dir=.",
            f"mem={machine.memory}M",
            f"ubda={home}/disk.cow,{disk}",
            f"ubdbr={home}/seed.iso",
            *("root=/dev/ubda", "rw", "quiet"),
            f"vec0:transport=tap,ifname={self.tap(name)},depth=128,gro=1,"
            f"mac=02:bf:00:00:{int(self.network.rpartition('.')[2]):02x}:{machine.number:02x}",
            *("con0=fd:0,fd:1", "con=null"),
        ]
        self.logs.mkdir(parents=True, exist_ok=True)
        # Open for writing as well: its console never ends.
        console = os.open(home / "console", os.O_RDWR)
        with (self.logs / f"{self.name}-{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=home,
                stdin=console,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": memory_directory(machine.memory)},
                # So that a power cut finds all that it consists of.
                start_new_session=True,
            )
        os.close(console)
        self._started[name] = process
        (home / "pid").write_text(f"{process.pid}\n")

    def lets_in(self, name: str) -> bool:
        """Whether SSH answers."""
        if not self.runs(name):
            log = self.logs / f"{self.name}-{name}.log"
            raise LabError(f"{name} has ended while it was starting; {log} says why.")
        with (
            contextlib.suppress(OSError),
            socket.create_connection((self.address(name), 22), timeout=2) as connection,
        ):
            return connection.recv(4) == b"SSH-"
        return False

    def start(self, *names: str) -> None:
        """Power on; returns once all let users in."""
        for name in names:
            self.power_on(name)
        for name in names:
            until(partial(self.lets_in, name), f"SSH of {name}", BOOT_SECONDS)

    def cut(self, *names: str) -> None:
        """Cut the power: nothing is written, nobody is told."""
        for name in names:
            if number := self._process(name):
                self._hang_up(name)
                os.killpg(number, signal.SIGKILL)
                until(partial(self.is_off, name), f"{name} has no power", 10)

    def stop(self, *names: str) -> None:
        """Shut down in order."""
        for name in names:
            if self.runs(name):
                self.ssh(name, "sudo systemctl poweroff", check=False)
                self._hang_up(name)
        for name in names:
            until(partial(self.is_off, name), f"{name} is off", STOP_SECONDS)

    def ssh(self, name: str, command: str, check: bool = True) -> str:
        """Output of a command on the machine, as its user."""
        done = subprocess.run(
            [*self._ssh(name), command], check=False, capture_output=True, text=True
        )
        if check and done.returncode:
            raise LabError(f"{command} on {name}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def _ssh(self, name: str, *options: str) -> list[str]:
        """SSH to a machine. The connection is kept for a while: each new one costs a second."""
        return [
            *("ssh", "-i", str(self.directory / "id_ed25519"), "-o", "BatchMode=yes"),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *("-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10"),
            *("-o", "ControlMaster=auto", "-o", "ControlPersist=60"),
            *("-o", f"ControlPath={self.home(name)}/ssh", *options),
            f"{self.user}@{self.address(name)}",
        ]

    def _hang_up(self, name: str) -> None:
        """End the connection that is kept. Nobody would tell it that the other side is gone."""
        subprocess.run(self._ssh(name, "-O", "exit"), check=False, capture_output=True)


def name_servers() -> list[str]:
    """Those of this machine that answer others than itself."""
    for file in ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"):
        if Path(file).exists():
            lines = [line.split() for line in Path(file).read_text().splitlines()]
            found = [words[1] for words in lines if words[:1] == ["nameserver"]]
            return [server for server in found if not server.startswith(("127.", "::1"))]
    return []


def memory_directory(megabytes: int) -> str:
    """Where the machine's memory is a file: in memory, where there is room for it."""
    shm = Path("/dev/shm")  # noqa: S108  (a file that its process unlinks at once)
    if shm.is_dir() and shutil.disk_usage(shm).free > 2 * megabytes * 2**20:
        return str(shm)
    return str(CACHE)


def main() -> int:
    """Do what the command line says."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["disks", "up", "down", "start", "cut", "stop"])
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    try:
        if options.what == "disks":
            disks = Disks()
            disks.make(*(options.words or TREES))
            print(disks.directory)
            return 0
        lab = Lab(Path(options.words[0]))
        getattr(lab, options.what)(*options.words[1:])
    except HarnessError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
