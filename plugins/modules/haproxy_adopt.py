#!/usr/bin/python
# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_adopt
short_description: Add backends and the switch's rule to an existing HAProxy configuration
version_added: 0.1.0
description:
  - Adds marked blocks to a configuration that was written by hand, and removes them again. Every
    byte outside the blocks stays, so removing them restores the file.
  - A block is delimited by C(# BEGIN bookface.platform ...) and C(# END bookface.platform ...).
    Manual changes inside a block are lost, as with M(ansible.builtin.blockinfile).
  - Backends are added at the end of the file. The rule is added at the end of its frontend, after
    the existing C(use_backend) lines, so that those keep their precedence.
  - The file is replaced atomically, after C(haproxy -c) has accepted it. HAProxy is not reloaded.
options:
  config:
    description:
      - The HAProxy configuration file. A symbolic link is followed and stays a link.
    type: path
    default: /etc/haproxy/haproxy.cfg
  backends:
    description:
      - The C(backend) sections to add, as text. Blocks of other backends are removed.
      - No section outside the blocks may have one of these names.
    type: str
    default: ""
  frontend:
    description:
      - The C(frontend) or C(listen) sections that get the rule, such as one for HTTP and one for
        HTTPS. Each requires C(mode http) and a C(default_backend).
      - Name all frontends that follow the switch. It is an error to omit one that has the rule.
    type: list
    elements: str
  rule:
    description:
      - The lines by which the frontend follows the switch. Without them an existing rule is
        removed. Requires O(frontend).
    type: str
  haproxy:
    description:
      - The HAProxy program that validates the candidate. By default the one that runs with this
        file, else searched in E(PATH), C(/usr/sbin) and the like.
      - It gets the environment, the working directory and the options C(-L), C(-dr) and C(-dW) of
        the HAProxy that runs with this file, or the environment and the directory of O(service) if
        none runs.
    type: path
  service:
    description:
      - The systemd unit whose environment the validation gets if HAProxy does not run.
    type: str
    default: haproxy
  marker:
    description:
      - A file to create before the configuration is replaced. Delete it after HAProxy has been
        reloaded. While it exists RV(reload) is true, also at the next run, so that a run which is
        interrupted before the reload is completed by the next.
    type: path
  lock_timeout:
    description:
      - Seconds to wait for another change of a file in the same directory.
    type: float
    default: 30
  backup:
    description:
      - Keep a copy of the file as it was before.
    type: bool
    default: false
extends_documentation_fragment:
  - bookface.platform.haproxy.platform
attributes:
  check_mode:
    support: full
    description:
      - Does everything except replacing the file; the validation is real. Maps that do not exist
        yet are taken to be empty.
  diff_mode:
    support: full
    description:
      - Shows the blocks. The rest of the file is left out, because it may hold passwords.
  idempotent:
    support: full
    description:
      - Compares the blocks with the parameters.
seealso:
  - module: bookface.platform.haproxy_default_backend
author:
  - The bookface.platform authors (@bookface-platform)
"""

EXAMPLES = r"""
- name: Add the containers to the load balancer, and let frontend www follow the switch
  bookface.platform.haproxy_adopt:
    backends: |
      backend docker
          mode http
          server docker1 10.0.0.5:32001 check
          server docker2 10.0.0.5:32002 check
    frontend: www
    rule: |
      use_backend %[fe_name,map(/etc/haproxy/d.map)] if { fe_name,map(/etc/haproxy/d.map) -m found }
  notify: Reload HAProxy

- name: Add a backend, and reload HAProxy even if an earlier run was interrupted before that
  bookface.platform.haproxy_adopt:
    backends: "{{ lookup('ansible.builtin.file', 'docker.cfg') }}"
    marker: /etc/haproxy/haproxy.cfg.not-loaded
  register: blocks

- name: Reload HAProxy
  ansible.builtin.systemd_service:
    name: haproxy
    state: reloaded
  when: blocks.reload

- name: Note that HAProxy has read the blocks
  ansible.builtin.file:
    path: /etc/haproxy/haproxy.cfg.not-loaded
    state: absent
  when: blocks.reload

- name: Restore the file
  bookface.platform.haproxy_adopt:
  notify: Reload HAProxy
"""

RETURN = r"""
reason:
  description:
    - Why the module failed.
    - V(configuration) means that the blocks cannot be added to or removed from this text, and
      V(no_such_section) that it has no such frontend.
    - V(invalid) means that C(haproxy -c) refuses the candidate, V(no_program) that there is no
      program which could validate it.
    - V(file) means that the file cannot be read, locked or replaced.
  returned: failure
  type: str
  sample: invalid
config:
  description: The file, links resolved.
  returned: success
  type: str
  sample: /etc/haproxy/haproxy.cfg
blocks:
  description: The blocks that the file has now (in check mode, would have), in their order.
  returned: success
  type: list
  elements: str
  sample: [rule, backend docker]
reload:
  description:
    - Whether HAProxy has to be reloaded. The blocks were changed (in check mode, would be), or
      O(marker) exists.
  returned: success
  type: bool
  sample: true
validator:
  description: What C(haproxy -c) printed. Empty where the file did not have to change.
  returned: success
  type: str
  sample: Configuration file is valid
backup_file:
  description: The copy of the file as it was.
  returned: changed and O(backup=true)
  type: str
  sample: /etc/haproxy/haproxy.cfg.4711.2026-01-01@12:00:00~
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.adopt import (
    Wanted,
    missing_files_empty,
    origin_maps,
    plan,
    take_out,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.file import (
    ConfigFile,
    discard,
    discard_leftovers,
    locked,
    read_file,
    replace,
    write_atomically,
    write_backup,
    write_candidate,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.origin import kept_origin
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.program import (
    validate,
)
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.text import (
    HaproxyConfigError,
    decode,
    encode,
    printable,
)

UNTOUCHED = "Nothing was changed."
MARKED = b"HAProxy may not have read the blocks of the configuration yet.\n"


def accepted(module: AnsibleModule, config: ConfigFile, text: str) -> tuple[str, str]:
    """What haproxy -c printed about this text, and the accepted candidate that has it."""
    candidate = write_candidate(config, encode(text))
    module.add_cleanup_file(candidate)
    try:
        return validate(module, [candidate], candidate, config.path, "these blocks"), candidate
    except HaproxyError:
        discard(candidate)
        raise


def origins(text: str) -> dict[str, str]:
    """Where frontends return to after a page, as far as the maps say so."""
    kept = {
        frontend: kept_origin(decode(read_file(path).data), frontend)
        for frontend, path in origin_maps(text).items()
        if Path(path).is_absolute() and Path(path).exists()
    }
    return {frontend: backend for frontend, backend in kept.items() if backend}


def diff(path: str, before: str, after: str) -> list[dict[str, str]]:
    old, new = take_out(before).blocks, take_out(after).blocks
    return [
        {
            "before_header": f"{path} ({title})",
            "after_header": f"{path} ({title})",
            "before": printable(old[title][1]) if title in old else "",
            "after": printable(new[title][1]) if title in new else "",
        }
        for title in dict.fromkeys([*old, *new])
    ]


def adopt(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    marker: str | None = params["marker"]
    config = read_file(params["config"])
    before = decode(config.data)
    frontends = tuple(dict.fromkeys(params["frontend"] or ()))
    rule = (params["rule"] or "").strip()
    wanted = Wanted(params["backends"], frontends, rule, origins(before))
    after = plan(before, wanted)
    result: dict[str, Any] = {
        "changed": after != before,
        "config": config.path,
        "blocks": list(take_out(after).blocks),
        "validator": "",
        "reload": after != before or bool(marker and Path(marker).exists()),
        "diff": diff(config.path, before, after),
    }
    if after == before:
        return result
    if module.check_mode:
        absent = missing_files_empty(after, lambda path: Path(path).exists())
        result["validator"], candidate = accepted(module, config, absent)
        discard(candidate)
        return result
    discard_leftovers(config.path)
    result["validator"], candidate = accepted(module, config, after)
    try:
        if params["backup"]:
            result["backup_file"] = write_backup(config)
        if marker:
            discard_leftovers(marker)
            write_atomically(marker, MARKED)
        replace(config, candidate)
    finally:
        discard(candidate)
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "path", "default": "/etc/haproxy/haproxy.cfg"},
            "backends": {"type": "str", "default": ""},
            "frontend": {"type": "list", "elements": "str"},
            "rule": {"type": "str"},
            "haproxy": {"type": "path"},
            "service": {"type": "str", "default": "haproxy"},
            "marker": {"type": "path"},
            "lock_timeout": {"type": "float", "default": 30.0},
            "backup": {"type": "bool", "default": False},
        },
        required_by={"rule": ["frontend"]},
        supports_check_mode=True,
    )
    try:
        if module.check_mode:
            result = adopt(module)
        else:
            with locked(module.params["config"], module.params["lock_timeout"]):
                result = adopt(module)
    except HaproxyError as error:
        message = printable(error.message(UNTOUCHED))
        if isinstance(error, HaproxyConfigError):
            message = f"{module.params['config']}: {message}"
        module.fail_json(msg=message, reason=error.reason, **error.fields)
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
