"""Random cases: a nested flow, what fails in it, and how often it is suspended or its process dies.

A case is plain data, which can be made smaller and drawn again from its seed; `build` makes the flow that it means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from flowbook.atoms import Task
from flowbook.flows import Flow, GraphFlow, LinearFlow, UnorderedFlow

T = TypeVar("T")

PATTERNS = {"linear": LinearFlow, "unordered": UnorderedFlow, "graph": GraphFlow}
SYMBOLS = ("x0", "x1", "x2", "x3", "x4", "x5")
MOST_ATOMS = 40


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
class Part:
    """A flow; ``links`` are pairs of names of its children, ``resolves`` says whether symbols link them as well."""

    name: str
    pattern: str
    children: tuple[Step | Part, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    resolves: bool = True


@dataclass(frozen=True)
class Case:
    """A flow, its inputs, what fails, which results are short of their last part, and how often a run is disturbed.

    ``suspends`` and ``crashes`` are probabilities a step; orders of completion follow from the seed. ``window`` is that
    of the first owner: those that come after a crash may have less room.
    """

    seed: int
    flow: Part
    window: int
    inputs: frozenset[str] = frozenset()
    fails: frozenset[str] = frozenset()
    revert_fails: frozenset[str] = frozenset()
    short: frozenset[str] = frozenset()
    suspends: float = 0.0
    crashes: float = 0.0
    listening: bool = False


class Strict(Task):
    def execute(self, **values: object) -> None: ...

    def revert(self, **values: object) -> None: ...


class Lenient(Task):
    def execute(self, x0: object = None, x1: object = None, **values: object) -> None: ...

    def revert(self, x2: object = None, **values: object) -> None: ...


def draw(seed: int) -> Case:
    """Return the case of this seed."""
    random = Random(seed)
    names = [f"a{number}" for number in range(int((MOST_ATOMS + 1) ** random.random()))]
    density = random.choice((0.0, 0.1, 0.4))
    steps = [_step(name, density, random) for name in names]
    flow = _part(steps, [0], random)
    return Case(
        seed,
        flow,
        window=random.choice((1, 1, 2, 3, 5, 100)),
        inputs=frozenset(_some(SYMBOLS, random.choice((0.0, 0.3, 1.0)), random)),
        fails=frozenset(_some(names, random.choice((0.0, 0.05, 0.2)), random)),
        revert_fails=frozenset(_some(names, random.choice((0.0, 0.0, 0.0, 0.1)), random)),
        short=frozenset(_some(names, random.choice((0.0, 0.2)), random)),
        suspends=random.choice((0.0, 0.0, 0.1, 0.3)),
        crashes=random.choice((0.0, 0.0, 0.1, 0.3)),
        listening=random.random() < 0.5,
    )


def _step(name: str, density: float, random: Random) -> Step:
    if not density and random.random() < 0.8:
        return Step(name, priority=random.choice((0, 0, 0, 1)))
    return Step(
        name,
        provides=tuple(_some(SYMBOLS, density, random)[:2]),
        requires=tuple(_some(SYMBOLS, density / 3, random)),
        reverts_with=tuple(_some(SYMBOLS, density / 15, random)),
        lenient=random.random() < density,
        priority=random.choice((0, 0, 0, 0, -1, 2)),
    )


def _part(steps: list[Step], count: list[int], random: Random, depth: int = 0) -> Part:
    """Return a flow of these steps; ``count`` numbers the flows."""
    name = f"f{count[0]}"
    count[0] += 1
    children: list[Step | Part] = []
    rest = steps
    while rest:
        size = random.randint(1, len(rest))
        inner, rest = rest[:size], rest[size:]
        if depth < 5 and random.random() < 0.4:
            children.append(_part(inner, count, random, depth + 1))
        else:
            children += inner
    if depth < 5 and random.random() < 0.1:
        children.insert(random.randint(0, len(children)), _part([], count, random, depth + 1))
    pattern = random.choice(tuple(PATTERNS))
    links: tuple[tuple[str, str], ...] = ()
    if pattern == "graph":
        if random.random() < 0.3:
            random.shuffle(children)
        likely = random.choice((0.0, 0.1, 0.5))
        pairs = [(one.name, other.name) for at, other in enumerate(children) for one in children[:at]]
        links = tuple(_some(pairs, likely, random))
    return Part(name, pattern, tuple(children), links, resolves=random.random() < 0.8)


def _some(things: Sequence[T], likely: float, random: Random) -> list[T]:
    return [thing for thing in things if random.random() < likely]


def build(item: Step | Part) -> Task | Flow:
    """Return the atom or flow that is meant."""
    if isinstance(item, Step):
        kind = Lenient if item.lenient else Strict
        provides = item.provides[0] if len(item.provides) == 1 else item.provides
        made = kind(item.name, provides, item.requires, revert_requires=item.reverts_with)
        made.priority = item.priority
        return made
    flow = PATTERNS[item.pattern](item.name)
    children = {child.name: build(child) for child in item.children}
    if not isinstance(flow, GraphFlow):
        return flow.add(*children.values())
    for child in children.values():
        flow.add(child, resolve_requires=item.resolves, resolve_existing=item.resolves)
    for source, target in item.links:
        flow.link(children[source], children[target])
    return flow


def steps_of(item: Step | Part) -> Iterator[Step]:
    """Yield all atoms within."""
    if isinstance(item, Step):
        yield item
    else:
        for child in item.children:
            yield from steps_of(child)
