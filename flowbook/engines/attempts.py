"""The attempts that an engine has handed over and that have not been taken in again."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial

from flowbook.atoms.retry import Retry
from flowbook.atoms.task import Task
from flowbook.clock import Clock
from flowbook.engines.context import Context, Outcome, Report
from flowbook.engines.core.messages import Start
from flowbook.engines.errors import AtomCancelled
from flowbook.engines.executors.base import Executor, Handed, abandon, attempt, limited_attempt
from flowbook.engines.inbox import Finished, Inbox
from flowbook.engines.storage import Storage
from flowbook.exceptions import FlowFailed
from flowbook.failure import Failure
from flowbook.states import EXECUTE


class Attempts:
    """What is in flight: each start with its future, which tells the inbox when it is done."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._handed: dict[Start, Future[Outcome]] = {}
        self._contexts: dict[Start, Context] = {}
        self.refuses = False  # to execute anything more: the flow is cancelled
        self._checked: Executor | None = None  # takes the tasks of the plan

    def submit(self, start: Start, report: Report, executor: Executor, inbox: Inbox) -> Outcome | None:
        """Hand an attempt over to ``executor``; ``report`` takes its progress. Return what it gave, if it has ended.

        Raises DecodeError and NotPossible when it cannot be handed over, and NotPicklable for the first task of the
        flow that cannot be, before any is.
        """
        if executor is not self._checked:
            executor.check(atom for atom in self._storage.plan.atoms if isinstance(atom, Task))
            self._checked = executor
        handed = self._submitted(start, report, executor)
        if isinstance(handed, Outcome):
            return handed
        self._handed[start] = handed
        handed.add_done_callback(partial(inbox.put_finished, start))
        return None

    def __len__(self) -> int:
        return len(self._handed)

    def take(self, start: Start) -> bool:
        """Let go of an attempt that ended; return whether it was in flight."""
        if self._contexts:
            self._contexts.pop(start, None)
        return self._handed.pop(start, None) is not None

    def running(self) -> list[Start]:
        """Return the executions that have not ended."""
        return [start for start in self._handed if start.direction is EXECUTE and self.runs(start)]

    def runs(self, start: Start) -> bool:
        """Return whether an attempt was handed over and has not ended."""
        handed = self._handed.get(start)
        return handed is not None and not handed.done()

    def stop(self, start: Start) -> bool:
        """Let a task that runs know that it had better end, and try to end it; return whether it ends by that."""
        assert self._checked is not None  # it runs
        self._contexts[start].wish_stop()
        return self._checked.stop(self._handed[start])

    def cancel_queued(self) -> list[Start]:
        """Take back what no thread has begun yet."""
        cancelled = [start for start, future in self._handed.items() if future.cancel()]
        for start in cancelled:
            self.take(start)
        return cancelled

    def finished(self) -> list[Finished]:
        """Return all that has ended and was not taken in yet."""
        return [Finished(start, future) for start, future in self._handed.items() if future.done()]

    def abandon(self) -> None:
        """Cancel what is queued, wait for what runs, and forget both."""
        abandon(self._handed.values())
        self._handed.clear()
        self._contexts.clear()

    def _submitted(self, start: Start, report: Report, executor: Executor) -> Handed:
        """Hand an attempt over; one that need not or cannot be called has ended already."""
        storage, node, direction = self._storage, start.node, start.direction
        atom, executes, timeout = storage.plan.atom(node), direction is EXECUTE, None
        if executes:
            if self.refuses:  # interrupted: it is not run again
                return Outcome(failure=Failure.from_exception(AtomCancelled(atom.name)))
            timeout = atom.timeout if atom.limits_time else None
        elif not (atom.has_revert or atom.has_hooks):
            return Outcome()
        try:
            arguments = storage.arguments(node, direction)
        except FlowFailed as error:
            undoes_nothing = not executes and storage.never_called(node)
            return Outcome() if undoes_nothing else Outcome(failure=Failure.from_exception(error))
        context = Context(storage.run_id, atom.name, direction, start.round, start.attempt, report, timeout)
        if isinstance(atom, Retry):  # it decides, and is quick: here and now
            return attempt(atom, arguments, context, self._clock)
        call = attempt if timeout is None else limited_attempt
        handed = executor.submit(call, atom, arguments, context, self._clock)
        if not isinstance(handed, Outcome):
            self._contexts[start] = context
        return handed
