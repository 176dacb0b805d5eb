"""The engine: one loop that feeds messages to the core, commits what it decides, tells it, and then acts.

Write first, act second: a start is committed before it is performed, a result before anyone hears of it and before a
dependent starts. All messages that wait are taken at once, so the busier the flow, the fewer the commits.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial

from flowbook.atoms.task import Task
from flowbook.clock import Clock
from flowbook.engines import opening
from flowbook.engines.context import Context, Outcome
from flowbook.engines.core.messages import Annotate, Begin, Event, Message, Start, Suspend
from flowbook.engines.core.run import Run
from flowbook.engines.core.step import step
from flowbook.engines.executors.base import Executor, attempt, ended
from flowbook.engines.inbox import FLUSH_AFTER_S, Finished, Inbox, Item, Lost, Wish
from flowbook.engines.options import Options
from flowbook.engines.ownership import Ownership
from flowbook.engines.storage import Storage
from flowbook.events import Notice, Notifier
from flowbook.exceptions import FlowbookError, InvalidState, StorageError
from flowbook.failure import Failure
from flowbook.flows.compilation import Compilation
from flowbook.persistence.backend import Backend
from flowbook.persistence.changes import Change, Delete
from flowbook.persistence.owners import current_owner
from flowbook.states import FINISHED, Direction, FlowState

LOG = logging.getLogger("flowbook")

SCHEDULING, WAITING, ANALYZING = "SCHEDULING", "WAITING", "ANALYZING"


class Engine:
    """Runs one flow from its logbook. Made by `flowbook.engines.load`; ``run`` may be called again to resume.

    ``notifier`` tells the states of the flow, ``atom_notifier`` those of its atoms; ``resumed`` says what an earlier
    owner had left when the run was entered, ``differences`` how the flow differs from the recorded plan.
    """

    def __init__(
        self, compilation: Compilation, backend: Backend, inputs: Mapping[str, object], options: Options
    ) -> None:
        self.compilation = compilation
        self.run_id = options.run_id
        self.storage = Storage(backend, options.run_id, compilation.plan)
        self.notifier = Notifier()
        self.atom_notifier = Notifier()
        self.resumed: opening.Resumed | None = None
        self.differences: Sequence[str] = ()
        self._options = options
        self._inputs = inputs
        self._clock: Clock = options.clock
        self._inbox = Inbox()
        self._entry = threading.Lock()
        self._in_flight: dict[Start, Future[Outcome]] = {}
        self._answered: list[Change] = []  # takes the posted requests that were heard off their list
        self._flushed_at = 0.0
        self._interrupt: KeyboardInterrupt | None = None

    @property
    def state(self) -> FlowState:
        """The state of the flow as this engine knows it."""
        return self.storage.get_flow_state()

    def run(self) -> None:
        """Run the flow until it is finished or suspended; a finished one is not run again (unless ``rerun``).

        Raises the exception of the task that failed, when it is one and happened here, else WrappedFailure;
        FlowOwned, OwnershipLost and the other storage errors, after which the logbook is as last committed.
        """
        for _ in self.run_iter():
            pass
        self.storage.raise_failures()

    def run_iter(self) -> Iterator[str]:
        """Run the flow, yielding what comes next: SCHEDULING, WAITING, ANALYZING, and at last the flow's state.

        Closing the iterator suspends the flow. Failures of tasks are not raised: the last state says it.
        """
        if not self._entry.acquire(blocking=False):
            raise InvalidState("run the engine", "it is running already")
        try:
            self._inbox, self._interrupt = Inbox(), None
            known = self.state in FINISHED and not self._options.rerun
            if not known and not opening.look(self.storage, self._inputs, self._options):
                with self._owned(), self._executing() as executor:
                    yield from self._drive(self._enter(executor.window), executor)
        finally:
            if self._options.closes_backend:
                self.storage.backend.close()
            self._entry.release()
        if self._interrupt is not None:
            raise self._interrupt
        yield self.state

    def suspend(self) -> None:
        """Ask the running engine to stop: attempts that run end and are saved, no other is started.

        May be called from any thread, from listeners and from signal handlers; ignored when nothing runs.
        """
        self._inbox.wish_suspend()

    def make_executor(self) -> Executor:
        """Return where attempts run during one entry; each kind of engine says which."""
        raise NotImplementedError

    # -- entering and leaving --

    @contextmanager
    def _owned(self) -> Iterator[None]:
        ownership = Ownership(self.storage, current_owner(), self._inbox, self._options.lease_s)
        ownership.enter(take_over=self._options.take_over)
        try:
            yield
        finally:
            ownership.leave()

    @contextmanager
    def _executing(self) -> Iterator[Executor]:
        executor = self.make_executor()
        try:
            yield executor
        finally:
            self._in_flight.clear()
            executor.shutdown()

    def _enter(self, window: int) -> Run:
        entered = opening.enter(self.storage, self._inputs, self._options, self._clock.now())
        self.resumed, self.differences = entered.resumed, entered.differences
        if entered.resumed is not None:
            LOG.warning("resumed run %s: %s", self.run_id, entered.resumed)
        return self.storage.restore(entered.records, owner=str(current_owner()), window=window)

    # -- the loop --

    def _drive(self, run: Run, executor: Executor) -> Iterator[str]:
        starts: Sequence[Start] = ()
        messages: Sequence[Message] = [Begin(self._clock.now())]
        if run.flow_state in FINISHED:  # by an owner that ended while this one waited for the claim
            return
        try:
            while True:
                starts, messages = self._decide(run, messages), ()
                if not run.in_flight:
                    return
                yield SCHEDULING
                self._perform(run, starts, executor)
                starts = ()
                yield WAITING
                messages = self._receive(run)
                yield ANALYZING
        except GeneratorExit:
            self._decide(run, [*messages, self._suspension(starts)])
            while run.in_flight:
                self._decide(run, self._receive(run))
            raise

    def _decide(self, run: Run, messages: Sequence[Message]) -> Sequence[Start]:
        """Take a step, commit it, tell how it ended; return what to start, unless a suspend came first."""
        while True:
            run.listening = bool(self.notifier) or bool(self.atom_notifier)
            decision = step(run, messages)
            self.storage.commit(decision.changes + self._answered)
            self._answered = []
            self._tell(run, decision.endings)
            if not (decision.starts and self._inbox.suspend_wished):
                self._tell(run, decision.startings)
                return decision.starts
            messages = [self._suspension(decision.starts)]

    def _perform(self, run: Run, starts: Iterable[Start], executor: Executor) -> None:
        for start in starts:
            self._in_flight[start] = future = self._submit(run, start, executor)
            future.add_done_callback(partial(self._inbox.put_finished, start))

    def _submit(self, run: Run, start: Start, executor: Executor) -> Future[Outcome]:
        """Hand an attempt over, and return its future; one that need not or cannot be called has ended already."""
        task = self.compilation.plan.atom(start.node)
        assert isinstance(task, Task)  # loading refuses flows with retries
        if start.direction is Direction.REVERT and not (task.has_revert or task.has_hooks):
            return ended(Outcome())
        try:
            arguments = self.storage.arguments(start.node, start.direction)
        except FlowbookError as error:
            return ended(Outcome(failure=Failure.from_exception(error)))
        report = partial(self._report, run, start.node, threading.get_ident())
        context = Context(self.run_id, task.name, start.direction, start.round, start.attempt, report)
        return executor.submit(attempt, task, arguments, context, self._clock)

    def _receive(self, run: Run) -> list[Message]:
        """Wait for something to happen; return all that has, as messages."""
        messages: list[Message] = []
        for item in self._wait():
            match item:
                case Finished(start) if self._in_flight.pop(start, None) is not None:
                    messages.append(self.storage.accept(start, self._clock.now(), item.outcome()))
                case Wish(request):
                    self._answered += [Delete("request", request)] if request else []
                    messages.append(self._suspension())
                case Lost(error):
                    raise error
        return [*self._annotations(), *messages]

    def _wait(self) -> Sequence[Item]:
        """Return what the inbox has; an interrupt while waiting suspends the flow first, a second one stops at once."""
        try:
            return self._inbox.take_all()
        except KeyboardInterrupt as error:
            if self._interrupt is not None:
                raise
            self._interrupt = error
            self.suspend()
            return ()

    def _suspension(self, starts: Sequence[Start] = ()) -> Suspend:
        """Return the wish to suspend; attempts that are queued and can be cancelled are withdrawn like ``starts``."""
        cancelled = [start for start, future in self._in_flight.items() if future.cancel()]
        for start in cancelled:
            del self._in_flight[start]
        return Suspend(self._clock.now(), [*starts, *cancelled])

    def _annotations(self) -> list[Message]:
        return [Annotate(node, {"progress": told}) for node, told in self._inbox.take_progress().items()]

    def _report(self, run: Run, node: int, loop: int, progress: float) -> None:
        """Take a task's progress: through the inbox, or, where the loop itself runs the task, at once but seldom."""
        self._inbox.put_progress(node, progress)
        if threading.get_ident() == loop and self._clock.now() - self._flushed_at >= FLUSH_AFTER_S:
            self._flushed_at = self._clock.now()
            with suppress(StorageError):  # no failure of the task: the next commit carries it too, or fails as well
                self._decide(run, self._annotations())

    # -- telling --

    def _tell(self, run: Run, events: Iterable[Event]) -> None:
        plan = self.compilation.plan
        for event in events:
            told = (event.state, event.old, run.now, event.attempt)
            if event.node is None:
                self.notifier.notify(Notice(self.run_id, plan.flow_name, "flow", "", *told))
            else:
                atom = plan.atom(event.node)
                self.atom_notifier.notify(Notice(self.run_id, plan.flow_name, atom.kind, atom.name, *told))
