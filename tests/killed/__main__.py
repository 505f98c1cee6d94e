"""Kill site.yml where it has changed something, run it again, and compare: see docs/killed.md.

    python -m tests.killed up               # the lab, with an undisturbed run of site.yml
    python -m tests.killed first            # instead of it: the first set-up, killed
    python -m tests.killed try [NAME...]    # all subjects, or those of these names (subjects.py)
    python -m tests.killed write            # docs/killed.md, from what was tried last
    python -m tests.killed down
    python -m tests.killed all [NAME...]    # all of this

C(first) and C(try) end with 1 if a run was not repaired.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping

from tests.killed import first_setup, table
from tests.killed.first_setup import FirstSetup
from tests.killed.machines import Machines
from tests.killed.subjects import RELEASE, SUBJECTS
from tests.killed.table import RESULTS, Result, say
from tests.killed.trial import Trial
from tests.support.commands import ansible, inventory
from tests.support.engine import docker
from tests.support.errors import HarnessError
from tests.support.paths import ROOT

INVENTORY = ROOT / "tests/killed/inventory"


def machines(*names: str) -> Machines:
    """These machines of the lab, or all."""
    of_lab = inventory(str(INVENTORY))["_meta"]["hostvars"]

    def said(machine: str, script: str) -> str:
        node = f"{of_lab[machine]['lab_name']}-{machine}"
        return docker("exec", "-i", node, "bash", "-s", text=script, check=False)

    return Machines(names or tuple(sorted(of_lab)), said)


def first() -> int:
    """Try the first set-up, keep the result."""
    release()
    RESULTS.mkdir(parents=True, exist_ok=True)
    try:
        FirstSetup(machines()).result().save()
    except HarnessError as error:
        say(str(error))
        return 1
    return 0


def attempt(*names: str) -> int:
    """Try subjects, keep their results."""
    chosen = [one for one in SUBJECTS if not names or one.name in names]
    if unknown := set(names) - {one.name for one in chosen}:
        sys.exit(f"expected {', '.join(one.name for one in SUBJECTS)}; got {', '.join(unknown)}")
    wrong = False
    RESULTS.mkdir(parents=True, exist_ok=True)
    for subject in chosen:
        say(f"{subject.name}:")
        playbook = RESULTS / f"{subject.name}.yml"
        playbook.write_text(subject.playbook)
        # Saved after each kill: what was seen before somebody ends this stays.
        of_subject = machines(*subject.machines, *subject.beside)
        for result in Trial(subject, playbook, of_subject).results():
            result.save()
            wrong = wrong or any(row.kills != row.repaired for row in result.rows)
    return int(wrong)


def play(*arguments: str) -> int:
    """Run a playbook on the lab."""
    done = ansible("ansible-playbook", *arguments)
    print(done.stdout[-3000:], done.stderr)
    return done.returncode


def release() -> None:
    """Make another release of the application."""
    shutil.rmtree(RELEASE, ignore_errors=True)
    shutil.copytree(ROOT / "examples/bookface", RELEASE)
    (RELEASE / "code/news.html").write_text("news\n")


def up() -> int:
    """Make the lab and the platform on it."""
    release()
    return play("playbooks/lab.yml") or play("site.yml")


def down() -> int:
    """Remove the lab."""
    return play("playbooks/lab.yml", "-e", "lab_state=absent")


def write() -> int:
    """Write the page."""
    names = [first_setup.NAME, *(one.name for one in SUBJECTS)]
    order = [RESULTS / f"{name}.json" for name in names]
    table.write([Result.load(path) for path in order if path.exists()])
    return 0


def everything(*names: str) -> int:
    """One after the other; the lab stays if something is wrong with it."""
    return (up() if names else first()) or max(attempt(*names), write(), down())


ACTIONS: Mapping[str, Callable[..., int]] = {
    "up": up,
    "first": first,
    "try": attempt,
    "write": write,
    "down": down,
    "all": everything,
}


def main(action: str = "", *names: str) -> int:
    """Do one of the things above."""
    os.environ["BOOKFACE_INVENTORY"] = str(INVENTORY)
    if action not in ACTIONS:
        print(__doc__)
        return 2
    return ACTIONS[action](*names)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
