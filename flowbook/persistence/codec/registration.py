"""Makes a program's own types known to the codec."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flowbook.exceptions import NotPossible
from flowbook.persistence.codec import classes
from flowbook.persistence.codec.encoding import ENCODERS, STANDARD, converting


def register_type(
    cls: type,
    name: str | None = None,
    to_data: Callable[[Any], object] | None = None,
    from_data: Callable[[Any], object] | None = None,
) -> None:
    """Have instances of ``cls``, not of its subclasses, stored under ``name`` (else ``module:QualName``).

    ``to_data`` returns what is stored of an instance, of types that can be encoded; ``from_data`` makes an
    instance of it. Dataclasses, Enums and NamedTuples need neither. A class may stand in for an old one under
    its name. Raises NotPossible when the class or the name is taken.
    """
    name = classes.home(cls) if name is None else name
    _check_registration(cls, name, to_data, from_data)
    classes.remember(cls, name, from_data)
    ENCODERS.pop(cls, None)
    if to_data is not None:
        ENCODERS[cls] = converting(f'{{"!object":[{json.dumps(name)},', to_data, "]}")


def _check_registration(cls: type, name: str, to_data: object, from_data: object) -> None:
    if cls in STANDARD:
        raise NotPossible(f"{cls.__qualname__} has its stored form, and takes no other")
    if (to_data is None) is not (from_data is None):
        raise NotPossible(f"{name} is registered with one of to_data and from_data; it takes both or none")
    if to_data is None and classes.shape_of(cls) is None:
        raise NotPossible(f"{name} is no dataclass, Enum or NamedTuple", todo="register it with to_data and from_data")
    other = classes.remembered(name)
    if other is not None and classes.home(other) != classes.home(cls):
        raise NotPossible(f"{name} is registered already, for {classes.home(other)}")
