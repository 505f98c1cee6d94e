# SPDX-License-Identifier: GPL-3.0-or-later
"""The module haproxy_reload, for an HAProxy that is no service of systemd."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.bookface.platform.plugins.module_utils.haproxy.errors import HaproxyError
from ansible_collections.bookface.platform.plugins.modules.haproxy_reload import run

if TYPE_CHECKING:
    from conftest import Lab


class Reload:
    """The module for a lab, with notes of its own."""

    def __init__(self, lab: Lab, notes: Path) -> None:
        self.notes = notes
        self.given: dict[str, Any] = {
            "socket": lab.stats.path,
            "master_socket": str(lab.master),
            "paths": [str(lab.config)],
            "ignore_lines": r"^\s*default_backend\s",
            "reload": False,
            "state_file": str(notes / "servers.state"),
            "wait": 10.0,
        }

    def run(self, check: bool = False, **changes: Any) -> bool:
        found: bool = run({**self.given, **changes}, check, self.notes)["changed"]
        return found


@pytest.fixture
def reload(lab: Lab, tmp_path: Path) -> Reload:
    lab.until(lambda: lab.stats.info(5).uptime >= 2, "a worker older than what follows")
    return Reload(lab, tmp_path)


def test_what_was_not_loaded_is_loaded_once(lab: Lab, reload: Reload) -> None:
    # The first knows no better: HAProxy has started in the second in which its file was written.
    reload.run()
    assert not reload.run()
    worker = lab.pid()
    lab.config.write_text(lab.config.read_text() + "\n# one more line\n")
    assert (reload.run(check=True), lab.pid()) == (True, worker)
    assert [reload.run(), reload.run()] == [True, False]
    assert lab.pid() != worker
    assert not (reload.notes / "servers.state").exists()


def test_without_a_note_the_time_of_the_file_decides(lab: Lab, reload: Reload) -> None:
    """As after a run that was killed before the first reload."""
    lab.config.write_text(lab.config.read_text())
    assert [reload.run(), reload.run()] == [True, False]


def test_a_switch_requires_no_reload(lab: Lab, reload: Reload) -> None:
    reload.run()
    worker = lab.pid()
    lab.switch("docker")
    assert (reload.run(), lab.pid(), lab.traffic()) == (False, worker, "docker")


def test_what_haproxy_refuses_is_tried_again(lab: Lab, reload: Reload) -> None:
    reload.run()
    good = lab.config.read_text()
    lab.config.write_text(good + "\nnonsense\n")
    for _ in range(2):
        with pytest.raises(HaproxyError):
            reload.run()
    assert lab.traffic() == "legacy"
    lab.config.write_text(good)
    assert lab.traffic() == "legacy"


def test_an_haproxy_that_is_about_to_start(stopped: Lab, tmp_path: Path) -> None:
    reload = Reload(stopped, tmp_path)
    assert reload.run(check=True, reload=True)
    with pytest.raises(HaproxyError):
        reload.run(wait=0.2)
    stopped.start()
    reload.run()
    assert stopped.traffic() == "legacy"
