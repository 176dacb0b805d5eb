"""TaskFlow's ``types.tree``: nodes with an item and children."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from flowbook.taskflow.types.graph import OrderedDiGraph


class FrozenNode(Exception):
    """A node was to be changed after `Node.freeze`."""


class Node:
    """A node, which is a tree too: the child that was added first is the one on the right."""

    def __init__(self, item: Any, **kwargs: Any) -> None:
        self.item, self.metadata, self.frozen = item, kwargs, False
        self.parent: Node | None = None
        self._children: list[Node] = []

    def freeze(self) -> None:
        """Let nothing change this node and all below it any more."""
        for node in self.dfs_iter(include_self=True):
            node.frozen = True

    def add(self, child: Node) -> None:
        """Add a child, which gets this node as its parent."""
        if self.frozen:
            raise FrozenNode(f"{self.item!r} is frozen")
        child.parent = self
        self._children.append(child)

    def disassociate(self) -> int:
        """Take this node out of its parent; return how often it was in there."""
        if self.frozen:
            raise FrozenNode(f"{self.item!r} is frozen")
        siblings = [] if self.parent is None else self.parent._children
        count, self.parent = siblings.count(self), None
        siblings[:] = [each for each in siblings if each is not self]
        return count

    def remove(self, item: Any, only_direct: bool = False, include_self: bool = True) -> Node:
        """Take the node that `find` finds out of its parent, and return it. Raises ValueError when there is none."""
        node = self.find(item, only_direct, include_self)
        if node is None:
            raise ValueError(f"there is no {item!r} to remove")
        node.disassociate()
        return node

    def find(self, item: Any, only_direct: bool = False, include_self: bool = True) -> Node | None:
        """Return the first node of this item, or None."""
        return self.find_first_match(lambda node: node.item == item, only_direct, include_self)

    def find_first_match(
        self, matcher: Callable[[Node], Any], only_direct: bool = False, include_self: bool = True
    ) -> Node | None:
        """Return the first node that the matcher likes, or None: going down, or among the children only."""
        matches = filter(matcher, self.dfs_iter(include_self))
        return next((node for node in matches if not only_direct or self in (node, node.parent)), None)

    def __contains__(self, item: object) -> bool:
        return self.find(item) is not None

    def __getitem__(self, index: int) -> Node:
        return self._children[index]

    def __iter__(self) -> Iterator[Node]:
        return iter(self._children)

    def index(self, item: Any) -> int:
        """Return the place of the child of this item. Raises ValueError when there is none."""
        return [child.item for child in self].index(item)

    def empty(self) -> bool:
        """Say whether there are no children."""
        return not self._children

    def child_count(self, only_direct: bool = True) -> int:
        """Return the number of children, or of all nodes below."""
        return sum(1 for _ in (self if only_direct else self.dfs_iter()))

    def path_iter(self, include_self: bool = True) -> Iterator[Node]:
        """Yield the nodes from here up to the root."""
        node = self if include_self else self.parent
        while node is not None:
            yield node
            node = node.parent

    def dfs_iter(self, include_self: bool = False, right_to_left: bool = True) -> Iterator[Node]:
        """Return an iterator over the nodes below, each one's before its next sibling."""
        return self._walk(deque.pop, include_self, reverse=right_to_left)

    def bfs_iter(self, include_self: bool = False, right_to_left: bool = False) -> Iterator[Node]:
        """Return an iterator over the nodes below, level by level."""
        return self._walk(deque.popleft, include_self, reverse=not right_to_left)

    def _walk(self, take: Callable[[deque[Node]], Node], include_self: bool, *, reverse: bool) -> Iterator[Node]:
        waiting = deque([self])
        while waiting:
            node = take(waiting)
            if include_self or node is not self:
                yield node
            waiting += node._children[::-1] if reverse else node._children

    def pformat(self) -> str:
        """Return the tree as text, a line for a node."""
        lines, waiting = [], [(self, "", "")]
        while waiting:
            node, before, below = waiting.pop()
            lines.append(f"{before}{node.item}")
            deeper = [(child, below + ("   " if child is node[-1] else "|  ")) for child in node]
            waiting += [(child, f"{below}|__", below_child) for child, below_child in reversed(deeper)]
        return "\n".join(lines)

    def to_digraph(self) -> OrderedDiGraph:
        """Return a graph of the items, with an edge from each to its children's; metadata become attributes."""
        made = OrderedDiGraph()
        for node in self.bfs_iter(include_self=True, right_to_left=True):
            made.add_node(node.item, **node.metadata)
            made.add_edges_from((node.item, child.item) for child in node)
        return made
