"""The plan: a flow as integer arrays, what the core runs on, and its record in the logbook."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowbook.atoms.base import Atom
from flowbook.flows.deciders import Decider, Depth
from flowbook.flows.scopes import Provider

ROOT = 0
"""The index of the scope that is the whole flow."""

Heads = tuple[Provider | None, ...]
"""The nearest provider of each argument, in the order of the atom's arguments; None where there is none."""


@dataclass(slots=True)
class Scope:
    """The nodes ``first <= node < end`` that one retry governs; the root scope has no retry.

    ``parent`` is the index of the scope around it (the root is its own).
    """

    first: int
    end: int
    parent: int
    retry: int | None


@dataclass(frozen=True, slots=True)
class Vote:
    """A decider on a link that leads to an atom, and how far its no reaches; ``source`` is None when it is a flow."""

    source: int | None
    decider: Decider
    depth: Depth


@dataclass(slots=True)
class Span:
    """A flow as it was declared: its nodes are ``first <= node < end``; spans nest, outer ones come first."""

    name: str
    pattern: str
    first: int
    end: int


class Plan:
    """A compiled flow. Nodes are atoms and marks, numbered so that every edge leads from a lower to a higher one.

    A *mark* stands where several ends meet several beginnings; it has no atom and is passed without cost. Lists are
    indexed by node; nobody changes them after compilation.
    """

    __slots__ = (
        "_flow_of",
        "atom_count",
        "atoms",
        "execute_heads",
        "failure_heads",
        "flow_name",
        "index",
        "names",
        "predecessors",
        "priorities",
        "providers",
        "revert_heads",
        "scope_of",
        "scopes",
        "spans",
        "successors",
        "votes",
    )

    def __init__(self, flow_name: str) -> None:
        self.flow_name = flow_name
        self.atom_count = 0
        self.atoms: list[Atom | None] = []
        self.names: list[str] = []
        self.index: dict[str, int] = {}
        self.successors: list[list[int]] = []
        self.predecessors: list[list[int]] = []
        self.execute_heads: dict[int, Heads] = {}  # of atoms with arguments
        self.revert_heads: dict[int, Heads] = {}
        self.failure_heads: dict[int, Heads] = {}  # of retries, for on_failure
        self.priorities: dict[int, int] = {}  # only those that differ from 0
        self.providers: dict[str, list[tuple[int, int | str | None]]] = {}  # of each symbol, in order: node, part
        self.scopes: list[Scope] = [Scope(0, 0, ROOT, None)]
        self.scope_of: list[int] = []
        self.spans: list[Span] = []
        self._flow_of: list[int] = []
        self.votes: dict[int, list[Vote]] = {}  # of atoms that deciders decide about

    def atom(self, node: int) -> Atom:
        """Return the atom of a node that is no mark."""
        atom = self.atoms[node]
        if atom is None:
            raise LookupError(f"node {node} is a mark")
        return atom

    def flow_of(self, node: int) -> int:
        """Return the index of the innermost flow (in `spans`) around a node; -1 for a task that is no flow's."""
        if not self._flow_of:
            self._flow_of = list(self._innermost())
        return self._flow_of[node]

    def _innermost(self) -> Iterator[int]:
        around: list[int] = []
        opened = 0
        for node in range(len(self.names)):
            while opened < len(self.spans) and self.spans[opened].first <= node:
                around.append(opened)
                opened += 1
            while around and self.spans[around[-1]].end <= node:
                around.pop()
            yield around[-1] if around else -1

    def tell_marks_apart(self) -> None:
        """Number the marks whose names are those of other marks or of atoms: in the order of the nodes, from 2."""
        taken: dict[str, int] = dict.fromkeys(self.index, 1)
        for node, atom in enumerate(self.atoms):
            if atom is None:
                name = label = self.names[node]
                while name in taken:
                    taken[label] = count = taken.get(label, 1) + 1
                    name = f"{label} ({count})"
                taken[name] = 1
                self.names[node] = name

    def atom_nodes(self) -> Iterator[int]:
        """Yield the nodes of all atoms in the order in which they were declared."""
        return (node for node, atom in enumerate(self.atoms) if atom is not None)

    def edges(self) -> Iterator[tuple[str, str]]:
        """Yield all edges by the names of their ends."""
        for node, successors in enumerate(self.successors):
            for successor in successors:
                yield self.names[node], self.names[successor]


def plan_record(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain data by names, never by indices: enough to draw the flow without its code.

    ``atoms``: name, kind, version, place, requires, provides, and where there are any ``optional`` symbols, of a retry
    its ``policy``; ``marks`` and ``edges``: names; ``flows``: name, pattern, names of the first and last node;
    ``deciders``, if any: source (None: a flow), target, name, depth. ``digest`` is that of all the rest.
    """
    record, _, digest = _recorded(plan)
    return {**record, "digest": digest}


def plan_text(plan: Plan) -> tuple[str, str]:
    """Return the digest of a plan, and its record as JSON."""
    _, text, digest = _recorded(plan)
    return digest, f'{text[:-1]}, "digest": "{digest}"}}'


def _recorded(plan: Plan) -> tuple[dict[str, Any], str, str]:
    """Return the record of a plan but for its digest, the same as JSON, and the digest of that."""
    record: dict[str, Any] = {
        "flow": plan.flow_name,
        "atoms": _atom_records(plan),
        "marks": [name for name, atom in zip(plan.names, plan.atoms, strict=True) if atom is None],
        "edges": [list(edge) for edge in plan.edges()],
        "flows": [[s.name, s.pattern, *_ends(plan, s)] for s in plan.spans],
    }
    if plan.votes:
        record["deciders"] = [list(vote) for vote in _votes(plan)]
    text = json.dumps(record, sort_keys=True)
    return record, text, hashlib.sha256(text.encode()).hexdigest()


def _votes(plan: Plan) -> Iterator[tuple[str | None, str, str, str]]:
    for node, votes in plan.votes.items():
        for vote in votes:
            source = None if vote.source is None else plan.names[vote.source]
            name = getattr(vote.decider, "__name__", type(vote.decider).__name__)
            yield source, plan.names[node], str(name), vote.depth.value


def _atom_records(plan: Plan) -> list[dict[str, Any]]:
    places: dict[type, str] = {}  # most atoms of a large flow are of few classes
    return [_atom_record(atom, places) for atom in plan.atoms if atom is not None]


def _atom_record(atom: Atom, places: dict[type, str]) -> dict[str, Any]:
    cls = type(atom)
    is_of_class = cls.place is Atom.place and "execute" not in atom.__dict__
    place = places.get(cls) if is_of_class else atom.place
    if place is None:
        place = places[cls] = atom.place
    requires = atom.requires
    record: dict[str, Any] = {
        "name": atom.name,
        "kind": atom.kind,
        "version": [*atom.version],
        "place": place,
        "requires": sorted(requires) if requires else [],
        "provides": [*atom.save_as],
    }
    if atom.optional:
        record["optional"] = sorted(atom.optional)
    if atom.kind == "retry":
        record["policy"] = type(atom).__name__
    return record


def _ends(plan: Plan, span: Span) -> list[str]:
    return [plan.names[span.first], plan.names[span.end - 1]] if span.end > span.first else []


def is_same(old: Plan, new: Plan) -> bool:
    """Return whether the records of two plans would not differ, without making them."""
    return old is new or (
        old.names == new.names and old.successors == new.successors and all(map(_are_alike, old.atoms, new.atoms))
    )


def _are_alike(old: Atom | None, new: Atom | None) -> bool:
    if old is None or new is None:
        return old is new
    return (old.kind, old.version, old.requires) == (new.kind, new.version, new.requires) and (
        [*old.save_as] == [*new.save_as]
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return how a plan's record differs from an older one, a line each; places in files do not count."""
    was = {atom["name"]: atom for atom in old["atoms"]}
    now = {atom["name"]: atom for atom in new["atoms"]}
    lines = [f"atom {name!r} is gone" for name in was if name not in now]
    lines += [f"atom {name!r} is new" for name in now if name not in was]
    for name in was.keys() & now.keys():
        lines += [
            f"atom {name!r}: {what} was {_shown(what, was[name])}, is {_shown(what, now[name])}"
            for what in ("kind", "version", "requires", "provides")
            if was[name][what] != now[name][what]
        ]
    edges_were, edges_are = set(map(tuple, old["edges"])), set(map(tuple, new["edges"]))
    lines += [f"the link {' -> '.join(edge)} is gone" for edge in sorted(edges_were - edges_are)]
    lines += [f"the link {' -> '.join(edge)} is new" for edge in sorted(edges_are - edges_were)]
    return lines


def refused_versions(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the atoms whose major version differs from the recorded one, a line each."""
    was = {atom["name"]: atom["version"] for atom in old["atoms"]}
    return [
        f"atom {atom['name']!r} has version {_dotted(atom['version'])}, was recorded with {_dotted(was[atom['name']])}"
        for atom in new["atoms"]
        if atom["name"] in was and was[atom["name"]][0] != atom["version"][0]
    ]


def _shown(what: str, atom: Mapping[str, Any]) -> object:
    return _dotted(atom[what]) if what == "version" else atom[what]


def _dotted(version: list[int]) -> str:
    return ".".join(map(str, version))
