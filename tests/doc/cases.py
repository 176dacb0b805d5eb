"""The runs that decision 0001 traces."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from doc.tracing import Trace
from flowbook import (
    Decision,
    Failure,
    Flow,
    GraphFlow,
    History,
    LinearFlow,
    Notice,
    Retry,
    Task,
    UnorderedFlow,
    current,
    engines,
)
from flowbook.engines import Engine
from flowbook.engines.core.messages import Annotate, Ended, Message
from flowbook.engines.executors.base import Outcome
from flowbook.flows import Depth
from flowbook.persistence import Backend, fetch
from unit.engines.clocks import ManualClock


class Works(Task):
    """Returns its name, and can be reverted."""

    def execute(self) -> str:
        return self.name

    def revert(self, result: object) -> None:
        assert result == self.name or isinstance(result, Failure)


class Fails(Works):
    """Raises."""

    def execute(self) -> str:
        raise ValueError(self.name)


class Tells(Works):
    """Says that it is half done, then waits until that was heard (if anybody waits for it)."""

    def __init__(self, name: str, heard: threading.Event | None = None) -> None:
        super().__init__(name)
        self._heard = heard

    def execute(self) -> str:
        current().update_progress(0.5)
        if self._heard is not None:
            assert self._heard.wait(30)
        return self.name


class Says(Retry):
    """Counts its rounds, and says what it was told to say, failure by failure."""

    def __init__(self, name: str, *decisions: Decision) -> None:
        super().__init__(name)
        self._decisions = iter(decisions)

    def execute(self, history: History) -> int:
        return len(history) + 1

    def on_failure(self, history: History) -> Decision:
        return next(self._decisions)

    def revert(self, history: History) -> None:
        assert len(history)


class Waits(Says):
    """Waits 10 seconds before it begins another round."""

    def delay_s(self, history: History, chance: float) -> float:
        return 10.0


class Recovers(Works):
    """Raises in its first round."""

    def execute(self) -> str:
        if not current().round:
            raise ValueError(self.name)
        return self.name


class AtOnce:
    """An executor whose attempts end while they are handed over, but for one that is held until `release`."""

    def __init__(self, holds: str = "") -> None:
        self._holds = holds
        self._held: Callable[[], None] | None = None

    def submit(self, call: Callable[..., Outcome], task: Task, *args: Any) -> Future[Outcome]:
        future: Future[Outcome] = Future()

        def work() -> None:
            future.set_result(call(task, *args))

        if task.name == self._holds:
            self._held, self._holds = work, ""
        else:
            work()
        return future

    def release(self) -> None:
        """Let the held attempt end, if there is one."""
        held, self._held = self._held, None
        if held is not None:
            held()


class Killed(BaseException):
    """Stands for the end of the process."""


def chain(last: type[Works] = Works) -> LinearFlow:
    return LinearFlow("f").add(Works("a"), Works("b"), last("c"))


def siblings() -> UnorderedFlow:
    return UnorderedFlow("f").add(Fails("a"), Works("b"))


def nested() -> LinearFlow:
    """Return a flow whose inner retry says RETRY, REVERT and REVERT_ALL, its outer one RETRY when it is asked."""
    inner = Says("I", Decision.RETRY, Decision.REVERT, Decision.REVERT_ALL)
    return LinearFlow("f", retry=Says("O", Decision.RETRY)).add(
        Works("x"), LinearFlow("inner", retry=inner).add(Fails("y"))
    )


def decided(depth: Depth) -> LinearFlow:
    """Return a flow a, b, c, d with a decider before b that says no, and e behind that flow."""
    a, b, c, d = (Works(name) for name in "abcd")
    inner = GraphFlow("inner").add(a, b, c, d).link(b, c).link(c, d)
    inner.link(a, b, decider=lambda history: history["a"] != "a", decider_depth=depth)
    return LinearFlow("f").add(inner, Works("e"))


def engine_for(flow: Flow, backend: Backend, **options: Any) -> Engine:
    """Return an engine to which somebody listens."""
    engine = engines.load(flow, backend=backend, run_id="r", **options)
    engine.notifier.register("*", lambda notice: None)
    engine.atom_notifier.register("*", lambda notice: None)
    return engine


def strict_memory() -> Backend:
    """Return a backend that encodes like one that outlives the process."""
    return fetch("memory:?strict=true")


def run_chain(trace: Trace) -> None:
    engine_for(chain(), strict_memory()).run()


def run_siblings(trace: Trace) -> None:
    for _ in engine_for(siblings(), strict_memory()).run_iter():
        pass


def run_siblings_heard_together(trace: Trace) -> None:
    engine = engine_for(siblings(), strict_memory(), engine="parallel", executor=AtOnce(), max_workers=2)
    for _ in engine.run_iter():
        pass


def run_siblings_heard_apart(trace: Trace) -> None:
    executor = AtOnce(holds="b")

    def release(messages: Sequence[Message]) -> None:
        if any(isinstance(message, Ended) for message in messages):
            executor.release()

    trace.on_step = release
    engine = engine_for(siblings(), strict_memory(), engine="parallel", executor=executor, max_workers=2)
    for _ in engine.run_iter():
        pass


def run_nested_retries(trace: Trace) -> None:
    for _ in engine_for(nested(), strict_memory()).run_iter():
        pass


def suspend_before_a_round(trace: Trace) -> None:
    retry = Says("R", Decision.RETRY, Decision.REVERT)
    run_and_suspend(LinearFlow("f", retry=retry).add(Fails("a")), ("a", "REVERTED"))


def wait_for_a_round(trace: Trace) -> None:
    retry = Waits("R", Decision.RETRY)
    a = Recovers("a")
    clock = ManualClock(at=100.0)
    engine = engine_for(LinearFlow("f", retry=retry).add(a), strict_memory(), clock=clock)
    for told in engine.run_iter():
        if told == "WAITING" and not engine.storage.run.in_flight:
            clock.at = 110.0


def ignore(depth: Depth) -> None:
    engine_for(decided(depth), strict_memory()).run()


def ignore_flow(trace: Trace) -> None:
    ignore(Depth.FLOW)


def run_and_suspend(flow: Flow, at: tuple[str, str]) -> None:
    backend = strict_memory()
    engine = engine_for(flow, backend)

    def suspend(notice: Notice) -> None:
        if (notice.atom, notice.state) == at:
            engine.suspend()

    engine.atom_notifier.register("*", suspend)
    for _ in engine.run_iter():
        pass
    for _ in engine_for(flow, backend).run_iter():
        pass


def suspend_on_success(trace: Trace) -> None:
    run_and_suspend(chain(), ("b", "SUCCESS"))


def suspend_on_reverted(trace: Trace) -> None:
    run_and_suspend(chain(Fails), ("b", "REVERTED"))


def crash_and_resume(trace: Trace) -> None:
    backend = strict_memory()
    engine = engine_for(chain(), backend)

    def die(notice: Notice) -> None:
        if notice.atom == "b":
            raise Killed

    engine.atom_notifier.register("RUNNING", die)
    with suppress(Killed):
        engine.run()
    engine_for(chain(), backend).run()


def tell_progress(trace: Trace) -> None:
    heard = threading.Event()

    def hear(messages: Sequence[Message]) -> None:
        if any(isinstance(message, Annotate) for message in messages):
            heard.set()

    trace.on_step = hear
    engine = engine_for(
        LinearFlow("f").add(Tells("a", heard), Tells("b")), strict_memory(), engine="parallel", max_workers=1
    )
    engine.run()
