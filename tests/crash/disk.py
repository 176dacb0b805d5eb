"""What a power cut can leave of recorded file calls: a model of a disk that keeps no more than it was told to keep.

A sync of a file makes its data and its size durable, and no name of it; a sync of a folder makes its names durable. Of
what was not synced any part may be there: of names any of the changes, of data any of the sectors or a part up to any
byte, of a size the old one, the new one or one between. A file that has several names is the same under each of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from flowbook.testing.files import Call

SECTOR = 512

Tree: TypeAlias = "dict[str, Tree | bytes]"


@dataclass(frozen=True, slots=True)
class Named:
    """A change of a folder's names: one is added, or (None) removed."""

    name: str
    node: Node | None


@dataclass(frozen=True, slots=True)
class Written:
    """Data that was written at a position."""

    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A file was made this long."""

    size: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Which parts of a write are there, as positions in the file, and how long it made the file."""

    parts: tuple[tuple[int, int], ...]
    size: int


Change: TypeAlias = Named | Written | Cut
Fate: TypeAlias = Callable[[Change], "bool | Kept"]
"""Says of a change that was not synced whether it is there; of a write also which part of it."""


@dataclass(eq=False)
class Node:
    """A file or a folder: what of it is durable, and what was done to it since, in that order."""

    is_folder: bool
    data: bytes = b""
    names: dict[str, Node] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def now(self) -> dict[str, Node]:
        """Return the names of a folder, as processes see them."""
        return self.names_after(_is_kept)

    def names_after(self, fate: Fate) -> dict[str, Node]:
        """Return the names of a folder, with those changes that are kept."""
        found = dict(self.names)
        for change in self.changes:
            if isinstance(change, Named) and fate(change):
                found.pop(change.name, None)
                if change.node is not None:
                    found[change.name] = change.node
        return found

    def data_after(self, fate: Fate) -> bytes:
        """Return what is in a file, with those changes that are kept."""
        data = bytearray(self.data)
        for change in self.changes:
            kept = fate(change)
            if isinstance(change, Cut) and kept:
                data = data[: change.size].ljust(change.size, b"\0")
            elif isinstance(change, Written) and kept:
                end = change.at + len(change.data)
                whole = Kept(((change.at, end),), end)
                _write(data, change, kept if isinstance(kept, Kept) else whole)
        return bytes(data)

    def sync(self) -> None:
        """Make all of it durable."""
        if self.is_folder:
            self.names = self.now()
        else:
            self.data = self.data_after(_is_kept)
        self.changes = []


def _is_kept(change: Change) -> bool:
    return True


def _write(data: bytearray, change: Written, kept: Kept) -> None:
    if len(data) < kept.size:
        data.extend(bytes(kept.size - len(data)))
    for start, end in kept.parts:
        end = min(end, len(data))
        if start < end:
            data[start:end] = change.data[start - change.at : end - change.at]


class Disk:
    """The file system after some of the recorded calls; ``path`` is the logbook's folder, made by the first of them."""

    def __init__(self, path: str) -> None:
        self._above, self._name = os.path.split(path)
        self.top = Node(is_folder=True)
        self._opened: dict[int, Node] = {}
        self._nodes: list[Node] = [self.top]

    def take(self, call: Call) -> None:
        """Do what a recorded call did."""
        take = getattr(self, f"_take_{call.verb}", None)
        if take is not None:
            take(call)

    def changes(self) -> list[Change]:
        """Return all that is not durable."""
        return [change for node in self._nodes for change in node.changes]

    def tree(self, fate: Fate) -> Tree:
        """Return what the folder that the logbook lies in holds, when only what is kept is there."""
        return _tree(self.top, fate)

    def node(self, call: Call) -> Node:
        """Return the file or folder that a call is about."""
        return self._opened[_number(call.arguments[0])]

    def _named(self, call: Call, name: object) -> Node:
        return self.node(call).now()[str(name)]

    def _new(self, folder: Node, name: object, *, is_folder: bool) -> Node:
        node = Node(is_folder)
        self._nodes.append(node)
        folder.changes.append(Named(str(name), node))
        return node

    def _take_make_root(self, call: Call) -> None:
        if self._name not in self.top.now():
            self._new(self.top, self._name, is_folder=True)

    def _take_sync_above(self, call: Call) -> None:
        self.top.sync()

    def _take_root(self, call: Call) -> None:
        is_above = call.arguments[0] == self._above
        self._opened[_number(call.answer)] = self.top if is_above else self.top.now()[self._name]

    def _take_folder(self, call: Call) -> None:
        self._opened[_number(call.answer)] = self._named(call, call.arguments[1])

    _take_open = _take_folder

    def _take_make_folder(self, call: Call) -> None:
        if call.arguments[1] not in self.node(call).now():
            self._new(self.node(call), call.arguments[1], is_folder=True)

    def _take_create(self, call: Call) -> None:
        self._opened[_number(call.answer)] = self._new(self.node(call), call.arguments[1], is_folder=False)

    def _take_write(self, call: Call) -> None:
        _, data, at = call.arguments
        assert isinstance(data, bytes)
        self.node(call).changes.append(Written(_number(at), data))

    def _take_cut(self, call: Call) -> None:
        self.node(call).changes.append(Cut(_number(call.arguments[1])))

    def _take_sync(self, call: Call) -> None:
        self.node(call).sync()

    def _take_link(self, call: Call) -> None:
        _, name, new_name = call.arguments
        self.node(call).changes.append(Named(str(new_name), self._named(call, name)))

    def _take_move(self, call: Call) -> None:
        _, name, new_folder, new_name = call.arguments
        moved = self._named(call, name)
        self.node(call).changes.append(Named(str(name), None))
        self._opened[_number(new_folder)].changes.append(Named(str(new_name), moved))

    def _take_remove(self, call: Call) -> None:
        self.node(call).changes.append(Named(str(call.arguments[1]), None))

    def _take_close(self, call: Call) -> None:
        del self._opened[_number(call.arguments[0])]


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def _tree(folder: Node, fate: Fate) -> Tree:
    return {
        name: _tree(node, fate) if node.is_folder else node.data_after(fate)
        for name, node in folder.names_after(fate).items()
    }


def plain_trees(disk: Disk) -> Iterator[Tree]:
    """Yield what is left when all is kept, nothing, all but one change, one change alone, or all but a sector."""
    changes = disk.changes()
    yield disk.tree(lambda change: True)
    yield disk.tree(lambda change: False)
    for one in changes:
        yield disk.tree(lambda change, one=one: change is not one)  # type: ignore[misc]
        yield disk.tree(lambda change, one=one: change is one)  # type: ignore[misc]
    for one in changes:
        if isinstance(one, Written):
            for kept in _all_but_one_sector(one):
                yield disk.tree(lambda change, one=one, kept=kept: kept if change is one else True)  # type: ignore[misc]
                if any(isinstance(change, Cut) for change in changes):
                    yield disk.tree(partial(_without_cuts, written=one, kept=kept))


def _without_cuts(change: Change, written: Written, kept: Kept) -> bool | Kept:
    return kept if change is written else not isinstance(change, Cut)


def _all_but_one_sector(written: Written) -> Iterable[Kept]:
    sectors, end = _sectors(written), written.at + len(written.data)
    some = sectors if len(sectors) <= 4 else [*sectors[:2], *sectors[-2:]]
    return [Kept(tuple(sector for sector in sectors if sector != one), end) for one in some]


def _sectors(written: Written) -> list[tuple[int, int]]:
    end = written.at + len(written.data)
    edges = [written.at, *range((written.at // SECTOR + 1) * SECTOR, end, SECTOR), end]
    return list(pairwise(edges))


def drawn_tree(disk: Disk, chance: random.Random) -> Tree:
    """Return what is left when chance decides what is kept."""
    how_much = chance.choice([0.1, 0.5, 0.9])
    fates = {id(change): _drawn(change, chance, how_much) for change in disk.changes()}
    return disk.tree(lambda change: fates[id(change)])


def _drawn(change: Change, chance: random.Random, how_much: float) -> bool | Kept:
    if not isinstance(change, Written) or not change.data:
        return chance.random() < how_much
    start, end = change.at, change.at + len(change.data)
    match chance.choice(["whole", "torn", "sectors", "sectors", "shorter"]):
        case "whole":
            return chance.random() < how_much
        case "torn":
            torn = chance.randint(start, end)
            return Kept(((start, torn),), torn)
        case how:
            kept = tuple(sector for sector in _sectors(change) if chance.random() < how_much)
            return Kept(kept, end if how == "sectors" else chance.randint(start, end))


def write_tree(tree: Tree, folder: Path) -> None:
    """Make real files of a tree."""
    folder.mkdir(mode=0o700)
    for name, what in tree.items():
        if isinstance(what, bytes):
            (folder / name).write_bytes(what)
        else:
            write_tree(what, folder / name)
