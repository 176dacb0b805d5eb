"""What of a value may be shown: secrets masked, the rest in bounded length."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from flowbook.exceptions import WrongType
from flowbook.secrets.masking import MASK
from flowbook.secrets.masking import masked as without_secrets

_DEPTH_MAX: Final = 100


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = 20
        self.maxstring = self.maxother = self.maxlong = 200

    def repr_str(self, x: str, level: int) -> str:
        """Return a text, its secrets masked before it is cut."""
        return super().repr_str(without_secrets(x), level)

    def repr_instance(self, x: Any, level: int) -> str:
        """Return the representation of an object, as above."""
        try:
            text = without_secrets(repr(x))
        except Exception:  # it is the caller's code
            return super().repr_instance(x, level)
        end = (self.maxother - 3) // 2
        return text if len(text) <= self.maxother else f"{text[:end]}...{text[-end - 1 :]}"


shown: Final = _Short().repr
"""Return a value's representation, cut where it is long or deep."""


def names_in(given: Collection[str], what: str) -> frozenset[str]:
    """Return names as a set. Raises WrongType for a single text: its letters are not meant."""
    if isinstance(given, str):
        raise WrongType(what, given, "a collection of names, such as a list")
    return frozenset(given)


def masked(value: Any, keys: Collection[str]) -> Any:  # whatever a task gave
    """Return ``value``, with ``***`` for all that stands under one of ``keys`` in it.

    It is looked for in mappings, dataclasses, named tuples, lists and tuples in one another; the first three come
    back as dicts.
    """
    return _Masking(frozenset(keys)).of(value, 0) if keys else value


class _Masking:
    """Makes the masked copy of one value; what stands in it many times, or in itself, is looked into once."""

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys = keys
        self._made: dict[int, Any] = {}
        self._kept: list[Any] = []  # so that no id is given to a second object

    def of(self, value: Any, depth: int) -> Any:
        """Return the copy of ``value``, or itself when there is nothing in it to look into."""
        if id(value) in self._made:
            return self._made[id(value)]
        named = _named(value)
        if named is None and not isinstance(value, list | tuple):
            return value
        if depth == _DEPTH_MAX:
            return "..."
        self._kept.append(value)
        if named is not None:
            told = self._made[id(value)] = {}
            for key, each in named.items():
                told[key] = MASK if key in self._keys else self.of(each, depth + 1)
            return told
        items = self._made[id(value)] = []
        items += (self.of(each, depth + 1) for each in value)
        if isinstance(value, tuple):
            self._made[id(value)] = tuple(items)
        return self._made[id(value)]


def _named(value: Any) -> Mapping[Any, Any] | None:
    """Return the parts of a value that have names, or None when it has none."""
    if isinstance(value, Mapping):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        parts: Mapping[Any, Any] = value._asdict()
        return parts
    return None
