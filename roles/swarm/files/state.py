"""Prints the state of a service of the swarm as JSON. Runs on a manager; argument: its name."""

import json
import sys

import docker

UNDONE = ("updating", "rollback_started")
ROLLED_BACK = ("rollback_started", "rollback_completed", "rollback_paused", "paused")

api = docker.APIClient(version="auto")
service = api.inspect_service(sys.argv[1])
names = {node["ID"]: node["Description"]["Hostname"] for node in api.nodes()}
tasks = api.tasks(
    filters={"service": service["ID"], "desired-state": ["running", "ready", "accepted"]}
)
template = {**service["Spec"]["TaskTemplate"], "Runtime": None}
# A task of the previous version does not count: it is about to be replaced.
# Only the service has the kind of runtime.
current = [task for task in tasks if {**task["Spec"], "Runtime": None} == template]
running = [task for task in current if task["Status"]["State"] == "running"]
wanted = service["Spec"]["Mode"]["Replicated"]["Replicas"]
update = service.get("UpdateStatus") or {}


def line(task):
    """A task in words."""
    status = task["Status"]
    where = names.get(task.get("NodeID"), "no node yet")
    old = "" if task in current else ", of the previous version"
    return where + " " + status["State"] + old + (": " + status["Err"] if status.get("Err") else "")


print(
    json.dumps(
        {
            "wanted": wanted,
            "running": len(running),
            "settled": len(running) == len(tasks) == wanted and update.get("State") not in UNDONE,
            "rolled_back": update.get("State") in ROLLED_BACK,
            "message": update.get("Message", "") if update.get("State") != "completed" else "",
            "nodes": sorted({task["NodeID"] for task in running}),
            "tasks": sorted(line(task) for task in tasks),
        }
    )
)
