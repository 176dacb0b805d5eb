"""Random cases: a nested flow, what fails in it, and how often it is suspended or its process dies.

A case is plain data, which can be made smaller and drawn again from its seed; `build` makes the flow that it means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple, TypeVar

from flowbook.atoms import Retry, Task
from flowbook.atoms.history import History
from flowbook.atoms.retry import Decision
from flowbook.flows import Flow, GraphFlow, LinearFlow, UnorderedFlow
from flowbook.flows.deciders import Depth

T = TypeVar("T")

PATTERNS = {"linear": LinearFlow, "unordered": UnorderedFlow, "graph": GraphFlow}
SYMBOLS = ("x0", "x1", "x2", "x3", "x4", "x5")
MOST_ATOMS = 40
MOST_RETRIES_DEEP = 3
DELAYS_S = (5.0, 20.0)
ENDING = ("REVERT", "REVERT", "REVERT_ALL", "RAISES")


@dataclass(frozen=True)
class Step:
    """An atom: what it gives and takes, by ``execute`` and by ``revert``; a lenient one takes two symbols if it can."""

    name: str
    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    reverts_with: tuple[str, ...] = ()
    lenient: bool = False
    priority: int = 0


@dataclass(frozen=True)
class Controller(Step):
    """A retry: what it answers to the first failure in its history, to the second, and so on; the last one for ever.

    Answers are decisions, or RAISES. It waits ``delay_s`` before each further round.
    """

    answers: tuple[str, ...] = ("REVERT",)
    delay_s: float = 0.0

    def answer(self, failures: int) -> str:
        """Return what it says when its history has so many failures."""
        return self.answers[min(failures, len(self.answers)) - 1]


@dataclass(frozen=True)
class Voter:
    """A decider on the link of two children by their names; it says YES, NO or RAISES, by atom and round."""

    source: str
    target: str
    depth: str
    says: tuple[str, ...]

    def answer(self, name: str, round_: int) -> str:
        """Return what it says about an atom in this round."""
        return self.says[(sum(name.encode()) + round_) % len(self.says)]

    def __call__(self, history: Mapping[str, object]) -> bool:
        said = self.says[len(history) % len(self.says)]  # engines do not tell a decider what it decides about
        if said == "RAISES":
            raise RuntimeError(said)
        return said == "YES"


@dataclass(frozen=True)
class Part:
    """A flow; ``links`` are pairs of names of its children, ``resolves`` says whether symbols link them as well."""

    name: str
    pattern: str
    children: tuple[Step | Part, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    resolves: bool = True
    retry: Controller | None = None
    voters: tuple[Voter, ...] = ()


@dataclass(frozen=True)
class Case:
    """A flow, its inputs, what fails, which results are short of their last part, and how often a run is disturbed.

    Of what fails, those that recover fail in their first round only. ``suspends`` and ``crashes`` are probabilities a
    step; orders of completion follow from the seed. ``window`` is that of the first owner: those that come after a
    crash may have less room.
    """

    seed: int
    flow: Part
    window: int
    inputs: frozenset[str] = frozenset()
    fails: frozenset[str] = frozenset()
    recovers: frozenset[str] = frozenset()
    revert_fails: frozenset[str] = frozenset()
    short: frozenset[str] = frozenset()
    suspends: float = 0.0
    crashes: float = 0.0
    listening: bool = False
    defer_reverts: bool = False
    never_resolve: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether there are neither retries nor deciders: these cases the plain reference can tell."""
        parts = list(parts_of(self.flow))
        return not (self.never_resolve or any(part.retry or part.voters for part in parts))


class Strict(Task):
    def execute(self, **values: object) -> None: ...

    def revert(self, **values: object) -> None: ...


class Lenient(Task):
    def execute(self, x0: object = None, x1: object = None, **values: object) -> None: ...

    def revert(self, x2: object = None, **values: object) -> None: ...


class Asked(Retry):
    def __init__(self, controller: Controller, **wiring: Any) -> None:
        super().__init__(controller.name, **wiring)
        self.controller = controller

    def execute(self, history: History, **values: object) -> int:
        return len(history)

    def on_failure(self, history: History, **values: object) -> Decision:
        said = self.controller.answer(len(list(history.outcomes_iter())))
        if said == "RAISES":
            raise RuntimeError(said)
        return Decision(said)

    def delay_s(self, history: History, chance: float) -> float:
        return self.controller.delay_s

    def revert(self, **values: object) -> None: ...


class LenientAsked(Asked):
    def execute(self, history: History, x0: object = None, **values: object) -> int:
        return len(history)

    def on_failure(self, history: History, x1: object = None, x3: object = None, **values: object) -> Decision:
        return super().on_failure(history)

    def revert(self, x2: object = None, **values: object) -> None: ...


class Likely(NamedTuple):
    """How likely each is: symbols of an atom, a retry of a flow, a decider on a link."""

    symbols: float
    retry: float
    voter: float


def draw(seed: int) -> Case:
    """Return the case of this seed."""
    random = Random(seed)
    count = random.choice((random.randint(3, 12), int((MOST_ATOMS + 1) ** random.random())))
    flow = draw_flow(random, count)
    names = [step.name for step in steps_of(flow)]
    return Case(
        seed,
        flow,
        window=random.choice((1, 1, 2, 3, 5, 100)),
        inputs=frozenset(_some(SYMBOLS, random.choice((0.0, 0.5, 1.0, 1.0)), random)),
        fails=frozenset(_some(names, random.choice((0.0, 0.05, 0.2, 0.4)), random)),
        recovers=frozenset(_some(names, random.choice((0.0, 0.7)), random)),
        revert_fails=frozenset(_some(names, random.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.1)), random)),
        short=frozenset(_some(names, random.choice((0.0, 0.2)), random)),
        suspends=random.choice((0.0, 0.0, 0.1, 0.3)),
        crashes=random.choice((0.0, 0.0, 0.1, 0.3)),
        listening=random.random() < 0.5,
        defer_reverts=random.random() < 0.3,
        never_resolve=random.random() < 0.03,
    )


def draw_flow(random: Random, count: int) -> Part:
    """Return a flow of so many atoms, retries apart; one in four has neither retries nor deciders."""
    likely = Likely(random.choice((0.0, 0.1, 0.4)), random.choice((0.1, 0.4, 0.7)), random.choice((0.0, 0.3, 0.8)))
    if random.random() < 0.25:
        likely = Likely(likely.symbols, 0.0, 0.0)
    steps = [_step(name, likely.symbols, random) for name in (f"a{number}" for number in range(count))]
    return _part(steps, [0], random, likely)


def _step(name: str, density: float, random: Random) -> Step:
    if not density and random.random() < 0.8:
        return Step(name, priority=random.choice((0, 0, 0, 1)))
    return Step(
        name,
        provides=tuple(_some(SYMBOLS, density, random)[:2]),
        requires=tuple(_some(SYMBOLS, density / 3, random)),
        reverts_with=tuple(_some(SYMBOLS, density / 30, random)),
        lenient=random.random() < density,
        priority=random.choice((0, 0, 0, 0, -1, 2)),
    )


def _controller(name: str, density: float, random: Random) -> Controller:
    step = _step(name, density, random)
    answers = random.choices(("RETRY", "RETRY", "RETRY", random.choice(ENDING)), k=random.randint(0, 3))
    fields = {field: getattr(step, field) for field in ("provides", "requires", "reverts_with", "lenient", "priority")}
    delay_s = Random(f"{name} {answers}").choice((0.0, 0.0, *DELAYS_S))
    return Controller(name, **fields, answers=(*answers, random.choice(ENDING)), delay_s=delay_s)


def _part(
    steps: list[Step], count: list[int], random: Random, likely: Likely, depth: int = 0, retries: int = 0
) -> Part:
    """Return a flow of these steps; ``count`` numbers the flows, ``retries`` says how many are around."""
    name = f"f{count[0]}"
    retry: Controller | None = None
    if retries < MOST_RETRIES_DEEP and random.random() < likely.retry:
        retry = _controller(f"r{count[0]}", likely.symbols, random)
        retries += 1
    count[0] += 1
    children: list[Step | Part] = []
    rest = steps
    while rest:
        size = random.randint(1, len(rest))
        inner, rest = rest[:size], rest[size:]
        if depth < 5 and random.random() < 0.4:
            children.append(_part(inner, count, random, likely, depth + 1, retries))
        else:
            children += inner
    if depth < 5 and random.random() < 0.1:
        children.insert(random.randint(0, len(children)), _part([], count, random, likely, depth + 1, retries))
    pattern = random.choice((*PATTERNS, "graph"))
    links: tuple[tuple[str, str], ...] = ()
    if pattern == "graph":
        if random.random() < 0.3:
            random.shuffle(children)
        density = random.choice((0.0, 0.2, 0.5))
        pairs = [(one.name, other.name) for at, other in enumerate(children) for one in children[:at]]
        links = tuple(_some(pairs, density, random))
    voters = tuple(_voter(*link, random) for link in _some(links, likely.voter, random))
    return Part(name, pattern, tuple(children), links, random.random() < 0.8, retry, voters)


def _voter(source: str, target: str, random: Random) -> Voter:
    says = random.choices(("YES", "YES", "NO", "NO", random.choice(("YES", "RAISES"))), k=2)
    return Voter(source, target, random.choice(tuple(Depth)).value, tuple(says))


def _some(things: Sequence[T], likely: float, random: Random) -> list[T]:
    return [thing for thing in things if random.random() < likely]


def build(item: Step | Part) -> Task | Flow:
    """Return the atom or flow that is meant."""
    if isinstance(item, Step):
        made = (Lenient if item.lenient else Strict)(item.name, **_wiring(item))
        made.priority = item.priority
        return made
    flow = PATTERNS[item.pattern](item.name, retry=None if item.retry is None else _asked(item.retry))
    children = {child.name: build(child) for child in item.children}
    if not isinstance(flow, GraphFlow):
        return flow.add(*children.values())
    for child in children.values():
        flow.add(child, resolve_requires=item.resolves, resolve_existing=item.resolves)
    for source, target in item.links:
        flow.link(children[source], children[target])
    for voter in item.voters:
        flow.link(children[voter.source], children[voter.target], voter, voter.depth)
    return flow


def _asked(item: Controller) -> Asked:
    made = (LenientAsked if item.lenient else Asked)(item, **_wiring(item))
    made.priority = item.priority
    return made


def _wiring(item: Step) -> dict[str, Any]:
    provides = item.provides[0] if len(item.provides) == 1 else item.provides
    return {"provides": provides, "requires": item.requires, "revert_requires": item.reverts_with}


def steps_of(item: Step | Part) -> Iterator[Step]:
    """Yield all atoms within."""
    if isinstance(item, Step):
        yield item
        return
    if item.retry is not None:
        yield item.retry
    for child in item.children:
        yield from steps_of(child)


def parts_of(part: Part) -> Iterator[Part]:
    """Yield this flow and all within."""
    yield part
    for child in part.children:
        if isinstance(child, Part):
            yield from parts_of(child)
