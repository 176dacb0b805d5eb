"""Secrets among the values of a run: that each can be had before anything starts, and none is stored in clear."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from flowbook.exceptions import EncodeError
from flowbook.persistence.backend import FlowRecords
from flowbook.persistence.changes import MISSING, Inline
from flowbook.secrets.errors import SecretKeyMissing, SecretMissing
from flowbook.secrets.masking import is_in_clear
from flowbook.secrets.secret import Secret

_CONTAINERS: Final = frozenset({list, tuple, set, frozenset, dict})
_DEPTH_MAX: Final = 200
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})


def check_given(inputs: Mapping[str, object], *, stores: bool) -> None:
    """See that the secrets in inputs can be had, and stored if they are to be.

    Raises SecretMissing and SecretKeyMissing, which name the input.
    """
    for name, value in inputs.items():
        for secret in _secrets_in(value):
            _check(secret, f"input {name!r}", stores=stores)


def check_recorded(records: FlowRecords) -> None:
    """See that the secrets in recorded values can be had. Raises SecretMissing and SecretKeyMissing, which name one."""
    for what, value in _values(records):
        for secret in _secrets_in_stored(value):
            _check(secret, what, stores=False)


def refuse_clear(text: str, what: str) -> None:
    """Raise EncodeError when a value in its stored form holds the text of a secret."""
    if is_in_clear(text):
        raise EncodeError(what, "it holds the text of a secret in clear; give the Secret itself, or Secret(text)")


def _check(secret: Secret, what: str, *, stores: bool) -> None:
    try:
        if stores:
            secret.to_data()
        secret.reveal()  # from here on its text is masked, too
    except (SecretMissing, SecretKeyMissing) as error:
        raise error.of(what) from error.__cause__


def _values(records: FlowRecords) -> Iterator[tuple[str, Any]]:
    """Yield the recorded values that atoms may be called with, each with its name for people."""
    for name, row in records.kind("input").items():
        yield f"input {name!r}", row.get("value")
    for name, row in records.kind("injected").items():
        for symbol, value in row.items():
            yield f"{symbol!r} for {name!r}", value
    for name, row in records.kind("atom").items():
        yield f"the result of {name!r}", row.get("result")
    for name, rounds in records.appended.get("history", {}).items():
        for one in rounds:
            yield f"a round of {name!r}", one.get("result")


def _secrets_in_stored(value: Any) -> Iterator[Secret]:  # a row's field: a handle, or the JSON that stands for one
    if not isinstance(value, Inline):
        yield from _secrets_in_document(value)
    elif value.live is not MISSING:
        yield from _secrets_in(value.live)
    else:
        yield from _secrets_in_document(value.document if value.text is None else json.loads(value.text))


def _secrets_in_document(document: Any) -> Iterator[Secret]:  # JSON
    if type(document) is list:
        for each in document:
            if type(each) in _CONTAINERS:
                yield from _secrets_in_document(each)
    elif type(document) is dict:
        if isinstance(data := document.get("!secret"), dict):
            yield Secret.from_data(data)
        else:
            for each in document.values():
                yield from _secrets_in_document(each)


def _secrets_in(value: Any, inside: tuple[int, ...] = ()) -> Iterator[Secret]:  # whatever a user gave
    """Yield the secrets in plain containers and dataclasses; a value that contains itself is looked into once."""
    kind = type(value)
    if kind is Secret:
        yield value
    elif kind not in _PLAIN and id(value) not in inside and len(inside) < _DEPTH_MAX:
        for each in _parts(value):
            yield from _secrets_in(each, (*inside, id(value)))


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()] if not _PLAIN.issuperset(map(type, value.values())) else []
    if isinstance(value, list | tuple | set | frozenset):
        return list(value) if not _PLAIN.issuperset(map(type, value)) else []
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in fields(value)]
    return []
