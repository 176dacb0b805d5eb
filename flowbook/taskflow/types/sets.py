"""TaskFlow's ``types.sets``: a frozen set that remembers the order."""

from collections.abc import Hashable, Iterable, Iterator, Set
from itertools import chain, filterfalse
from typing import Any, Self


class OrderedSet(Set[Any], Hashable):
    """A hashable set that cannot be changed and gives its values in the order in which they first came."""

    __hash__ = Set._hash

    def __init__(self, iterable: Iterable[Any] | None = None) -> None:
        self._data: dict[Any, None] = dict.fromkeys(() if iterable is None else iterable)

    def __contains__(self, value: object) -> bool:
        return value in self._data

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._data)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)})"

    def copy(self) -> Self:
        """Return another set of the same values."""
        return type(self)(self)

    def union(self, *sets: Iterable[Any]) -> Self:
        """Return the values of all, this set's first."""
        return type(self)(chain(self, *sets))

    def intersection(self, *sets: Iterable[Any]) -> Self:
        """Return the values that all have."""
        return type(self)(filter(frozenset(self).intersection(*sets).__contains__, self))

    def difference(self, *sets: Iterable[Any]) -> Self:
        """Return the values that no other has."""
        return type(self)(filterfalse(frozenset(chain(*sets)).__contains__, self))

    def issubset(self, other: Iterable[Any]) -> bool:
        """Say whether the other has all values of this set."""
        return self._data.keys() <= set(other)

    def issuperset(self, other: Iterable[Any]) -> bool:
        """Say whether this set has all values of the other."""
        return self._data.keys() >= set(other)
