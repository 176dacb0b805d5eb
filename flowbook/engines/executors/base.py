"""Where attempts run: the protocol of an executor, and the one function that every executor calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from typing import Any, Protocol

from flowbook.atoms.base import Atom
from flowbook.atoms.task import Task
from flowbook.clock import Clock
from flowbook.engines.context import CURRENT, Context, Outcome
from flowbook.engines.errors import AtomTimedOut
from flowbook.exceptions import NotPossible
from flowbook.failure import Failure
from flowbook.states import EXECUTE, REVERT

DEFAULT_WINDOW = 16
"""How many attempts are handed over at a time, unless there are more workers: the bound on what runs again after a
kill. A window wider than the pool lets one commit carry several endings."""


Handed = Future[Outcome] | Outcome
"""What became of an attempt that was handed over: its future, or what it gave."""


class Executor(Protocol):
    """Runs attempts. ``window`` bounds how many may be handed over and not yet ended."""

    window: int

    def check(self, atoms: Iterable[Atom]) -> None:
        """Raise a UsageError for the first of a flow's tasks that cannot run here; called before any of them is."""
        ...

    def submit(self, call: Callable[..., Outcome], /, *args: Any) -> Handed:
        """Run ``call`` with ``args`` somewhere, now or later; what was run at once is returned without a future."""
        ...

    def stop(self, future: Future[Outcome]) -> bool:
        """Try to end an attempt that was submitted, be it in the middle; return whether its future ends by that.

        Called in the engine's thread, with a future that ``submit`` gave. How it then ends is of no interest.
        """
        ...

    def shutdown(self) -> None:
        """Give back what the executor made; what is queued is cancelled, what runs is waited for."""
        ...


def abandon(futures: Iterable[Future[Outcome]]) -> None:
    """Cancel what is queued and wait for what runs: nothing of a run goes on when its claim is given up."""
    wait([future for future in futures if not future.cancel()])


def attempt(atom: Atom, arguments: Mapping[str, Any], at: Context, clock: Clock) -> Outcome:
    """Run one attempt of an atom and return its outcome; whatever it raises becomes a failure, SystemExit too."""
    began_at = clock.now()
    before = CURRENT.set(at)
    try:
        call = _revert if at.direction is REVERT else _execute
        return Outcome(call(atom, arguments), None, began_at)
    except BaseException as error:
        return Outcome(None, Failure.from_exception(error), began_at)
    finally:
        CURRENT.reset(before)


def refuse_async(atoms: Iterable[Atom], executor: str) -> None:
    """Raise NotPossible for the first of the atoms that is async; the text calls what runs them ``executor``."""
    for atom in atoms:
        if atom.awaits:
            method = "execute" if EXECUTE in atom.awaits else "revert"
            what = f"{method} of {atom.name!r} is async, and {executor} cannot run it"
            raise NotPossible(what, where=atom.place, todo='give engine="parallel", executor="async"')


def limited_attempt(atom: Atom, arguments: Mapping[str, Any], at: Context, clock: Clock) -> Outcome:
    """Run one attempt of an atom that has a timeout: what ends later, in whatever way, has failed by that."""
    at.begin(clock)
    return in_time(at, clock, attempt(atom, arguments, at, clock))


def in_time(at: Context, clock: Clock, outcome: Outcome) -> Outcome:
    """Return the outcome of an attempt that ends now: AtomTimedOut if its deadline has passed."""
    failure = outcome.failure
    interrupted = failure is not None and isinstance(failure.exception, KeyboardInterrupt)
    if at.deadline is None or at.timeout is None or clock.now() <= at.deadline or interrupted:
        return outcome
    error = AtomTimedOut(at.atom, at.timeout)
    error.__cause__ = None if failure is None else failure.exception
    return Outcome(None, Failure.from_exception(error), outcome.began_at)


def _execute(atom: Atom, arguments: Mapping[str, Any]) -> Any:
    if not isinstance(atom, Task) or not atom.has_hooks:
        return atom.execute(**arguments)
    try:
        atom.pre_execute()
        return atom.execute(**arguments)
    finally:
        atom.post_execute()


def _revert(atom: Atom, arguments: Mapping[str, Any]) -> Any:
    if not isinstance(atom, Task) or not atom.has_hooks:
        return atom.revert(**arguments)
    try:
        atom.pre_revert()
        return atom.revert(**arguments)
    finally:
        atom.post_revert()
