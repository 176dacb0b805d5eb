"""History: what a retry is told of the rounds before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import overload

from flowbook.failure import Failure

Round = tuple[object, Mapping[str, Failure]]
"""What the retry gave for a round, and the failures that came of it, by the atoms' names."""


class History(Sequence[Round]):
    """The rounds of a retry, the first one first; it cannot be changed.

    ``history[i]`` is what the retry gave for that round, and the failures that came of it, by atom.
    """

    __slots__ = ("_failure", "_rounds")

    def __init__(self, contents: Iterable[Round], failure: Failure | None = None) -> None:
        self._rounds = tuple((given, MappingProxyType(dict(failures))) for given, failures in contents)
        self._failure = failure

    @property
    def failure(self) -> Failure | None:
        """The failure of the retry's own ``execute``, which is in no round; None unless it failed."""
        return self._failure

    def outcomes_iter(self, index: int | None = None) -> Iterator[tuple[str, Failure]]:
        """Yield the name and failure of each atom that failed, in all rounds or in that at ``index``."""
        for _, failures in self._rounds if index is None else (self._rounds[index],):
            yield from failures.items()

    def provided_iter(self) -> Iterator[object]:
        """Yield what the retry gave, round by round."""
        for given, _ in self._rounds:
            yield given

    def caused_by(
        self, exception_cls: type[BaseException] | str, index: int | None = None, include_retry: bool = False
    ) -> bool:
        """Say whether an exception of this class (or full name of one) is among the failures.

        ``index`` asks about one round only, ``include_retry`` about the retry's own failure too.
        """
        failures = [failure for _, failure in self.outcomes_iter(index)]
        if include_retry and self._failure is not None:
            failures.append(self._failure)
        return any(failure.check(exception_cls) is not None for failure in failures)

    def __len__(self) -> int:
        return len(self._rounds)

    @overload
    def __getitem__(self, index: int) -> Round: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Round, ...]: ...

    def __getitem__(self, index: int | slice) -> Round | tuple[Round, ...]:
        return self._rounds[index]

    def __iter__(self) -> Iterator[Round]:
        return iter(self._rounds)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return (self._rounds, self._failure) == (other._rounds, other._failure)

    __hash__ = None  # type: ignore[assignment]  # what a retry gave need not have one

    def __reduce__(self) -> tuple[Callable[..., History], tuple[object, ...]]:
        return History, ([(given, dict(failures)) for given, failures in self._rounds], self._failure)

    def __repr__(self) -> str:
        rounds = ", ".join(f"{given!r} -> {', '.join(failures) or 'no failure'}" for given, failures in self._rounds)
        return f"<History of {len(self)}: {rounds}>" if rounds else "<History of 0>"
