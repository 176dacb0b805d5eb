"""The flows that are crashed, each with a log of what it really did.

Every attempt adds a line to a file that the input ``log`` names, as its first act; so the file tells what was done,
whatever the logbook says. How each flow ends does not depend on which of two attempts is the quicker one.
"""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import flowbook
from flowbook import Flow, GraphFlow, LinearFlow, Task, UnorderedFlow


class Line(NamedTuple):
    """One line of the log: an attempt that was begun."""

    direction: str
    atom: str
    round: int
    attempt: int
    pid: int
    key: str

    @property
    def what(self) -> tuple[str, str, int]:
        """Return what may be done once only."""
        return self.direction, self.atom, self.round


def note(log: str) -> None:
    """Add a line about the present attempt; one write, so that lines of several processes do not mix.

    Where this process was told to do something in that attempt, it does it then.
    """
    now = flowbook.current()
    line = f"{now.direction} {now.atom} {now.round} {now.attempt} {os.getpid()} {now.idempotency_key}\n"
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode(errors="backslashreplace"))
    finally:
        os.close(file)
    _IN_ATTEMPTS.pop(next(_attempts), _nothing)()


def in_attempt(number: int, act: Callable[[], None]) -> None:
    """Have this process do something in its attempt of that number, counted from 1."""
    _IN_ATTEMPTS[number] = act


_attempts = itertools.count(1)
_IN_ATTEMPTS: dict[int, Callable[[], None]] = {}


def _nothing() -> None:
    """Do nothing."""


def lines_of(log: str | os.PathLike[str]) -> list[Line]:
    """Return the lines of a log; none when nothing was done."""
    try:
        with open(log, encoding="utf-8") as file:
            found = [line.split() for line in file]
    except FileNotFoundError:
        return []
    return [
        Line(direction, atom, int(round_), int(attempt), int(pid), key)
        for direction, atom, round_, attempt, pid, key in found
    ]


class Step(Task):
    """Notes what it does, and returns a number made of its name and of all that it was given."""

    def __init__(self, name: str, *, after: Sequence[str] = (), **options: Any) -> None:
        super().__init__(name, provides=f"of_{name}", requires=[f"of_{other}" for other in after], **options)

    def execute(self, log: str, **given: int) -> int:
        note(log)
        return zlib.crc32(repr((self.name, sorted(given.items()))).encode())

    def revert(self, log: str, **given: object) -> None:
        note(log)


class Broken(Step):
    """Raises when it is executed."""

    def execute(self, log: str, **given: int) -> int:
        note(log)
        raise ValueError(f"{self.name} is broken")


class Stuck(Step):
    """Raises when it is reverted."""

    def revert(self, log: str, **given: object) -> None:
        note(log)
        raise OSError(f"{self.name} is stuck")


class Flaky(Step):
    """Raises when it is executed, until the given round."""

    def __init__(self, name: str, succeeds_in: int, **options: Any) -> None:
        super().__init__(name, **options)
        self.succeeds_in = succeeds_in

    def execute(self, log: str, **given: int) -> int:
        if flowbook.current().round >= self.succeeds_in:
            return super().execute(log, **given)
        note(log)
        raise ValueError(f"{self.name} is flaky")


class Cancelling(Step):
    """Cancels the flow that this process runs, by what `on_cancel` was told."""

    def execute(self, log: str, **given: int) -> int:
        result = super().execute(log, **given)
        _CANCEL[-1]()
        return result


def on_cancel(cancel: Callable[[], None]) -> None:
    """Say what cancels the flow that is run next."""
    _CANCEL.append(cancel)


_CANCEL: list[Callable[[], None]] = []


class Noted(flowbook.Times):
    """Begins a number of rounds, and notes what it does; what it gives is how many rounds there were."""

    def execute(self, history: flowbook.History, log: str) -> int:
        note(log)
        return super().execute(history)

    def on_failure(self, history: flowbook.History) -> flowbook.Decision:
        assert history[-1][1], "the failure that it is asked about"
        return super().on_failure(history)

    def revert(self, log: str, **given: object) -> None:
        note(log)


class Telling(Step):
    """Tells its progress."""

    def execute(self, log: str, **given: int) -> int:
        note(log)
        for tenth in (2, 5, 10):
            flowbook.current().update_progress(tenth / 10)
        return tenth


@dataclass(frozen=True)
class Canonical:
    """A flow to crash: how to make it, and at which atom's SUCCESS or REVERTED a listener suspends it."""

    make: Callable[[], Flow]
    suspended_by: frozenset[tuple[str, str]] = field(default_factory=frozenset)


def chain(name: str, *names: str, after: Sequence[str] = ()) -> LinearFlow:
    flow = LinearFlow(name)
    for atom in names:
        flow.add(Step(atom, after=after))
        after = (atom,)
    return flow


def _linear() -> Flow:
    return chain("linear", *"abcdefgh")


def _parallel() -> Flow:
    fan = UnorderedFlow("fan").add(*[Step(f"f{i}", after=["first"]) for i in range(6)])
    return LinearFlow("parallel").add(Step("first"), fan, Step("join", after=[f"f{i}" for i in range(6)]))


def _diamond() -> Flow:
    bottom = Step("bottom", after=["left", "right"])
    return GraphFlow("diamond").add(bottom, Step("right", after=["top"]), Step("left", after=["top"]), Step("top"))


def _failing() -> Flow:
    return LinearFlow("failing").add(Broken("bad"), Step("never"))


def _failing_fan() -> Flow:
    atoms = [Broken(f"f{i}") if i == 2 else Step(f"f{i}") for i in range(6)]
    return LinearFlow("failing fan").add(Step("first"), UnorderedFlow("fan").add(*atoms), Step("never"))


def _reverting() -> Flow:
    fan = UnorderedFlow("fan").add(*[Step(f"f{i}", after=["b"]) for i in range(3)])
    inner = LinearFlow("inner").add(Step("b", after=["a"]), fan, Step("c", after=["f0", "f1", "f2"]))
    return LinearFlow("reverting").add(Step("a"), inner, Step("d"), Broken("bad"), Step("never"))


def _failing_revert() -> Flow:
    return LinearFlow("failing revert").add(Step("a"), Stuck("b"), Step("c"), Broken("bad"))


def _failing_revert_in_a_fan() -> Flow:
    fan = UnorderedFlow("fan").add(Step("f0"), Stuck("f1"), Step("f2"), Step("f3"))
    return LinearFlow("failing revert in a fan").add(Step("a"), fan, Broken("bad"))


def _suspended() -> Flow:
    fan = UnorderedFlow("fan").add(*[Step(f"f{i}", after=["b"]) for i in range(4)])
    return LinearFlow("suspended").add(Step("a"), Step("b"), fan, Step("c"), Broken("bad"))


def _nested() -> Flow:
    deepest = UnorderedFlow("deepest").add(chain("left", "l1", "l2", after=["a"]), chain("right", "r1", "r2"))
    graph = GraphFlow("graph").add(Step("g2", after=["g1"]), Step("g1", after=["l2", "r2"]))
    return LinearFlow("nested").add(Step("a"), LinearFlow("middle").add(deepest, graph), Step("z", after=["g2"]))


def _graph() -> Flow:
    names = {"a": "", "b": "", "c": "a", "d": "ab", "e": "b", "f": "cd", "g": "de", "h": "fg"}
    atoms = {name: Step(name, after=list(after)) for name, after in names.items()}
    linked = {name: Step(name) for name in ("i", "j", "k")}
    flow = GraphFlow("graph").add(*atoms.values(), *linked.values())
    flow.link(atoms["c"], linked["i"]).link(linked["i"], linked["j"]).link(atoms["h"], linked["k"])
    return flow.link(linked["j"], linked["k"])


def _progress() -> Flow:
    fan = UnorderedFlow("fan").add(Telling("f0"), Telling("f1"))
    return LinearFlow("progress").add(Telling("a"), fan, Telling("b"))


def _many() -> Flow:
    flow = LinearFlow("many")
    for layer in range(10):
        above = [[f"l{layer - 1}n{i}", f"l{layer - 1}n{(i + 1) % 20}"] if layer else [] for i in range(20)]
        atoms = [Step(f"l{layer}n{i}", after=above[i]) for i in range(20)]
        flow.add(UnorderedFlow(f"layer {layer}").add(*atoms))
    return flow


def _cancelled() -> Flow:
    """Cancelled by an atom while it runs: should it be interrupted, it does so again, or that is written down."""
    flow = LinearFlow("cancelled").add(Step("a"), Step("b"), Cancelling("c"), Step("never"))
    return LinearFlow("outer", retry=Noted(9, "again")).add(Step("first"), flow)


def _retried() -> Flow:
    fan = UnorderedFlow("fan").add(*[Step(f"f{i}", after=["a"]) for i in range(2)], Flaky("f2", 2))
    flow = LinearFlow("retried", retry=Noted(3, "again", provides="of_again")).add(Step("a", after=["again"]), fan)
    return LinearFlow("outer").add(Step("first"), flow, Step("last", after=["f2", "again"]))


def _retried_later() -> Flow:
    """A scope that waits before each round, while another one goes on beside it."""
    again = Noted(3, "again", backoff=flowbook.Backoff(5, jitter=0.5))
    waits = LinearFlow("waits", retry=again).add(Step("a"), Flaky("b", 2), Step("c", after=["b"]))
    beside = LinearFlow("beside", retry=Noted(2, "beside_again")).add(Step("d"), Flaky("e", 1), Step("f"))
    both = UnorderedFlow("both").add(waits, beside)
    return LinearFlow("outer").add(Step("first"), both, Step("last", after=["c", "f"]))


def _reverted_while_it_waits() -> Flow:
    """A scope that waits before a round that never begins: what is beside it fails for good."""
    again = Noted(2, "again", backoff=flowbook.Backoff(1_000_000, maximum=1_000_000))
    waits = LinearFlow("waits", retry=again).add(Step("a"), Flaky("b", 1))
    beside = chain("beside", *"cdef").add(Broken("bad"))
    return LinearFlow("outer").add(Step("first"), UnorderedFlow("both").add(waits, beside))


def _retries_in_retries() -> Flow:
    inner = LinearFlow("inner", retry=Noted(2, "inner_again")).add(Step("c"), Flaky("d", 3))
    return LinearFlow("outer", retry=Noted(2, "outer_again")).add(Step("a"), inner, Step("e", after=["d"]))


def _retries_that_give_up() -> Flow:
    inner = LinearFlow("inner", retry=Noted(2, "inner_again")).add(Step("c"), Broken("bad"))
    outer = LinearFlow("outer", retry=Noted(1, "outer_again", revert_all=True)).add(Step("b"), inner)
    return LinearFlow("all").add(Step("a"), outer, Step("never"))


def _retry_reverted_alone() -> Flow:
    inner = LinearFlow("inner", retry=Noted(1, "again")).add(Step("c"), Broken("bad"))
    return LinearFlow("all").add(Step("a"), inner, Step("never"))


def _decided() -> Flow:
    a, b, c, d = Step("a"), Step("b"), Step("c"), Step("d")
    inner = LinearFlow("inner").add(Step("x"), Step("y"))
    flow = GraphFlow("decided").add(a, b, c, d, inner)
    flow.link(a, b, decider=_no, decider_depth="ATOM").link(b, c).link(a, d, decider=_yes)
    return LinearFlow("outer").add(flow.link(d, inner, decider=_no, decider_depth="ALL"), Step("after"))


def _decided_in_rounds() -> Flow:
    a, b, c = Step("a"), Step("b"), Flaky("c", 1)
    flow = GraphFlow("decided", retry=Noted(2, "again")).add(a, b, c)
    return flow.link(a, b, decider=_no, decider_depth="ATOM").link(b, c)


def _no(history: dict[str, Any]) -> bool:
    assert history, "the result of the atom before"
    return False


def _yes(history: dict[str, Any]) -> bool:
    assert history, "the result of the atom before"
    return True


CANONICAL = {
    "linear": Canonical(_linear),
    "parallel": Canonical(_parallel),
    "diamond": Canonical(_diamond),
    "failing": Canonical(_failing),
    "failing_fan": Canonical(_failing_fan),
    "reverting": Canonical(_reverting),
    "failing_revert": Canonical(_failing_revert),
    "failing_revert_in_a_fan": Canonical(_failing_revert_in_a_fan),
    "suspended": Canonical(
        _suspended, frozenset({("a", "SUCCESS"), ("f1", "SUCCESS"), ("c", "REVERTED"), ("f2", "REVERTED")})
    ),
    "cancelled": Canonical(_cancelled),
    "cancelled_and_suspended": Canonical(_cancelled, frozenset({("b", "REVERTED")})),
    "nested": Canonical(_nested),
    "graph": Canonical(_graph),
    "progress": Canonical(_progress),
    "retried": Canonical(_retried),
    "retried_later": Canonical(_retried_later),
    "retry_suspended_later": Canonical(_retried_later, frozenset({("a", "REVERTED"), ("again", "SUCCESS")})),
    "reverted_while_it_waits": Canonical(_reverted_while_it_waits),
    "retries_in_retries": Canonical(_retries_in_retries),
    "retries_that_give_up": Canonical(_retries_that_give_up),
    "retry_reverted_alone": Canonical(_retry_reverted_alone),
    "retry_suspended": Canonical(_retried, frozenset({("f0", "REVERTED"), ("a", "REVERTED"), ("again", "SUCCESS")})),
    "decided": Canonical(_decided),
    "decided_in_rounds": Canonical(_decided_in_rounds),
    "many": Canonical(_many),
}
"""By name; ``many`` has 200 atoms."""
