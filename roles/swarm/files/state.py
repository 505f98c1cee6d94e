"""Prints the state of a service of the swarm as JSON, once it is as wished or the time is over.

Runs on a manager. Arguments: its name, for how many seconds to wait, and for what: until it is
"begun", when a task of the present version runs, "settled", when all do, or "placed", when each
runs or the scheduler has found no node for it.
"""

import json
import sys
import time

import docker

UNDONE = ("updating", "rollback_started")
ROLLED_BACK = ("rollback_started", "rollback_completed", "rollback_paused", "paused")


def look(api, name):
    """The state of the service."""
    service = api.inspect_service(name)
    names = {node["ID"]: node["Description"]["Hostname"] for node in api.nodes()}
    every = api.tasks(filters={"service": service["ID"]})
    tasks = [one for one in every if one["DesiredState"] in ("running", "ready", "accepted")]
    # Only the service has the kind of runtime. A task is not replaced because the rules for
    # its place have changed, if it has one that they allow.
    apart = {"Runtime": None, "Placement": None}
    template = {**service["Spec"]["TaskTemplate"], **apart}
    # A task of the previous version does not count: it is about to be replaced.
    current = [task for task in tasks if {**task["Spec"], **apart} == template]
    running = [task for task in current if task["Status"]["State"] == "running"]
    # One on each node that may run it: Docker makes these tasks all at once.
    replicated = service["Spec"]["Mode"].get("Replicated")
    wanted = replicated["Replicas"] if replicated else max(len(tasks), 1)
    update = service.get("UpdateStatus") or {}
    # What has failed before the last change says nothing about it.
    began = update.get("StartedAt") or service["CreatedAt"]
    failed = [
        one
        for one in every
        if one["Status"]["State"] in ("failed", "rejected") and one["Status"]["Timestamp"] >= began
    ]
    last = max(failed, key=lambda one: one["Status"]["Timestamp"], default=None)

    def line(task):
        """A task in words."""
        status = task["Status"]
        where = names.get(task.get("NodeID"), "no node yet")
        old = "" if task in current else ", of the previous version"
        error = ": " + status["Err"] if status.get("Err") else ""
        return where + " " + status["State"] + old + error

    def ended(task):
        """How a task has ended, in words."""
        status = task["Status"]
        code = (status.get("ContainerStatus") or {}).get("ExitCode")
        how = status["State"] + (f" with exit code {code}" if code else "")
        why = status.get("Err") or status.get("Message", "")
        return names.get(task.get("NodeID"), "no node") + f" {how}: {why}"

    return {
        "wanted": wanted,
        "running": len(running),
        "serving": sum(task["Status"]["State"] == "running" for task in tasks),
        "begun": bool(running),
        "settled": len(running) == len(tasks) == wanted and update.get("State") not in UNDONE,
        "placed": all(
            task["Status"]["State"] == "running"
            or (task["Status"]["State"] == "pending" and task["Status"].get("Err"))
            for task in tasks
        ),
        "rolled_back": update.get("State") in ROLLED_BACK,
        "message": update.get("Message", "") if update.get("State") != "completed" else "",
        # The node of each.
        "nodes": sorted(task["NodeID"] for task in running),
        "tasks": sorted(line(task) for task in tasks),
        # The last one that has failed: Docker keeps some of them.
        "failed": {"id": last["ID"], "task": ended(last)} if last else {},
    }


def wait(name, seconds, wished):
    """The state once the service is as wished, or else the last one."""
    end = time.monotonic() + seconds
    while True:
        late = time.monotonic() >= end
        try:
            api = docker.APIClient(version="auto", **docker.utils.kwargs_from_env())
            state = look(api, name)
            if late or state[wished]:
                return state
        # While managers choose another leader, none of them answers.
        except (OSError, docker.errors.DockerException) as error:
            if late:
                sys.exit(str(error))
        time.sleep(1)


print(json.dumps(wait(sys.argv[1], float(sys.argv[2]), sys.argv[3])))
