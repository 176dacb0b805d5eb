"""What goes into the core and what comes out of it.

These values are made in every step, so they are slotted and mutable, not frozen: a frozen dataclass costs three times
as much. Nobody changes one after it was handed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowbook.atoms import retry
from flowbook.flows.deciders import Depth
from flowbook.persistence.changes import Change, Inline
from flowbook.states import Direction

ON_FAILURE, DECIDE = "on_failure", "decide"
"""The questions: what a retry wants done about a failure, and whether an atom is run at all."""


class Start:
    """A command: run this attempt of an atom on its executor."""

    __slots__ = ("attempt", "direction", "node", "round")

    def __init__(self, node: int, direction: Direction, round_: int, attempt: int) -> None:
        self.node = node
        self.direction = direction
        self.round = round_
        self.attempt = attempt


class Begin:
    """A message: an engine enters the flow, new or left by an earlier run."""

    __slots__ = ("at",)

    def __init__(self, at: float) -> None:
        self.at = at


class Ended:
    """A message: an attempt ended, with a result or with a failure.

    ``absent`` names the provided indices that the result does not have (its shape); the value itself stays a handle.
    ``began_at`` is when the attempt was really begun, which may be later than its start was committed.
    """

    __slots__ = ("absent", "at", "began_at", "failure", "result", "start")

    def __init__(
        self,
        start: Start,
        at: float,
        result: Inline | None = None,
        failure: Inline | None = None,
        absent: frozenset[int | str] | None = None,
        began_at: float | None = None,
    ) -> None:
        self.began_at = began_at
        self.start = start
        self.at = at
        self.result = result
        self.failure = failure
        self.absent = absent


class Ask:
    """A command: call a hook of the user in the engine's thread; the answer is the very next message.

    ``ON_FAILURE`` asks the retry ``node`` about ``failure``, which happened to the atom ``about`` or came through it:
    a retry that hands a failure on is what the next one is asked about. ``first`` is the scope whose retry was asked
    before all others. ``DECIDE`` asks the deciders on the links to the atom ``node``. ``wave`` is that of the atom
    whose end led to the question.
    """

    __slots__ = ("about", "failure", "first", "node", "question", "wave")

    def __init__(
        self, node: int, question: str, wave: int, about: int = -1, failure: Inline | None = None, first: int = -1
    ) -> None:
        self.node = node
        self.question = question
        self.wave = wave
        self.about = about
        self.failure = failure
        self.first = first


class Answered:
    """A message: a hook answered, with a value (for the core to read, never stored) or with a failure.

    To ``ON_FAILURE`` the value is a retry's `Decision`, to ``DECIDE`` the depth of a no, or None. A retry's RETRY may
    come with ``delay_s``: the next round begins so much later.
    """

    __slots__ = ("ask", "at", "delay_s", "failure", "value")

    def __init__(
        self,
        ask: Ask,
        at: float,
        value: retry.Decision | Depth | None = None,
        failure: Inline | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self.delay_s = delay_s
        self.ask = ask
        self.at = at
        self.value = value
        self.failure = failure


class Suspend:
    """A message: stop starting. ``withdrawn`` are starts that were committed and will not be performed."""

    __slots__ = ("at", "withdrawn")

    def __init__(self, at: float, withdrawn: Sequence[Start] = ()) -> None:
        self.at = at
        self.withdrawn = withdrawn


class Annotate:
    """A message: keep this beside the atom (its progress, say); ``start`` is the attempt that told it, if one did."""

    __slots__ = ("metadata", "node", "start")

    def __init__(self, node: int, metadata: Mapping[str, object], start: Start | None = None) -> None:
        self.node = node
        self.metadata = metadata
        self.start = start


class Woke:
    """A message: time has passed."""

    __slots__ = ("at",)

    def __init__(self, at: float) -> None:
        self.at = at


class Cancel:
    """A message: revert everything and ask nobody, for ``reason``. ``withdrawn`` is as in `Suspend`."""

    __slots__ = ("at", "reason", "withdrawn")

    def __init__(self, at: float, reason: str, withdrawn: Sequence[Start] = ()) -> None:
        self.at = at
        self.reason = reason
        self.withdrawn = withdrawn


Message = Begin | Ended | Answered | Suspend | Cancel | Annotate | Woke


class Event:
    """A change of state that somebody may want to hear of; ``node`` is None for the flow itself."""

    __slots__ = ("attempt", "node", "old", "state")

    def __init__(self, node: int | None, state: str, old: str, attempt: int = 0) -> None:
        self.node = node
        self.state = state
        self.old = old
        self.attempt = attempt


class Decision:
    """What one step decided: what to commit, what to tell once it is committed, and what to start or ask after that.

    ``endings`` and ``startings`` stay empty while nobody listens. Nothing is started while a question is open.
    ``goes_on`` says that there is more to decide, once this was told, without waiting for anything.
    """

    __slots__ = ("ask", "changes", "endings", "goes_on", "startings", "starts")

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.endings: list[Event] = []
        self.startings: list[Event] = []
        self.starts: list[Start] = []
        self.ask: Ask | None = None
        self.goes_on = False
