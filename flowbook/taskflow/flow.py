"""TaskFlow's ``flow``: flowbook's flows, which say in TaskFlow's words what is in them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Self

from flowbook.atoms import Atom, Retry
from flowbook.flows import Flow as NativeFlow
from flowbook.taskflow import exceptions as exc

# Keys of a link's metadata: who makes it (the pattern, the user, a retry), the symbols it stands for, and its decider.
LINK_INVARIANT, LINK_MANUAL, LINK_RETRY = "invariant", "manual", "retry"
LINK_REASONS, LINK_DECIDER, LINK_DECIDER_DEPTH = "reasons", "decider", "decider_depth"

Child = Atom | NativeFlow
Meta = dict[str, Any]  # as users make it
Link = tuple[Child, Child, Meta]


class Flow(NativeFlow):
    """Children under a name, in the order of the pattern (a subclass); a child is an atom or a flow."""

    def __init__(self, name: object, retry: Retry | None = None) -> None:
        super().__init__(str(name))
        self.retry = retry  # whatever it is: what cannot be run may be asked for its symbols
        if retry is not None:
            retry.name = retry.name or f"{self.name}_retry"

    def iter_nodes(self) -> Iterator[tuple[Child, Meta]]:  # type: ignore[override]  # pairs, as TaskFlow has it
        """Yield each child with its metadata, of which there is none."""
        return ((child, {}) for child in self.children)

    def native(self) -> Self:
        """Return itself. Raises Duplicate for equal names, ValueError for one object twice, TypeError for no atom."""
        names, seen = Counter[str](), set[int]()
        found: list[Child] = [self]
        for child in found:  # and what is in it, which is added meanwhile
            if id(child) in seen:
                raise ValueError(f"{child} is in two places: make a second object with a name of its own")
            seen.add(id(child))
            if isinstance(child, Atom):
                names[child.name] += 1
                continue
            if not isinstance(child.retry, Retry | None):
                raise TypeError(f"the retry of flow {child.name!r} is {child.retry!r}, which is no retry")
            found += [] if child.retry is None else [child.retry]
            found += [NativeFlow._checked(child, item) for item in child.children]
        shared = sorted(name for name, count in names.items() if count > 1)
        if shared:
            raise exc.Duplicate(f"Atoms with duplicate names in flow {self.name!r}: {', '.join(shared)}")
        return self

    def _checked(self, item: Child) -> Child:
        return item  # whatever it is: `native` says

    def __str__(self) -> str:
        kind = f"{type(self).__module__}.{type(self).__qualname__}".removeprefix("flowbook.taskflow.patterns.")
        return f'"{kind}: {self.name}(len={len(self)})"'
