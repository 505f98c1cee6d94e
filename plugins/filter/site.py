# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's settings: what is wrong with them, and the files that the pages read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ansible_collections.bookface.platform.plugins.filter.php_literal import php_literal


def site_faults(site: dict[str, Any]) -> list[str]:
    """See site_faults.yml beside this file."""
    faults = []
    if not site["db_password"] and not site["db_trust"]:
        faults.append(
            "bookface_db_password is not set. Set it in the inventory, encrypted with"
            " ansible-vault; or set bookface_db_trust, if the database requires none."
        )
    if not site["db_host"] and len(site["databases"]) > 1:
        faults.append(
            "bookface_db_host is empty, and the group databases has"
            f" {', '.join(site['databases'])}. Set it to the address of the one that the site uses."
        )
    elif not site["db_host"]:
        faults.append("bookface_db_host is empty. Set it, or add a host to the group databases.")
    for name in ("frontpage_limit", "activity_cutoff_days"):
        if not re.fullmatch("([1-9][0-9]*)?", str(site[name])):
            faults.append(
                f"bookface_{name} is {site[name]}; expected a whole number from 1, or nothing for"
                " the application's own default."
            )
    # One fact, one place: given twice, nobody would know which one holds.
    twice = [key for key in site["given"] if key in site["config"]]
    if twice:
        faults.append(
            f"bookface_config has {', '.join(twice)}, which a variable of its own sets already"
            " (bookface_frontpage_limit, bookface_activity_cutoff_days, the group caches with"
            " bookface_cache_host). Remove it from bookface_config, or unset the variable."
        )
    return faults


def site_files(settings: dict[str, Any], style: str) -> dict[str, str]:
    """See site_files.yml beside this file."""
    if style == "json":
        text = json.dumps(settings, indent=4, sort_keys=True, default=str) + "\n"
    else:
        lines = (f"${name} = {php_literal(settings[name])};\n" for name in sorted(settings))
        text = "<?php\n" + "".join(lines)

    def escaped(key: str) -> str:
        return re.sub(r"([\\:])", r"\\\1", str(settings[key]))

    # For any account: while the password is rotated, pages log in as another one.
    place = ":".join(map(escaped, ("dbhost", "dbport", "db")))
    return {f"config.{style}": text, "pgpass": f"{place}:*:{escaped('dbpassw')}\n"}


class FilterModule:
    """The filters by their names in Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name in Jinja → function."""
        return {"site_faults": site_faults, "site_files": site_files}
