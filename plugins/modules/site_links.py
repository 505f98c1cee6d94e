#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: site_links
short_description: Link the files of a release into the directory that a web server serves
version_added: 0.1.0
description:
  - Makes a symbolic link for each file of a release in the document root. If O(release) leads
    through a link itself, another release is served as soon as that link is another one.
  - Files that are none of the release stay as they are.
options:
  root:
    description:
      - The document root. It is created if it does not exist.
    type: path
    required: true
  release:
    description:
      - Directory that the links lead to. It need not exist.
    type: path
    required: true
  files:
    description:
      - Files of the release, relative to its directory.
    type: list
    elements: str
    required: true
  replace:
    description:
      - Whether a file that has the name of one of the release gives way to the link, and links into
        O(release) to what is none of O(files) are removed. Otherwise links are only added.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description:
      - Compares, and reports what would be done.
  diff_mode:
    support: full
    description:
      - Shows the links that are added and removed.
  idempotent:
    support: full
    description:
      - A second run changes nothing.
  platform:
    support: full
    platforms: posix
    description:
      - Hosts with symbolic links.
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Link the pages
  bookface.platform.site_links:
    root: /var/www/html
    release: /var/lib/bookface/live/site
    files: [index.php, images/logo.png]
"""

RETURN = r"""
added:
  description: Files for which a link was made.
  returned: success
  type: list
  elements: str
removed:
  description: Links that were removed.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.web.links import Links


def main() -> None:
    """Arguments in, result out."""
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "required": True},
            "release": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "str", "required": True},
            "replace": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    links = Links(Path(given["root"]), Path(given["release"]))
    if obstacle := links.obstacle(given["files"]):
        module.fail_json(msg=f"{obstacle}. Move it out of the way. No link was changed.")
    added = links.missing(given["files"], replace=given["replace"])
    removed = links.stale(given["files"]) if given["replace"] else []
    if not module.check_mode:
        for name in added:
            links.add(name)
        for name in removed:
            links.remove(name)
    module.exit_json(
        changed=bool(added or removed),
        added=added,
        removed=removed,
        diff={
            "before_header": str(links.root),
            "after_header": str(links.root),
            "before": "".join(f"{links.root / name}\n" for name in removed),
            "after": "".join(f"{links.root / name} -> {links.release / name}\n" for name in added),
        },
    )


if __name__ == "__main__":
    main()
