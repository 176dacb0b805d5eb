"""The engine: one loop that feeds messages to the core, commits what it decides, tells it, and then acts.

Write first, act second: a start is committed before it is performed, a result before anyone hears of it and before a
dependent starts. All messages that wait are taken at once, so the busier the flow, the fewer the commits.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from flowbook.clock import Clock
from flowbook.engines import opening
from flowbook.engines.asking import answer
from flowbook.engines.attempts import Attempts
from flowbook.engines.awaiting import Awaited
from flowbook.engines.context import uninterrupted
from flowbook.engines.core.messages import Annotate, Message, Start, Suspend
from flowbook.engines.core.run import REASON, Run
from flowbook.engines.core.step import step
from flowbook.engines.executors.base import Executor
from flowbook.engines.inbox import FLUSH_AFTER_S, Begun, Finished, Inbox, Item, Lost, Wish
from flowbook.engines.options import Options
from flowbook.engines.ownership import Ownership
from flowbook.engines.storage import Storage
from flowbook.engines.telling import Teller
from flowbook.engines.timers import Timers
from flowbook.exceptions import FlowbookError, InvalidState, StorageError
from flowbook.flows.compilation import Compilation
from flowbook.persistence.backend import Backend
from flowbook.persistence.changes import Change, Delete
from flowbook.persistence.owners import current_owner
from flowbook.states import FINISHED, FlowState

LOG = logging.getLogger("flowbook")

SCHEDULING, WAITING, ANALYZING = "SCHEDULING", "WAITING", "ANALYZING"


class Engine(Awaited):
    """Runs one flow from its logbook. Made by `flowbook.engines.load`; ``run`` may be called again to resume.

    ``notifier`` tells the states of the flow, ``atom_notifier`` those of its atoms; ``resumed`` says what an earlier
    owner had left when the run was entered, ``differences`` how the flow differs from the recorded plan.
    """

    def __init__(
        self, compilation: Compilation, backend: Backend, inputs: Mapping[str, object], options: Options
    ) -> None:
        self.compilation = compilation
        self.run_id = options.run_id
        self.storage = Storage(backend, options.run_id, compilation.plan, options.commit)
        self._teller = Teller(options.run_id, compilation.plan)
        self.notifier, self.atom_notifier = self._teller.notifier, self._teller.atom_notifier
        self.resumed: opening.Resumed | None = None
        self.differences: Sequence[str] = ()
        self._options = options
        self._inputs = inputs
        self._clock: Clock = options.clock
        self._inbox = Inbox()
        self._entry = threading.Lock()
        self._attempts = Attempts(self.storage, options.clock)
        self._answered: list[Change] = []  # takes the posted requests that were heard off their list
        self._flushed_at = 0.0
        self._stop: BaseException | None = None  # why the flow is being suspended, if it is an error
        self._unhanded: Sequence[Start] = ()  # starts that no executor took
        self._at_hand: list[Message] = []  # ends of attempts that the loop itself has run

    @property
    def state(self) -> FlowState:
        """The state of the flow as this engine knows it."""
        return self.storage.get_flow_state()

    def run(self) -> None:
        """Run the flow until it is finished or suspended; a finished one is not run again (unless ``rerun``).

        Raises the exception of the task that failed, when it is one and happened here, else WrappedFailure;
        FlowCancelled and FlowTimedOut after the flow was cancelled, or had its time; storage
        errors, after which the logbook is as last committed; DecodeError and NotPossible when an attempt cannot be
        handed over, after suspending the flow; FlowChanged, InputsChanged, EncodeError and TooLarge on entry.
        """
        deque(self.run_iter(), maxlen=0)
        self.storage.raise_failures()

    def run_iter(self) -> Iterator[str]:
        """Run the flow, yielding what comes next: SCHEDULING, WAITING, ANALYZING, and at last the flow's state.

        Closing the iterator suspends the flow. Failures of tasks are not raised: the last state says it.
        """
        with self._entered("run"):
            self._stop, self._unhanded, self._at_hand = None, (), []
            known = self.state in FINISHED and not self._options.rerun
            if not known and not opening.look(self.storage, self._inputs, self._options):
                with self._owned(), self._executing() as executor:
                    yield from self._drive(self._enter(executor), executor)
        if self._stop is not None:
            raise self._stop
        yield self.state

    def suspend(self) -> None:
        """Ask the running engine to stop: attempts that run end and are saved, no other is started.

        May be called from any thread, listeners and signal handlers; ignored when nothing runs.
        """
        self._inbox.wish_suspend()

    def cancel(self) -> None:
        """Ask the running engine to revert everything: what runs is stopped where its executor can, else waited for.

        May be called as `suspend` may; ignored when nothing runs, and by a flow that is being reverted already.
        """
        self._inbox.wish_cancel()

    def reset(self) -> None:
        """Make every atom PENDING again, for a new round of a run that has ended or lost its owner; nothing is run.

        Raises InvalidState while this engine runs, FlowOwned while another one does, NotFound, and storage errors.
        """
        with self._entered("reset"), self._owned():
            self._teller.tell(opening.reset_now(self.storage, self._clock.now()), self._clock.now())

    def make_executor(self) -> Executor:
        """Return where attempts run during one entry; each kind of engine says which."""
        raise NotImplementedError

    # -- entering and leaving --

    @contextmanager
    def _entered(self, what: str) -> Iterator[None]:
        if not self._entry.acquire(blocking=False):
            raise InvalidState(f"{what} the engine", "it is running already")
        try:
            self._inbox = Inbox()
            yield
        finally:
            if self._options.closes_backend:
                self.storage.backend.close()
            self._entry.release()

    @contextmanager
    def _owned(self) -> Iterator[None]:
        ownership = Ownership(self.storage, current_owner(), self._inbox, self._options.lease_s)
        try:
            ownership.enter(take_over=self._options.take_over)
            yield
        finally:
            ownership.leave()

    @contextmanager
    def _executing(self) -> Iterator[Executor]:
        executor = self.make_executor()
        try:
            yield executor
        except (Exception, KeyboardInterrupt, SystemExit):
            self.storage.forget()  # what was decided and not committed has not happened
            raise
        finally:
            executor.shutdown()
            self._attempts.abandon()

    def _enter(self, executor: Executor) -> Run:
        entered = opening.enter(self.storage, self._inputs, self._options, self._clock.now())
        self.resumed, self.differences = entered.resumed, entered.differences
        if entered.resumed is not None and entered.resumed.is_news:
            LOG.warning("resumed run %s: %s", self.run_id, entered.resumed)
        run = self.storage.restore(entered.records, owner=str(current_owner()), window=executor.window)
        run.windows = getattr(executor, "windows", None)  # where atoms name several
        run.defer_reverts, run.never_resolve = self._options.defer_reverts, self._options.never_resolve
        self._timers = Timers(self.storage, self._attempts, self._clock, self._options.timeout)
        self._answered = [Delete("request", request) for request in entered.cancelling]
        return run

    # -- the loop --

    def _drive(self, run: Run, executor: Executor) -> Iterator[str]:
        starts: Sequence[Start] = ()
        messages: Sequence[Message] = self._timers.begin(run, cancels=bool(self._answered))
        if run.flow_state in FINISHED:  # by an owner that ended while this one waited for the claim
            return
        try:
            while True:
                starts, messages = self._decide(run, messages), ()
                if not run.in_flight and run.flow_state is not FlowState.RUNNING:
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
        """Take steps, commit each, tell how it ended and answer what it asks; return what is to be started.

        A start that a wish to suspend overtook is withdrawn.
        """
        starts: list[Start] = []
        while True:
            run.listening = bool(self._teller)
            decision = step(run, messages)
            self.storage.commit([*decision.changes, *self._answered] if self._answered else decision.changes)
            self._answered.clear()
            if decision.endings:
                self._teller.tell(decision.endings, run.now, run.metadata)
            if decision.ask is not None:
                messages = [answer(self.storage, decision.ask, self._clock.now())]
                continue
            if self._inbox.is_wished and (decision.starts or decision.goes_on):
                wish = self._timers.cancel if self._inbox.take_cancel() else self._suspension
                messages = [wish(decision.starts)]
                continue
            if decision.startings:
                self._teller.tell(decision.startings, run.now)
            starts += decision.starts
            if not decision.goes_on:
                return starts
            messages = ()

    def _perform(self, run: Run, starts: Sequence[Start], executor: Executor) -> None:
        if REASON in run.flow_row:
            self._timers.stop_all(run)
        loop = threading.get_ident()
        for number, start in enumerate(starts):
            try:
                report = partial(self._report, run, start, loop, self._inbox)
                outcome = self._attempts.submit(start, report, executor, self._inbox)
            except FlowbookError as error:  # nothing is wrong with the task: suspend, so that it can be tried again
                self._stop, self._unhanded = error, starts[number:]
                self.suspend()
                return
            if outcome is not None:
                self._at_hand.append(self.storage.accept(start, self._clock.now(), uninterrupted(outcome)))

    def _receive(self, run: Run) -> list[Message]:
        """Return all that has happened, as messages; wait for something, where nothing has."""
        messages, self._at_hand, now = self._at_hand, [], 0.0
        for item in self._inbox.take_waiting() if messages else self._wait(self._timers.patience_s(run)):
            if isinstance(item, Finished):
                if self._attempts.take(item.start):
                    outcome = self._timers.outcome_of(item) if self._timers.ended else item.outcome()
                    now = now or self._clock.now()  # one time for all that are taken in together
                    messages.append(self.storage.accept(item.start, now, outcome))
            elif isinstance(item, Wish):
                self._answered += [Delete("request", item.request)] if item.request else []
                messages.append(self._timers.cancel() if item.cancels else self._suspension())
            elif isinstance(item, Begun):
                self._timers.began(item.start)
            elif isinstance(item, Lost):
                raise item.error
        if self._timers.has_deadline:
            messages += self._timers.due(run)
        if self._inbox.told:
            messages[:0] = self._annotations()
        return messages or [self._timers.woke()]

    def _wait(self, timeout_s: float | None) -> Sequence[Item]:
        """Return what the inbox has by then; an interrupt suspends the flow first, a second one stops at once."""
        try:
            return self._inbox.take_all(timeout_s, len(self._attempts))
        except KeyboardInterrupt as error:
            if self._stop is not None:
                raise
            self._stop = error
            self.suspend()  # an ending that was taken out when the interrupt came is told again
            return self._attempts.finished()

    def _suspension(self, starts: Sequence[Start] = ()) -> Suspend:
        """Return the wish to suspend, with ``starts`` and what is queued withdrawn.

        Where an executor refused some, what it took is waited for, so that each entry gets further.
        """
        unhanded, self._unhanded = self._unhanded, ()
        cancelled = [] if unhanded else self._attempts.cancel_queued()
        return Suspend(self._clock.now(), [*starts, *unhanded, *cancelled])

    def _annotations(self) -> list[Message]:
        return [Annotate(start.node, told, start) for start, told in self._inbox.take_metadata().items()]

    def _report(self, run: Run, start: Start, loop: int, inbox: Inbox, metadata: Mapping[str, object]) -> None:
        """Take what a task tells: through the inbox, or, where the loop itself runs the task, at once but seldom."""
        inbox.put_metadata(start, metadata)
        if threading.get_ident() == loop and self._clock.now() - self._flushed_at >= FLUSH_AFTER_S:
            self._flushed_at = self._clock.now()
            with suppress(StorageError):  # no failure of the task: the next commit carries it too, or fails as well
                self._decide(run, self._annotations())
