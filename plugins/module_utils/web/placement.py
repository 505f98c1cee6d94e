# Copyright: (c) 2026, The bookface.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where tasks may run: constraints as Docker reads them, and the labels of nodes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bookface.platform.plugins.module_utils.web.labels import NODE_LABELS

# What Docker says about a thing.
Entry = Mapping[str, Any]
# Of a node, what constraints can name → its value.
Attributes = Mapping[str, str]

EXAMPLE = "node.labels.zone==a"
_KNOWN = ("node.id", "node.hostname", "node.role", "node.platform.os", "node.platform.arch")
_NODE, _ENGINE = "node.labels.", "engine.labels."
_FORM = re.compile(r"\s*([A-Za-z_][\w.-]+?)\s*(==|!=)\s*([\w:\-\s.*()?+\[\]\\^$|/]+?)\s*")
# Names of labels that the role sets; a comma separates those that it has set.
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Constraint:
    """One condition."""

    key: str
    equal: bool
    value: str

    def __str__(self) -> str:
        return f"{self.key}{'==' if self.equal else '!='}{self.value}"

    def met_by(self, node: Attributes) -> bool:
        """Docker takes a label that is missing for an empty one, and ignores case."""
        if not self.key.startswith((_NODE, _ENGINE)) and self.key not in node:
            # Of a node that has not joined little is known.
            return True
        return (node.get(self.key, "").lower() == self.value.lower()) == self.equal


def constraint(text: object) -> Constraint:
    """A constraint. Raises ValueError for what Docker would refuse, or would never be met."""
    found = _FORM.fullmatch(str(text))
    if not found:
        raise ValueError(f"expected a key, == or != and a value, such as {EXAMPLE}")
    key = found[1]
    if key not in _KNOWN and (not key.startswith((_NODE, _ENGINE)) or key in (_NODE, _ENGINE)):
        raise ValueError(f"expected one of {', '.join(_KNOWN)}, {_NODE}NAME or {_ENGINE}NAME")
    return Constraint(key, found[2] == "==", found[3])


def constraints(texts: Iterable[object]) -> list[str]:
    """Constraints, each in one spelling, so that they compare."""
    return [str(constraint(one)) for one in texts]


def preferences(labels: Iterable[object]) -> list[dict[str, Any]]:
    """Labels over whose values tasks are spread, in the words of Docker's API."""
    return [{"Spread": {"SpreadDescriptor": str(one)}} for one in labels]


def wrong_preference(text: object) -> bool:
    """Whether Docker could not spread tasks by this."""
    return re.fullmatch(r"(node|engine)\.labels\.[\w./-]+", str(text)) is None


def constraint_faults(variable: str, given: object) -> list[str]:
    """What is wrong with constraints of a variable."""
    if not isinstance(given, (list, tuple)):
        return [f"{variable} is {given}; expected a list, such as [{EXAMPLE}]."]
    found = []
    for one in given:
        try:
            constraint(one)
        except ValueError as error:
            found.append(f"{variable} has {one}; {error}.")
    return found


def spread_faults(variable: str, given: object) -> list[str]:
    """What is wrong with preferences of a variable."""
    wrong = [given] if not isinstance(given, (list, tuple)) else filter(wrong_preference, given)
    return [
        f"{variable} has {one}; expected a list of labels to spread tasks over, such as"
        " [node.labels.zone]."
        for one in wrong
    ]


def attributes(node: Entry) -> dict[str, str]:
    """What constraints can name of a node, as Docker inspects it."""
    spec, described = node.get("Spec") or {}, node.get("Description") or {}
    platform, engine = described.get("Platform") or {}, described.get("Engine") or {}
    fixed = {
        "node.id": node.get("ID"),
        "node.hostname": described.get("Hostname"),
        "node.role": spec.get("Role"),
        "node.platform.os": platform.get("OS"),
        "node.platform.arch": platform.get("Architecture"),
    }
    return {
        **{name: value for name, value in fixed.items() if value},
        **{_NODE + name: value for name, value in (spec.get("Labels") or {}).items()},
        **{_ENGINE + name: value for name, value in (engine.get("Labels") or {}).items()},
    }


def meets(node: Attributes, wanted: Iterable[str]) -> bool:
    """Whether a task with these constraints may run on a node. Raises ValueError for a bad one."""
    return all(constraint(one).met_by(node) for one in wanted)


def may_run(node: Attributes, found: Iterable[str]) -> bool:
    """The same with constraints of a service as it is. Docker knows more of them, as by node.ip.

    Those that are not known here count as met.
    """
    return meets(node, filter(_is_known, found))


def _is_known(text: str) -> bool:
    try:
        constraint(text)
    except ValueError:
        return False
    return True


def label_faults(host: str, given: object) -> list[str]:
    """What is wrong with the labels that the inventory gives a node."""
    if not isinstance(given, Mapping):
        return [
            f"swarm_node_labels of {host} is {given}; expected a dictionary, such as {{zone: a}}."
        ]
    return [
        f"swarm_node_labels of {host} has {name}; expected letters, digits and . _ / -, such as"
        " zone, with text as value."
        for name, value in given.items()
        if not _LABEL.fullmatch(str(name))
        or str(name) == NODE_LABELS
        or isinstance(value, (Mapping, list, tuple))
    ]


def as_text(given: Mapping[object, object]) -> dict[str, str]:
    """Labels as Docker keeps them: YAML's true and 1 are text there."""
    return {
        str(name): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
    }


@dataclass(frozen=True)
class LabelChange:
    """What to change of the labels of a node, in two steps.

    Docker stops a task at once if its node no longer meets its constraints. So labels are removed
    after the services no longer ask for them.
    """

    set: Mapping[str, str]
    remove: Sequence[str]
    # What to set together with the removal.
    rest: Mapping[str, str]


def label_change(found: Mapping[str, str], given: Mapping[object, object]) -> LabelChange | None:
    """How a node gets its labels. None if it has them.

    Which ones the role has set is in a label of its own, so that those of others stay when they
    are no longer named.
    """
    named = as_text(given)
    ours = {one for one in found.get(NODE_LABELS, "").split(",") if one}
    new = {name: value for name, value in named.items() if found.get(name) != value}
    gone = sorted((ours - set(named)) & set(found))
    kept = (ours & set(named)) | set(new)
    first, last = (",".join(sorted(names)) for names in (kept | set(gone), kept))
    if first and first != found.get(NODE_LABELS):
        new[NODE_LABELS] = first
    rest = {NODE_LABELS: last} if last and last != first else {}
    if not last and NODE_LABELS in found:
        gone.append(NODE_LABELS)
    return LabelChange(new, gone, rest) if new or gone else None


def labels_after(found: Mapping[str, str], given: Mapping[object, object]) -> dict[str, str]:
    """The labels that a node will have."""
    change = label_change(found, given)
    if not change:
        return dict(found)
    every = {**found, **change.set, **change.rest}
    return {name: value for name, value in every.items() if name not in change.remove}


def labels_meanwhile(found: Mapping[str, str], given: Mapping[object, object]) -> dict[str, str]:
    """The labels that a node has from the first step to the second."""
    change = label_change(found, given)
    return {**found, **(change.set if change else {})}


def with_labels(node: Attributes, labels: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a node once it has these labels, and no others."""
    rest = {name: value for name, value in node.items() if not name.startswith(_NODE)}
    return {**rest, **{_NODE + name: value for name, value in labels.items()}}


def own_labels(node: Attributes) -> dict[str, str]:
    """The labels among the attributes of a node."""
    return {
        name.removeprefix(_NODE): value for name, value in node.items() if name.startswith(_NODE)
    }


@dataclass(frozen=True)
class Stages:
    """Nodes that take tasks, as constraints see them: as they are, between the steps, and then."""

    now: Mapping[str, Attributes]
    meanwhile: Mapping[str, Attributes]
    after: Mapping[str, Attributes]


@dataclass(frozen=True)
class Running:
    """A service that runs: constraints as they are and as they will be, and how many tasks."""

    found: Sequence[str]
    wanted: Sequence[str]
    tasks: int
    # One task on each node: also on one that has just got its label.
    everywhere: bool = False


def evicted(stages: Stages, service: Running) -> list[str]:
    """Nodes that would lose their tasks at once, if those may be all tasks. Otherwise none.

    Tasks are where they were until an update replaces them, which then spreads them evenly.
    """
    had = _able(stages.now, service.found)
    stay = had & _able(stages.meanwhile, service.found)
    if _may_be_all(had, had - stay, service):
        return sorted(had - stay)
    replaced = service.everywhere or sorted(service.found) != sorted(service.wanted)
    have = _able(stages.meanwhile, service.wanted) if replaced else stay
    lost = have - _able(stages.after, service.wanted)
    return sorted(lost) if _may_be_all(have, lost, service) else []


def _able(nodes: Mapping[str, Attributes], wanted: Sequence[str]) -> set[str]:
    return {key for key, node in nodes.items() if may_run(node, wanted)}


def _may_be_all(have: set[str], lost: set[str], service: Running) -> bool:
    """Whether no task may be left. A single one moves anyway, if another node may take it."""
    busy = len(have) if service.everywhere else min(service.tasks, len(have))
    return bool(lost) and (lost == have or 1 < busy <= len(lost))


def shown(nodes: Mapping[str, Attributes], of: Collection[str] = ()) -> str:
    """Nodes with their labels, for people: those that constraints name, or all."""
    keys = {constraint(one).key for one in of}
    said = []
    for name, node in nodes.items():
        named = {
            key.removeprefix("node."): value
            for key, value in sorted(node.items())
            if (key in keys or key.startswith(_NODE)) and key != _NODE + NODE_LABELS
        }
        words = ", ".join(f"{key}={value}" for key, value in named.items())
        said.append(f"{name} ({words or 'no labels'})")
    return ", ".join(said)
