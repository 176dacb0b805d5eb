"""The shapes of flows that are compared: for each atom, the atoms that it comes after."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

_FROM_EACH = 3


def chain(atoms: int) -> list[list[int]]:
    """Return atoms in a row."""
    return [[number - 1] if number else [] for number in range(atoms)]


def fan(atoms: int) -> list[list[int]]:
    """Return atoms that need nothing of each other."""
    return [[] for _ in range(atoms)]


def layers(width: int, atoms: int) -> list[list[int]]:
    """Return layers of ``width``: each atom comes after three of the layer before it, the same ones every time."""
    chance = random.Random(1)
    after: list[list[int]] = []
    for number in range(atoms):
        start = number // width * width
        after.append(chance.sample(range(start - width, start), _FROM_EACH) if start else [])
    return after


SHAPES: dict[str, Callable[[int], list[list[int]]]] = {
    "chain": chain,
    "fan": fan,
    "layers": partial(layers, 100),
    "wide layers": partial(layers, 1_000),
}
