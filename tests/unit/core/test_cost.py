"""What a step costs: it looks at the nodes that it changes and at those beside them, however large the flow is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flowbook.flows import Flow, LinearFlow, UnorderedFlow
from unit.core.logbook import Logbook, atom, linear


class Counting(list[Any]):
    """A list that counts how often its items are read; going through it reads all."""

    reads = 0

    def __getitem__(self, index: Any) -> Any:
        Counting.reads += 1
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[Any]:
        Counting.reads += len(self)
        return super().__iter__()

    def __contains__(self, item: object) -> bool:
        Counting.reads += len(self)
        return super().__contains__(item)


def count_reads(book: Logbook) -> None:
    """Let all lists of the run and its plan count, from now on."""
    for holder in (book.run, book.plan):
        for name in type(holder).__slots__:
            value = getattr(holder, name)
            if isinstance(value, list):
                setattr(holder, name, Counting(value))
    Counting.reads = 0


def chain(size: int) -> Flow:
    return linear(*map(str, range(size)))


def fans(size: int) -> Flow:
    return LinearFlow("f").add(*[_fan(str(at)) for at in range(size // 4)])


def _fan(name: str) -> Flow:
    return UnorderedFlow(f"fan {name}").add(*[atom(f"{name}{letter}") for letter in "abcd"])


def reads_a_step(make: Callable[[int], Flow], size: int) -> list[int]:
    book = Logbook(make(size), window=4)
    book.enter()
    count_reads(book)
    counts = []
    for _ in range(20):
        Counting.reads = 0
        book.end(next(iter(book.in_flight)))
        counts.append(Counting.reads)
    return counts


@pytest.mark.parametrize("make", [chain, fans])
def test_a_step_of_a_large_flow_reads_as_much_as_one_of_a_small_flow(make: Callable[[int], Flow]) -> None:
    small, large = reads_a_step(make, 100), reads_a_step(make, 5_000)
    assert small == large
    assert max(small) < 120


def test_a_revert_of_a_large_flow_reads_as_much_as_one_of_a_small_flow() -> None:
    def reads(size: int) -> list[int]:
        book = Logbook(chain(size))
        for number in range(size):
            book.atoms[str(number)] = {"state": "SUCCESS", "attempt": 1}
        book.atoms[str(size - 1)] = {"state": "FAILURE", "attempt": 1}
        book.flow["intention"] = "REVERT"
        book.enter()
        count_reads(book)
        counts = []
        for _ in range(20):
            Counting.reads = 0
            book.end(next(iter(book.in_flight)))
            counts.append(Counting.reads)
        return counts

    assert reads(100) == reads(5_000)


@pytest.mark.parametrize("make", [chain, fans])
def test_a_failure_reads_each_node_a_few_times(make: Callable[[int], Flow]) -> None:
    book = Logbook(make(4_000), window=4)
    book.enter()
    count_reads(book)
    book.end(next(iter(book.in_flight)), fails=True)
    assert Counting.reads < 10 * 4_000
