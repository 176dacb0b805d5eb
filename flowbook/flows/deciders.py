"""Deciders: functions on links that say whether what comes after is run, and how far a no reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Self

from flowbook.exceptions import NotPossible, WrongType, did_you_mean

Decider = Callable[..., bool]
"""Called as ``decider(history={name: result})`` with those predecessors of the atom that vote."""


class Depth(StrEnum):
    """What else is ignored when a decider says no, from the widest to the narrowest."""

    ALL = "ALL"
    """The atom and everything that comes after it."""

    FLOW = "FLOW"
    """The atom and what comes after it in the same flow."""

    NEIGHBORS = "NEIGHBORS"
    """The atom and those that come directly after it."""

    ATOM = "ATOM"
    """The atom alone."""

    @classmethod
    def translate(cls, word: Any) -> Self:  # whatever a caller or a file says
        """Return the depth of this name, in any case. Raises WrongType or NotPossible when it is none."""
        if isinstance(word, cls):
            return word
        if not isinstance(word, str):
            raise WrongType("the depth of a decider", word, "a Depth or its name")
        try:
            return cls(word.upper())
        except ValueError:
            known = [depth.value for depth in cls]
            text = f"no depth is called {word!r}; there are {', '.join(known)}"
            raise NotPossible(text, todo=did_you_mean(word.upper(), known)) from None


_WIDEST_FIRST = tuple(Depth)


def pick_widest(depths: Iterable[Depth]) -> Depth:
    """Return the depth that reaches furthest. Raises NotPossible when there is none to pick from."""
    given = set(depths)
    for depth in _WIDEST_FIRST:
        if depth in given:
            return depth
    raise NotPossible("there is no depth to pick from")
