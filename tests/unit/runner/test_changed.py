"""Which steps a change affects."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.runner import changed
from tests.runner.changed import Tree, affected, unit_of
from tests.runner.steps import ON_DEMAND, ROOT, STEPS, Step

FILES = {
    "site.yml": "- ansible.builtin.import_playbook: playbooks/site.yml",
    "playbooks/site.yml": "- role: bookface.platform.web\n- role: bookface.platform.proxy",
    "roles/proxy/tasks/main.yml": "bookface.platform.proxy_switch:  # then run site.yml",
    "roles/web/templates/x.j2": "{{ x | bookface.platform.pairs }}",
    "roles/web/README.md": "see bookface.platform.lonely",
    "roles/lonely/tasks/main.yml": "",
    "plugins/filter/lists.py": 'FILTERS = {"pairs": pairs, "others": others}',
    "plugins/filter/pairs.yml": "name: pairs",
    "plugins/filter/text.py": "FILTERS = {}",
    "plugins/modules/proxy_switch.py": (
        "from ansible_collections.bookface.platform.plugins.module_utils.proxy.edit import edit\n"
    ),
    "plugins/module_utils/proxy/edit.py": "import text",
    "plugins/module_utils/proxy/text.py": "",
    "plugins/module_utils/other/edit.py": "",
    "molecule/all/converge.yml": "- import_playbook: ../../site.yml",
    "molecule/all/side_effect.yml": "pytest_path: '{{ env }}/tests/e2e'",
    "molecule/all/helper.py": "",
    "tests/e2e/test_it.py": "from tests.support.load import Load\nfrom helper import help",
    "tests/support/load/__init__.py": "from tests.support.load.client import Load",
    "tests/support/load/client.py": "from tests.support import stage",
    "tests/support/stage.py": 'render("web", "x.j2")',
    "tests/integration/proxy/conftest.py": (
        'MODULES = "ansible_collections.bookface.platform.plugins.modules"\n'
        "from tests.support.load import Load\n"
    ),
    "tests/integration/proxy/test_it.py": (
        'from conftest import x\nx("proxy_switch", "roles/proxy/tasks")'
    ),
    "scripts/demo.py": "from tests.support.load import Load",
    "docs/all.md": "",
}
LINT = Step("lint", "lint", (), 1)
BUILD = Step("build", "build", (), 1)
PROXY = Step("proxy", "integration", (), 1, ("tests/integration/proxy",))
ALL = Step("all", "molecule", (), 1, ("molecule/all",))
EVERY = (LINT, BUILD, PROXY, ALL)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("docs/all.md", [LINT]),
        ("scripts/demo.py", [LINT]),
        ("tests/e2e/test_it.py", [LINT, ALL]),
        ("tests/integration/proxy/test_it.py", [LINT, PROXY]),
        # What a role advises to run is not what it needs.
        ("playbooks/site.yml", [LINT, BUILD, ALL]),
        ("roles/proxy/tasks/main.yml", [LINT, BUILD, PROXY, ALL]),
        # A new file of a role that both use.
        ("roles/web/tasks/new.yml", [LINT, BUILD, PROXY, ALL]),
        ("plugins/filter/lists.py", [LINT, BUILD, PROXY, ALL]),
        # By name in a test, and by the role.
        ("plugins/modules/proxy_switch.py", [LINT, BUILD, PROXY, ALL]),
        # What the module imports, and what that lies beside.
        ("plugins/module_utils/proxy/text.py", [LINT, BUILD, PROXY, ALL]),
        ("tests/support/stage.py", [LINT, PROXY]),
        ("molecule/all/helper.py", [LINT, ALL]),
        # What nobody is seen to need, or nobody knows: everything.
        ("roles/lonely/tasks/main.yml", list(EVERY)),
        ("plugins/module_utils/other/edit.py", list(EVERY)),
        ("something/new", list(EVERY)),
        # What everything needs.
        ("tests/runner/steps.py", list(EVERY)),
        ("requirements.lock", list(EVERY)),
    ],
)
def test_a_change_affects(path: str, steps: list[Step]) -> None:
    texts = FILES | ({"tests/e2e/test_it.py": ""} if path == "tests/support/stage.py" else {})
    assert list(affected(EVERY, [path], texts)) == steps


def test_no_change_affects_nothing_and_many_affect_all_that_each_does() -> None:
    assert affected(EVERY, [], FILES) == ()
    both = ["tests/e2e/test_it.py", "tests/integration/proxy/test_it.py"]
    assert list(affected(EVERY, both, FILES)) == [LINT, PROXY, ALL]


def test_a_directory_may_be_one_thing() -> None:
    assert unit_of("roles/web/tasks/main.yml") == "roles/web"
    assert unit_of("tests/lab/images.yml") == "tests/lab/images.yml"
    assert unit_of("tests/lab/vm/disk/Dockerfile") == "tests/lab/vm"
    assert unit_of("site.yml") == "site.yml"


@pytest.mark.parametrize(
    ("path", "needed"),
    [
        ("roles/openstack", {"openstack"}),
        ("roles/haproxy", {"molecule-haproxy", "molecule-platform", "integration-containers"}),
        ("roles/docker_ce", {"molecule-docker_ce", "molecule-platform", "node-images"}),
        ("roles/lab", {"node-images", "molecule-haproxy"}),
        ("roles/db_optimize", {"integration-database"}),
        ("roles/bookface_image", {"integration-containers"}),
        ("plugins/modules/haproxy_info.py", {"integration-haproxy"}),
        ("examples/bookface", {"integration-database", "molecule-platform"}),
        ("tests/e2e", {"molecule-platform"}),
    ],
)
def test_this_project(path: str, needed: set[str], tree: Tree) -> None:
    assert needed <= {step.name for step in STEPS if path in tree.closure(step.sources)}


def test_a_change_in_this_project_leaves_something_out(tree: Tree) -> None:
    steps = [step for step in STEPS if "roles/openstack" in tree.closure(step.sources)]
    assert "molecule-docker_ce" not in {step.name for step in steps}


@pytest.fixture(scope="module")
def tree() -> Tree:
    files = changed.git(ROOT, "ls-files", "-z")
    return Tree({path: changed.read(ROOT, path) for path in files})


def test_every_step_starts_from_files_that_exist() -> None:
    for step in STEPS + ON_DEMAND:
        assert step.sources or step.group == "lint", step.name
        for source in step.sources:
            assert (ROOT / source).exists(), f"{step.name}: {source}"


def test_what_has_changed_is_what_git_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    git("init", "--initial-branch=main")
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    git("add", ".")
    git("commit", "-m", "first")
    assert changed.only_affected(tmp_path, "main", EVERY) == ()
    # A commit of a branch, an edit, and a file that Git does not know yet.
    git("checkout", "-b", "branch")
    (tmp_path / "docs/all.md").write_text("new")
    git("commit", "-a", "-m", "second")
    assert changed.only_affected(tmp_path, "main", EVERY) == (LINT,)
    (tmp_path / "tests/integration/proxy/test_it.py").unlink()
    assert changed.only_affected(tmp_path, "main", EVERY) == (LINT, PROXY)
    (tmp_path / "tests/e2e/test_new.py").write_text("")
    capsys.readouterr()
    assert changed.only_affected(tmp_path, "main", EVERY) == (LINT, PROXY, ALL)
    said = capsys.readouterr().out
    assert said.startswith("3 files changed since main (")
    assert said.endswith(")\nnot affected: build\n")
    assert changed.only_affected(tmp_path, "HEAD", EVERY) == (LINT, PROXY, ALL)
    with pytest.raises(changed.GitError, match="no-such-branch"):
        changed.only_affected(tmp_path, "no-such-branch", EVERY)
