# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the controller has a collection, and all that it requires."""

from __future__ import annotations

DOCUMENTATION = r"""
name: collection_paths
author:
  - The bookface.platform authors (@bookface-platform)
short_description: Where a collection and those that it requires are installed
version_added: 0.1.0
description:
  - Finds collections as Ansible itself does on the controller, whether they are installed, come
    with the package C(ansible), or are a checkout.
  - Follows the dependencies that their C(MANIFEST.json) or C(galaxy.yml) names.
options:
  _terms:
    description: Names of collections.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show where the collections are
  ansible.builtin.debug:
    msg: "{{ lookup('bookface.platform.collection_paths', 'community.docker') }}"
"""

RETURN = r"""
_raw:
  description: A dictionary of paths by name, of all collections that are needed.
  type: list
  elements: dict
"""

import importlib
import json
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase


def dependencies(path: Path) -> list[str]:
    """Names of the collections that the one in this directory requires."""
    manifest, galaxy = path / "MANIFEST.json", path / "galaxy.yml"
    if manifest.exists():
        found = json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]
    elif galaxy.exists():
        found = yaml.safe_load(galaxy.read_text(encoding="utf-8"))
    else:
        found = {}
    return sorted(found.get("dependencies") or {})


def path_of(name: str, because: str) -> Path:
    """The directory of a collection."""
    try:
        module = importlib.import_module(f"ansible_collections.{name}")
    except ImportError as error:
        raise AnsibleError(
            f"The controller has no collection {name}{because}. Install it, for example with"
            " ansible-galaxy collection install -r requirements.yml. Nothing was changed."
        ) from error
    return Path(next(iter(module.__path__)))


def paths(names: list[str]) -> dict[str, str]:
    """The directories of these collections and of all that they require."""
    found: dict[str, str] = {}
    wanted = [(name, "") for name in names]
    while wanted:
        name, because = wanted.pop()
        if name not in found:
            path = path_of(name, because)
            found[name] = str(path)
            wanted += [(one, f", which {name} requires") for one in dependencies(path)]
    return dict(sorted(found.items()))


class LookupModule(LookupBase):  # type: ignore[misc]
    """The lookup as Ansible calls it."""

    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[dict[str, str]]:
        """See above."""
        self.set_options(var_options=variables, direct=kwargs)
        return [paths(terms)]
