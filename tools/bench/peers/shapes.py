"""The shapes of flows that are compared: for each atom, the atoms that it comes after."""

from __future__ import annotations

import random

_LAYER = 100
_FROM_EACH = 3


def chain(atoms: int) -> list[list[int]]:
    """Return atoms in a row."""
    return [[number - 1] if number else [] for number in range(atoms)]


def fan(atoms: int) -> list[list[int]]:
    """Return atoms that need nothing of each other."""
    return [[] for _ in range(atoms)]


def layers(atoms: int) -> list[list[int]]:
    """Return layers of 100 atoms: each atom comes after three of the layer before it, the same ones every time."""
    chance = random.Random(1)
    after: list[list[int]] = []
    for number in range(atoms):
        start = number // _LAYER * _LAYER
        after.append(chance.sample(range(start - _LAYER, start), _FROM_EACH) if start else [])
    return after


SHAPES = {"chain": chain, "fan": fan, "layers": layers}
