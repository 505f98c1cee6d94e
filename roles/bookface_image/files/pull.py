"""Pulls an image if the registry has it; prints pulled or absent. Argument: its name with tag."""

import sys

import docker

api = docker.APIClient(version="auto", **docker.utils.kwargs_from_env())
try:
    for progress in api.pull(sys.argv[1], stream=True, decode=True):
        if "error" in progress:
            sys.exit(progress["error"])
    print("pulled")
except docker.errors.NotFound:
    # Status 404: the registry has no such image, or none that this account may see.
    print("absent")
except docker.errors.APIError as error:
    sys.exit(error.explanation or str(error))
