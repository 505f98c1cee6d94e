"""Shows whether nodes reach each other on the ports of a swarm, also before anything of it listens.

    ports.py listen ADDRESS SECONDS tcp/7946 udp/7946 ...   in the background, answering UDP
    ports.py ask NAME=ADDRESS=tcp/7946 ...

Prints JSON: the process that listens, with ports that are in use; or who was not reached, and why.
"""

import json
import os
import select
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
PATIENCE, TRIES = 1, 3


def opened(address, port):
    """A socket for a port such as tcp/7946, and where to bind or connect it."""
    kind, number = port.split("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.socket(family, KINDS[kind]), (address, int(number))


def bound(address, port, end):
    """A socket that listens; none if something else does.

    What a killed run has left ends meanwhile, before its last port of TCP is given up.
    """
    while True:
        one, place = opened(address, port)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(port.startswith("tcp")))
            one.bind(place)
            if port.startswith("tcp"):
                one.listen()
        except OSError:
            one.close()
            if time.monotonic() > end or port.startswith("udp"):
                return None
            time.sleep(1)
        else:
            return one


def listen(address, seconds, *ports):
    """Listen in a process of its own, which ends by itself if nobody ends it."""
    end = time.monotonic() + float(seconds)
    found = {port: bound(address, port, end) for port in ports}
    process = os.fork()
    if process:
        return {"process": process, "busy": [port for port, one in found.items() if one is None]}
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    end, clients = time.monotonic() + float(seconds), []
    while time.monotonic() < end:
        for one in select.select([one for one in found.values() if one], [], [], 1)[0]:
            if one.type == socket.SOCK_STREAM:
                # Whoever closes first keeps the port for a while: that is left to the client.
                clients.append(one.accept())
            else:
                one.sendto(*one.recvfrom(64))
    os._exit(0)


def reached(target):
    """Empty if somebody answers there, or else what happened."""
    _name, address, port = target.split("=")
    one, place = opened(address, port)
    with one:
        one.settimeout(PATIENCE * TRIES if port.startswith("tcp") else PATIENCE)
        try:
            one.connect(place)
            if port.startswith("tcp"):
                return ""
            for attempt in range(TRIES):
                one.send(b"swarm?")
                try:
                    one.recv(64)
                except TimeoutError:
                    if attempt == TRIES - 1:
                        raise
                else:
                    return ""
        except TimeoutError:
            return f"no answer in {PATIENCE * TRIES} s"
        except OSError as error:
            return os.strerror(error.errno)


def ask(*targets):
    """Ask all of them at once."""
    with ThreadPoolExecutor(len(targets) or 1) as pool:
        answers = dict(zip(targets, pool.map(reached, targets)))
    return {target: why for target, why in answers.items() if why}


print(json.dumps({"listen": listen, "ask": ask}[sys.argv[1]](*sys.argv[2:])))
