"""Which executor each atom runs on: the engine's own, or the one that the atom names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

from flowbook.atoms.base import Atom
from flowbook.atoms.task import Task
from flowbook.engines.context import Outcome
from flowbook.engines.core.windows import Windows
from flowbook.engines.executors import make
from flowbook.engines.executors.base import Executor, Handed
from flowbook.engines.options import Options
from flowbook.exceptions import NotPossible, UnknownPlugin, did_you_mean


class RoutingExecutor:
    """Runs each attempt on the executor that its atom names, of ``parts``; others on ``own``, which may be one of them.

    Each has its own window, and ``window`` is their sum, so that none that is overloaded keeps another from work. Where
    that is more than ``max_in_flight``, each has its share of these. Retries, which run on none, are in no one's way.
    """

    def __init__(
        self,
        own: Executor,
        parts: Mapping[str, Executor],
        atoms: Iterable[Atom | None],
        max_in_flight: int | None = None,
    ) -> None:
        self._own, self._by_name = own, parts
        self._parts = list({id(part): part for part in (own, *parts.values())}.values())
        widths = [part.window for part in self._parts]
        self.window = sum(widths) if max_in_flight is None else min(sum(widths), max_in_flight)
        number = {id(part): number for number, part in enumerate(self._parts)}
        self.windows = Windows(
            [number[id(self._part_of(atom))] if isinstance(atom, Task) else len(number) for atom in atoms],
            [*_shares(widths, self.window), self.window],
        )

    def check(self, atoms: Iterable[Atom]) -> None:
        """Raise what each of the executors has against the atoms that would run on it."""
        atoms = tuple(atoms)
        for part in self._parts:
            part.check(atom for atom in atoms if self._part_of(atom) is part)

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Handed:
        """Hand an attempt over to the executor of its atom, and any other call to the engine's own."""
        atom = next((each for each in args if isinstance(each, Atom)), None)
        return (self._own if atom is None else self._part_of(atom)).submit(call, *args)

    def stop(self, future: Future[Outcome]) -> bool:
        """Stop an attempt where its executor can do that; return whether it could."""
        return any(part.stop(future) for part in self._parts)

    def shutdown(self) -> None:
        """Shut all of them down, the others too when one raises."""
        with ExitStack() as stack:
            for part in self._parts:
                stack.callback(part.shutdown)

    def _part_of(self, atom: Atom) -> Executor:
        return self._own if atom.executor is None else self._by_name[atom.executor]


def executor_for(atoms: Collection[Atom | None], options: Options) -> Executor:
    """Return the executor for these atoms: the one of the options, or one that routes, where some name others.

    Raises NotPossible for an atom that names an unknown one, and what `namers` and `make` raise.
    """
    own = options.executor or "threads"
    made: dict[str, Executor] = {}
    with ExitStack() as undoing:
        first = _made(own, options, options.max_workers) if isinstance(own, str) else make(own, options.max_workers)
        undoing.callback(first.shutdown)
        for name, atom in namers(atoms, options).items():
            made[name] = part = first if name == own else _named_by(atom, name, options)
            undoing.callback(part.shutdown)
        undoing.pop_all()
    if made:
        return RoutingExecutor(first, made, atoms, options.max_in_flight)
    if options.max_in_flight is not None:
        first.window = options.max_in_flight
    return first


def namers(atoms: Iterable[Atom | None], options: Options) -> dict[str, Atom]:
    """Return the executors that atoms name, each with the first atom that does; none where the options take none.

    Raises WrongType and NotPossible for an atom that can name none, or names what is none.
    """
    found: dict[str, Atom] = {}
    for atom in atoms if options.executors is not None else ():
        if atom is not None and atom.executor is not None:
            found.setdefault(atom.checked_executor(atom.executor), atom)
    return found


def _shares(widths: Sequence[int], slots: int) -> list[int]:
    """Return how ``slots`` are shared out: evenly, except that no share is wider than its width, or less than 1."""
    shares = list(widths)
    for number, index in enumerate(sorted(range(len(widths)), key=widths.__getitem__)):
        shares[index] = max(1, min(widths[index], slots // (len(widths) - number)))
        slots -= shares[index]
    return shares


def _named_by(atom: Atom, name: str, options: Options) -> Executor:
    try:
        return _made(name, options, None)
    except UnknownPlugin as error:
        if type(error) is not UnknownPlugin:  # it is known, and does not work
            raise
        known = sorted({*(options.executors or ()), *error.known})
        todo = did_you_mean(name, known) or f"there are {', '.join(known)}; executors={{{name!r}: …}} adds one"
        raise NotPossible(f"{atom.name!r} names the executor {name!r}", where=atom.place, todo=todo) from error


def _made(name: str, options: Options, max_workers: int | None) -> Executor:
    """Return what a name stands for in the options, or else the executor of that name."""
    given = (options.executors or {}).get(name, name)
    if isinstance(given, tuple):
        given, max_workers = given
    return make(given, max_workers)
