"""What real servers on the loopback are made of: the project's own templates and plugins.

Configurations come from the roles' own templates, plans and secrets from the plugins.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from tests.support.errors import HarnessError
from tests.support.paths import COLLECTIONS, PATH, ROLES, ROOT

LOOPBACK = "127.0.0.1"


def plugin(name: str) -> Any:
    """A plugin of the project by its path below plugins/, such as C(filter.index_plan)."""
    if str(COLLECTIONS) not in sys.path:
        sys.path.insert(0, str(COLLECTIONS))
    return importlib.import_module(f"ansible_collections.bookface.platform.plugins.{name}")


def templates(role: str) -> jinja2.Environment:
    """Templates of a role that need nothing but Jinja."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROLES / role / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        autoescape=False,  # noqa: S701  (no HTML)
    )


def render(role: str, template: str, target: Path, variables: Mapping[str, object]) -> None:
    """Write a file as a role does that looks things up while it renders."""
    given = target.with_name("variables.json")
    given.write_text(json.dumps({"ansible_python_interpreter": sys.executable, **variables}))
    sources = [ROLES / "bookface" / "defaults" / "main.yml", ROLES / role / "defaults" / "main.yml"]
    sources += [path for path in [ROLES / role / "vars" / "main.yml"] if path.exists()]
    arguments = {"src": str(ROLES / role / "templates" / template), "dest": str(target)}
    done = subprocess.run(
        [
            "ansible",
            "localhost",
            "--inventory=localhost,",
            "--connection=local",
            "--module-name=ansible.builtin.template",
            f"--args={json.dumps(arguments)}",
            *(f"--extra-vars=@{source}" for source in [*sources, given]),
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": PATH, "PYTHONPATH": str(COLLECTIONS)},
    )
    if done.returncode:
        raise HarnessError(f"{role}'s {template}: {(done.stdout + done.stderr).strip()[-2000:]}")


def haproxy_config(target: Path, variables: Mapping[str, object]) -> str:
    """Write what the role haproxy would, except for what only a service of the system can have."""
    page, origins = target.with_name("maintenance.html"), target.with_name("origin.map")
    page.write_text("<p>Maintenance</p>\n")
    origins.write_text("# None.\n")
    files = {"__haproxy_page_file": str(page), "__haproxy_origins": str(origins)}
    render("haproxy", "haproxy.cfg.j2", target, files | dict(variables))
    text = re.sub(r"^    (?:chroot|user|group) .*\n", "", target.read_text(), flags=re.M)
    target.write_text(text)
    return text
