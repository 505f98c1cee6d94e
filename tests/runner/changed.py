"""Which steps a change can affect. In doubt, one more."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from tests.runner.steps import Step

# Directories that are one thing: a change of any of their files is a change of all.
WHOLE = {
    "roles": 2,
    "molecule": 2,
    "inventories": 2,
    "examples": 2,
    "plugins/module_utils": 3,
    "tests/integration": 3,
    "tests/lab": 3,
    "tests/e2e": 2,
    "tests/levers": 2,
    "tests/platform": 2,
    "tests/openstack": 2,
    ".config": 1,
}
# What every step depends on.
EVERYTHING = (
    "Makefile",
    "ansible.cfg",
    "pyproject.toml",
    "requirements.lock",
    "tests/packages.txt",
    "tests/run.py",
    "tests/runner/",
)
# What goes into the collection's tarball, and is looked at there.
SHIPPED = ("galaxy.yml", "inventories/", "meta/", "playbooks/", "plugins/", "roles/")
# Linters and unit tests, which always run, are all that looks at these, unless a step names them.
ONLY_CHECKED = (
    ".ansible-lint",
    ".ci/",
    ".gitignore",
    ".pre-commit-config.yaml",
    ".yamllint",
    "LICENSE",
    "bench/",
    "changelogs/",
    "docs/",
    "galaxy.yml",
    "inventories/",
    "meta/",
    "scripts/",
    "tests/killed/",
    "tests/unit/",
)
ALWAYS = ("lint", "unit")
BUILD = "build"
COLLECTION = re.compile(r"\bbookface\.platform\.([\w.]+)")
PLUGIN = re.compile(r"""["'](?:filter|lookup|modules|module_utils)\.[\w.]+["']""")
IMPORT = re.compile(r"^\s*(?:from|import)\s+([\w.]+)(?:\s+import\s+(\w+))?", re.MULTILINE)
TOKEN = re.compile(r"[\w.-]*(?:/[\w.-]+)+|\b[\w-]+\.(?:ya?ml|j2|py|sh|sql)\b")
WORD = re.compile(r"""["'](\w+)["']""")
# How Python code names the role whose templates it takes.
ROLE = re.compile(
    r"""(?:\broles["']?\s*/\s*|\b(?:render|templates)\()["'](\w+)["']""", re.IGNORECASE
)


class GitError(Exception):
    """Git does not say what has changed."""


def unit_of(path: str) -> str:
    """The thing that a file belongs to: itself, or a directory of WHOLE."""
    parts = path.split("/")
    for directory, depth in WHOLE.items():
        if path.startswith(f"{directory}/") and len(parts) > depth:
            return "/".join(parts[:depth])
    return path


class Tree:
    """The files of the project and what each unit refers to, by their texts alone."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.files = frozenset(texts)
        self._texts = texts
        self._units: dict[str, list[str]] = {}
        self._directories: dict[str, set[str]] = {}
        self._modules: dict[str, set[str]] = {}
        for path in texts:
            self._units.setdefault(unit_of(path), []).append(path)
            for parent in PurePosixPath(path).parents:
                self._directories.setdefault(str(parent), set()).add(path)
            # A plugin is imported by its full name, and what runs the steps by none of them.
            if path.endswith(".py") and not path.startswith(("plugins/", *EVERYTHING)):
                self._modules.setdefault(PurePosixPath(path).stem, set()).add(path)
        self._modules.pop("conftest", None)
        self._references: dict[str, set[str]] = {}

    def at(self, path: str) -> set[str]:
        """The file of that path, or all those of the directory."""
        return {path} if path in self.files else set(self._directories.get(path, ()))

    def named(self, dotted: str) -> set[str]:
        """What C(bookface.platform.DOTTED) can be."""
        found: set[str] = set()
        parts = dotted.strip(".").split(".")
        if parts == ["plugins", "modules"]:
            # Which of them, other words say.
            return found
        if parts[0] == "plugins":
            # The longest path that exists: the last names may be those of a function.
            for length in range(len(parts), 1, -1):
                path = "/".join(parts[:length])
                if found := self.at(f"{path}.py") | self.at(path):
                    return found
        name = parts[0]
        found = self.at(f"roles/{name}") | self.at(f"playbooks/{name}.yml")
        for kind in ("modules", "lookup", "doc_fragments"):
            found |= self.at(f"plugins/{kind}/{name}.py")
        if f"plugins/filter/{name}.yml" in self.files:
            # It documents a filter that may be in another filter's file.
            found |= {
                path
                for path in self._directories["plugins/filter"]
                if path.endswith(".py") and f'"{name}"' in self._texts[path]
            }
        return found

    def references(self, path: str) -> set[str]:
        """Files that the text of one mentions, and may depend on."""
        if path not in self._references:
            self._references[path] = self._read(path)
        return self._references[path]

    def _read(self, path: str) -> set[str]:
        text, found = self._texts[path], set()
        for dotted in COLLECTION.findall(text):
            found |= self.named(dotted)
        if path.endswith(".py"):
            for dotted in PLUGIN.findall(text):
                found |= self.named(f"plugins.{dotted[1:-1]}")
            for word in WORD.findall(text):
                found |= self.at(f"plugins/modules/{word}.py")
            for role in ROLE.findall(text):
                found |= self.at(f"roles/{role}")
            for package, name in IMPORT.findall(text):
                if package.startswith("ansible_collections."):
                    dotted = package.partition("bookface.platform.")[2]
                    found |= self.named(f"{dotted}.{name}")
                else:
                    found |= self._imported(path, package, name)
        here = PurePosixPath(path).parent
        for token in TOKEN.findall(text):
            for place in (token.strip("/"), normal(here / token.lstrip("/"))):
                # A directory at the root holds too much to be what is meant.
                if "/" in place or place in self.files:
                    found |= self.at(place)
        if path.startswith(("roles/", "plugins/", "playbooks/tasks/")):
            # A playbook is what they advise to run, not what they need.
            found -= {place for place in found if unit_of(place).endswith(".yml")}
        return found

    def _imported(self, path: str, package: str, name: str) -> set[str]:
        """What C(from PACKAGE import NAME) can mean in a file."""
        place = package.replace(".", "/")
        if found := self.at(f"{place}.py") | self.at(f"{place}/{name}.py"):
            return found
        if "/" in place and (found := self.at(place)):
            return found
        # By the name alone: those beside the file, or else those that all can import.
        found = self._modules.get(package.rpartition(".")[2], set())
        near = {place for place in found if unit_of(place) == unit_of(path)}
        return near or {place for place in found if not place.startswith("molecule/")}

    def closure(self, sources: Iterable[str]) -> set[str]:
        """Units that these files and directories need, and those that they need."""
        seen: set[str] = set()
        ahead = {unit_of(path) for source in sources for path in self.at(source)}
        while ahead:
            seen |= ahead
            paths = {path for unit in ahead for path in self._units[unit]}
            # Documentation mentions everything.
            texts = [path for path in paths if not path.endswith(".md")]
            ahead = {unit_of(found) for path in texts for found in self.references(path)} - seen
        return seen


def normal(path: PurePosixPath) -> str:
    """A path without its C(..)."""
    parts: list[str] = []
    for part in path.parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
    return "/".join(parts)


def affected(
    steps: Sequence[Step], paths: Sequence[str], texts: Mapping[str, str]
) -> tuple[Step, ...]:
    """The steps that a change of C(paths) can affect, C(texts) being all files as they are now."""
    if not paths:
        return ()
    if any(path.startswith(EVERYTHING) for path in paths):
        return tuple(steps)
    tree = Tree(texts)
    needs = {step.name: tree.closure(step.sources) for step in steps}
    units = {unit_of(path) for path in paths}
    covered = set().union(*needs.values()) if needs else set()
    if any(
        unit_of(path) not in covered
        and not path.startswith(ONLY_CHECKED)
        and not path.endswith(".md")
        for path in paths
    ):
        return tuple(steps)
    shipped = any(path.startswith(SHIPPED) for path in paths)
    return tuple(
        step
        for step in steps
        if step.group in ALWAYS or (step.group == BUILD and shipped) or needs[step.name] & units
    )


def git(root: Path, *words: str) -> list[str]:
    """Paths that Git prints."""
    done = subprocess.run(
        ["git", "-C", str(root), *words], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise GitError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return [line for line in done.stdout.split("\0") if line]


def read(root: Path, path: str) -> str:
    """The text of a file; of a symbolic link, where it leads."""
    place = root / path
    if place.is_symlink():
        return str(place.readlink())
    # One that is removed and not yet committed has none.
    return place.read_text(errors="replace") if place.is_file() else ""


def only_affected(root: Path, base: str, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Those of the steps that what has changed since C(base) can affect; says which and which not.

    Changes since C(base) and this branch parted, committed or not, with new files.
    """
    start = git(root, "merge-base", base, "HEAD")[0].strip()
    new = git(root, "ls-files", "-z", "--others", "--exclude-standard")
    # Of a file that was moved, both names.
    paths = git(root, "diff", "-z", "--name-only", "--no-renames", start) + new
    texts = {path: read(root, path) for path in git(root, "ls-files", "-z") + new}
    chosen = affected(steps, paths, texts)
    print(f"{len(paths)} files changed since {base} ({start[:7]})")
    left = [step.name for step in steps if step not in chosen]
    print(f"not affected: {', '.join(left) or 'no step'}", flush=True)
    return chosen
