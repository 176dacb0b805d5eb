"""Waiting for a run that somebody else works on, to continue it as soon as its owner is gone.

While it waits, a process looks at the run about once a second: at its state, and whether its claim can be had. No
record of an atom is read for that. Whether an owner lives is the backend's to say; one that lives is never overtaken.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from math import inf
from typing import Any, Final, Unpack

from flowbook.clock import to_text
from flowbook.engines.engine import Engine
from flowbook.engines.options import DEFAULT_LEASE_S, EngineOptions
from flowbook.engines.ownership import is_kept_here
from flowbook.engines.registry import Storable, load_from_run, using
from flowbook.exceptions import FlowOwned, NotFound, NotPossible, StorageBusy, StorageError, StorageUnavailable
from flowbook.persistence.backend import Claim, FlowSummary, Query
from flowbook.persistence.owners import current_owner
from flowbook.states import FINISHED

LOG = logging.getLogger("flowbook")

LOOK_EVERY_S: Final = 1.0
"""The longest pause between two looks at a run; each is up to a half shorter, so that many who wait spread out."""

_BEHIND_A_LEASE_S: Final = 0.1

_turns: dict[tuple[int, str, str], object] = {}
"""Whose turn it is in this process, by process, backend and run: storage lets in a second engine of one process."""


def wait_and_resume(
    backend: Storable,
    run_id: str,
    *,
    allow: Collection[str] = (),
    wait_s: float | None = None,
    on_owner: Callable[[FlowOwned], object] | None = None,
    engine: str = "serial",
    **options: Unpack[EngineOptions],
) -> dict[str, Any]:
    """Continue a recorded run as soon as nobody owns it, and return every symbol with its value; see `resume`.

    An owner is gone when it gave the run up, unfinished or SUSPENDED; when it is seen to be dead; and when its lease
    or session has ended. One that lives is waited for, however long its task takes; of several who wait, one continues
    the run, and the others wait for that one. When the run is finished, by whomever, nothing is run: its saved results
    are returned, or its saved failure is raised, as `resume` does (with ``rerun=True`` a new round is begun).

    ``wait_s`` bounds the wait, not the run; with 0 there is one look. ``on_owner`` is called with a FlowOwned for each
    owner that is waited for. The flow is rebuilt, and what is wrong with it told, before the wait.

    Raises FlowOwned when ``wait_s`` has passed, NotFound for a run that is not there or was destroyed meanwhile, the
    trouble of a storage that cannot be reached for a whole ``lease_s``, and what `resume` raises.
    """
    if options.get("take_over"):
        raise NotPossible("take_over=True waits for nobody", todo="wait for the owner, or take the run from it")
    with using(backend) as opened:
        made = load_from_run(opened, run_id, allow=allow, engine=engine, **options)
        lease_s, rerun = options.get("lease_s", DEFAULT_LEASE_S), options.get("rerun", False)
        with turn(made, wait_s=wait_s, rerun=rerun, lease_s=lease_s, on_owner=on_owner):
            made.run()
        return made.storage.fetch_all()


@contextmanager
def turn(
    engine: Engine,
    *,
    wait_s: float | None = None,
    rerun: bool = False,
    lease_s: float = DEFAULT_LEASE_S,
    on_owner: Callable[[FlowOwned], object] | None = None,
) -> Iterator[None]:
    """Wait as `wait_and_resume` does; in the block the engine can run, as far as its run is not finished.

    The run is claimed meanwhile, and the engine's own claim takes the place of this one. Raises FlowOwned, NotFound
    and storage errors before the block, and nothing is claimed then.
    """
    _check(wait_s)
    if engine.state in FINISHED and not rerun:
        yield
        return
    place = _Place(engine, lease_s, rerun=rerun)
    try:
        _wait(place, _Patience(engine.run_id, wait_s, lease_s, on_owner))
        yield
    finally:
        place.leave()


def _check(wait_s: object) -> None:
    is_number = isinstance(wait_s, int | float) and not isinstance(wait_s, bool)
    if wait_s is not None and not (is_number and 0 <= wait_s < inf):  # type: ignore[operator]
        raise NotPossible(f"wait_s is {wait_s!r}", todo="give seconds from 0, or None for no limit")


def _wait(place: _Place, patience: _Patience) -> None:
    while True:
        try:
            return place.take()
        except (FlowOwned, StorageBusy, StorageUnavailable) as error:
            pause_s = patience.bear(error)
        time.sleep(pause_s)


class _Place:
    """The place of an engine's owner, for an engine that waits until it is free."""

    def __init__(self, engine: Engine, lease_s: float, *, rerun: bool) -> None:
        self._backend, self._key, self._run_id = engine.storage.backend, engine.storage.key, engine.run_id
        self._lease_s, self._rerun = lease_s, rerun
        self._here = (os.getpid(), self._backend.url, self._run_id)
        self._since: float | None = None  # when a claim of this process was made that was seen at the last look
        self._claim: Claim | None = None

    def take(self) -> None:
        """Claim the run, unless it is finished. Raises FlowOwned, NotFound and storage errors."""
        if self._claim is None:
            found = self._found()
            if found.state in FINISHED and not self._rerun:
                return
            self._claim = self._claimed(found)
        self._found()  # a run that is claimed is not destroyed any more

    def _claimed(self, found: FlowSummary) -> Claim:
        if self._is_worked_on_here(found) or _turns.setdefault(self._here, self) is not self:
            since = found.updated_at if found.owned_since is None else found.owned_since
            raise FlowOwned(self._key, str(found.owner or current_owner()), to_text(since))
        try:
            return self._backend.claim(self._key, current_owner(), lease_s=self._lease_s)
        except BaseException:
            del _turns[self._here]
            raise

    def _found(self) -> FlowSummary:
        for found in self._backend.find(Query(flow=self._run_id)):
            return found
        raise NotFound("run", self._run_id)

    def _is_worked_on_here(self, found: FlowSummary) -> bool:
        """Return whether an engine of this process owns the run; one that could not give it up does so no more.

        What renews its claim is a thread, which may not be there yet at the first look.
        """
        if found.owner != current_owner():
            self._since = None
            return False
        before, self._since = self._since, found.owned_since
        return before != self._since or is_kept_here(self._run_id)

    def leave(self) -> None:
        """Let others have their turn, and give up the claim if no engine has made its own of it."""
        if self._claim is None:
            return
        try:
            self._backend.renew(self._claim, lease_s=0.0)
        except StorageError as error:  # it is left to its lease, and hides no error that came before
            LOG.warning("the claim on run %r could not be given up: %s", self._run_id, error)
        finally:
            del _turns[self._here]


class _Patience:
    """How long one waits, and how much trouble with the storage is borne meanwhile."""

    def __init__(
        self, run_id: str, wait_s: float | None, lease_s: float, on_owner: Callable[[FlowOwned], object] | None
    ) -> None:
        self._run_id, self._lease_s, self._on_owner = run_id, lease_s, on_owner
        self._until = inf if wait_s is None else time.monotonic() + wait_s
        self._trouble_until = inf
        self._told = ("", "")

    def bear(self, error: FlowOwned | StorageBusy | StorageUnavailable) -> float:
        """Return how long to wait before the next look, in seconds. Raises ``error`` when there was time enough."""
        now = time.monotonic()
        if isinstance(error, FlowOwned):
            self._trouble_until = inf
            self._tell(error)
        elif self._trouble_until == inf:
            self._trouble_until = now + self._lease_s
            LOG.warning("waiting for run %r: %s: %s", self._run_id, error, error.why)
        if now >= min(self._until, self._trouble_until):
            raise error
        return max(0.0, min(_pause_s(error), self._until - now))

    def _tell(self, owned: FlowOwned) -> None:
        if self._on_owner is not None and self._told != (owned.owner, owned.since):
            self._told = owned.owner, owned.since
            self._on_owner(owned)


def _pause_s(error: StorageError) -> float:
    """Return how long to wait before the next look: it comes right behind the end of a lease, if that is near."""
    pause_s = LOOK_EVERY_S * random.uniform(0.5, 1.0)
    left_s = error.lease_left_s if isinstance(error, FlowOwned) else None
    return min(pause_s, left_s + _BEHIND_A_LEASE_S * random.random()) if left_s else pause_s
