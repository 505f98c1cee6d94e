#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: site_links
short_description: Link the files of a release into a document root
version_added: 0.1.0
description:
  - Creates a symbolic link in the document root for each file of a release. If O(release) is below
    a symbolic link, replacing that link is enough to serve another release.
  - Files that do not belong to the release are not changed.
options:
  root:
    description:
      - The document root. It is created if it does not exist.
    type: path
    required: true
  release:
    description:
      - Directory that the links point to. It need not exist.
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
      - Whether links replace files of the same name, and links into O(release) to other files than
        O(files) are removed. Otherwise links are only added.
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
  description: Files for which a link was created.
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
