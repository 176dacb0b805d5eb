"""Words like ``count=3`` as values: by the annotations of a factory, or as JSON where nothing is annotated."""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from flowbook.atoms.signature import definition_of, place_at
from flowbook.exceptions import NotPossible, did_you_mean
from flowbook.secrets.places import PLACES
from flowbook.secrets.secret import Secret

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def split(words: Iterable[str], option: str) -> dict[str, str]:
    """Return the words ``name=value`` as a mapping. Raises NotPossible for others, and for a name given twice."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        where = f"{option} {word}"
        if not equals or not name:
            raise NotPossible(f"{word!r} is not NAME=VALUE", where=where, todo=f"give {option} {name or 'NAME'}=VALUE")
        if name in found:
            raise NotPossible(f"{name!r} is given twice", where=where, todo=f"give {option} {name}=... once")
        found[name] = value
    return found


def guessed(values: Mapping[str, str]) -> dict[str, object]:
    """Return values as the JSON that they are, or else as the text."""
    return {name: _json_or_text(value) for name, value in values.items()}


def secrets_in(words: Iterable[str]) -> dict[str, Secret]:
    """Return the secrets that words refer to, such as ``password=env:DB_PASSWORD``, by name.

    Raises NotPossible for others, and does not show them: they may hold what they should refer to.
    """
    found: dict[str, Secret] = {}
    for word in words:
        name, _, reference = word.partition("=")
        kind, _, place = reference.partition(":")
        if kind not in PLACES or not place or not name:
            name = name if reference and name else "NAME"
            raise NotPossible(
                f"--secret {name}=... does not say where the secret lies",
                where="--secret",
                todo=f"give --secret {name}=env:VARIABLE, {name}=file:PATH or {name}=keyring:SERVICE/ENTRY",
            )
        if name in found:
            raise NotPossible(f"{name!r} is given twice", where="--secret", todo=f"give --secret {name}=... once")
        found[name] = _secret(kind, place)
    return found


def _secret(kind: str, place: str) -> Secret:
    if kind == "keyring":
        service, _, entry = place.rpartition("/")
        return Secret.from_keyring(service, entry)
    return Secret.from_env(place) if kind == "env" else Secret.from_file(place)


def arguments_for(factory: Callable[..., Any], values: Mapping[str, str]) -> dict[str, object]:
    """Return what ``factory`` is to be called with, each value converted by its parameter's annotation.

    Raises NotPossible for a parameter that it does not have or that is missing, and for a value that does not fit.
    """
    place = place_at(*definition_of(factory))
    label = getattr(factory, "__qualname__", repr(factory))
    parameters = inspect.signature(factory).parameters
    hints = _hints_of(factory)
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    named = {name: one for name, one in parameters.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    for name in values:
        if name not in named and not takes_any:
            todo = (
                did_you_mean(name, named) or f"it takes {', '.join(named) or 'none'}; inputs of the flow go to --store"
            )
            raise NotPossible(f"{label} has no parameter {name!r}", where=place, todo=todo)
    missing = [name for name, one in named.items() if one.default is one.empty and name not in values]
    if missing:
        todo = f"give {' '.join(f'--param {name}=...' for name in missing)}"
        raise NotPossible(f"{label} needs {', '.join(missing)}", where=place, todo=todo)
    return {name: _fitting(name, value, hints.get(name, Any), place) for name, value in values.items()}


def _hints_of(factory: Callable[..., Any]) -> Mapping[str, Any]:
    described: Any = factory
    try:
        return get_type_hints(described.__init__ if isinstance(factory, type) else described)
    except Exception:  # an annotation that names what is not there: it is the user's code
        return {}


def _fitting(name: str, value: str, hint: Any, place: str) -> object:
    try:
        return converted(value, hint)
    except ValueError:
        wanted = getattr(hint, "__name__", None) if isinstance(hint, type) else None
        wanted = wanted or str(hint).replace("typing.", "")
        raise NotPossible(
            f"--param {name}={value} is no {wanted}", where=place, todo=f"give a value of type {wanted}"
        ) from None


def converted(value: str, hint: Any) -> object:
    """Return the value that a word stands for under an annotation. Raises ValueError when it does not fit."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _first_fitting(value, arguments)
    if origin is Literal:
        return _one_of(value, arguments)
    kind = origin or hint
    if kind is str:
        return value
    if kind is bool:
        return _boolean(value)
    if kind in (int, float):
        return kind(value)
    if kind is type(None):
        _check_nothing(value)
        return None
    if isinstance(kind, type) and issubclass(kind, list | tuple | set | frozenset | dict):
        return _collection(value, kind, arguments)
    if isinstance(kind, type) and issubclass(kind, Enum):
        raise ValueError("an Enum is no plain data")
    return _json_or_text(value)


def _first_fitting(value: str, hints: Iterable[Any]) -> object:
    for hint in sorted(hints, key=lambda one: one is str):  # text fits everything, so it comes last
        try:
            return converted(value, hint)
        except ValueError:
            continue
    raise ValueError(value)


def _one_of(value: str, choices: Iterable[object]) -> object:
    for choice in choices:
        if str(choice) == value:
            return choice
    raise ValueError(value)


def _boolean(value: str) -> bool:
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        raise ValueError(value) from None


def _check_nothing(value: str) -> None:
    if value.lower() not in ("", "none", "null"):
        raise ValueError(value)


def _collection(value: str, kind: type, arguments: tuple[Any, ...]) -> object:
    """Return a list or dict from JSON; a list also from words with commas between."""
    if issubclass(kind, dict):
        found = json.loads(value)
        if not isinstance(found, dict):
            raise ValueError(value)
        return found
    if value.lstrip().startswith("["):
        found = json.loads(value)
        if not isinstance(found, list):
            raise ValueError(value)
        return found
    hint = arguments[0] if arguments else Any
    return [converted(word.strip(), hint) for word in value.split(",")] if value else []


def _json_or_text(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value
