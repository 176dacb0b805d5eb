"""The way back: typed JSON to values. Executes and imports nothing that a record names.

One table says what each tag stands for. Decoders may raise anything when data is wrong; it becomes `Damaged`.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, Final, NoReturn

from flowbook.exceptions import Damaged, DecodeError, FlowbookError
from flowbook.failure import Failure
from flowbook.persistence.codec import classes
from flowbook.persistence.codec.forms import FACTORIES, FORMS, Form

Decoder = Callable[[Any], object]


def decode(text: str) -> object:
    """Return the value that was encoded. Raises as `decode_document`, and Damaged if ``text`` is no JSON."""
    try:
        document = _parse(text)
    except RecursionError:
        raise Damaged("codec", "it is nested too deeply") from None
    except ValueError as error:
        raise Damaged("codec", f"it is no JSON: {error}") from error
    return decode_document(document)


def decode_document(document: object) -> object:
    """Return the value that was encoded, from what a JSON parser made of its text, and left as it is.

    Raises DecodeError when this process lacks a class, Damaged when the document cannot come from `encode`.
    """
    try:
        return _revive(document)
    except (FlowbookError, MemoryError):
        raise
    except RecursionError:
        raise Damaged("codec", "it is nested too deeply") from None
    except Exception as error:  # constructors, comparisons: whatever wrong data makes them raise
        raise Damaged("codec", f"{type(error).__name__}: {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_parse: Final[Callable[[str], object]] = json.JSONDecoder(parse_constant=_refuse_constant).decode


_NESTED: Final = {dict, list}


def _revive(data: Any) -> Any:
    kind = type(data)
    if kind is list:
        return [_revive(item) if type(item) in _NESTED else item for item in data]
    if kind is not dict:
        return data
    tag = next(iter(data), "")
    if tag[:1] == "!" and len(data) == 1:
        return _decoder(tag)(data[tag])
    if any(key[:1] == "!" for key in data):
        raise ValueError("a tag stands beside other keys")
    return {key: _revive(item) if type(item) in _NESTED else item for key, item in data.items()}


def _decoder(tag: str) -> Decoder:
    if tag not in _DECODERS:
        raise ValueError(f"the tag {tag!r} is unknown, or known to a newer flowbook only")
    return _DECODERS[tag]


def _list(data: object) -> list[Any]:
    if type(data) is not list:
        raise TypeError(f"a {type(data).__name__} stands where a list belongs")
    return data


def _items(data: object) -> list[Any]:
    return [_revive(item) for item in _list(data)]


def _text(data: object) -> str:
    if type(data) is not str:
        raise TypeError(f"a {type(data).__name__} stands where text belongs")
    return data


def _tuple(data: object) -> tuple[object, ...]:
    return tuple(_items(data))


def _set(data: object) -> set[object]:
    items = _items(data)
    found = set(items)
    if len(found) != len(items):
        raise ValueError("a set has equal items")
    return found


def _frozenset(data: object) -> frozenset[object]:
    return frozenset(_set(data))


def _deque(data: Any) -> deque[object]:
    items, size = _list(data)
    return deque(_items(items), size)


def _dict(data: Any) -> dict[object, object]:
    found: dict[object, object] = {}
    for key, item in map(_list, _list(data)):
        found[_revive(key)] = _revive(item)
    if len(found) != len(data):
        raise ValueError("a dict has equal keys")
    return found


def _ordered_dict(data: object) -> OrderedDict[object, object]:
    return OrderedDict(_dict(data))


def _counter(data: object) -> Counter[object]:
    return Counter(_dict(data))


def _defaultdict(data: Any) -> defaultdict[object, object]:
    name, pairs = _list(data)
    return defaultdict(FACTORIES[name], _dict(pairs))


def _int(data: object) -> int:
    return int(_text(data), 16)


_FLOATS: Final = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


def _float(data: object) -> float:
    return _FLOATS[_text(data)]


def _str(data: object) -> str:
    return b64decode(_text(data), validate=True).decode("utf-8", "surrogatepass")


def _of_form(form: Form) -> Decoder:
    def decode_form(data: object) -> object:
        revived = _revive(data)
        if not isinstance(revived, form.stored):
            raise TypeError(f"a {type(revived).__name__} stands in a {form.tag}")
        return form.from_data(revived)

    return decode_form


def _of_shape(shape: classes.Shape) -> Decoder:
    def decode_shaped(data: Any) -> object:
        name, parts = _list(data)
        cls = classes.find(_text(name), shape)
        if type(parts) is dict:  # names of fields cannot be tags
            parts = {field: _revive(part) for field, part in parts.items()}
        return shape.put_together(cls, parts)

    return decode_shaped


def _object(data: Any) -> object:
    name, parts = _list(data)
    from_data = classes.from_data_of(_text(name))
    parts = _revive(parts)
    try:
        return from_data(parts)
    except Exception as error:  # it is the caller's code
        raise DecodeError(name, f"its from_data raised {type(error).__name__}: {error}") from error


def _failure(data: Any) -> Failure:
    causes = [_failure_row(cause) for cause in data["causes"]]
    return Failure.from_dict({**_failure_row(data), "causes": causes})


def _failure_row(data: dict[str, Any]) -> dict[str, object]:
    row = {name: _revive(part) for name, part in data.items() if name not in ("exc_args", "causes")}
    return {**row, "exc_args": _arguments(data["exc_args"])}


def _arguments(data: object) -> object:
    """Return an exception's arguments, or None where they need a class that is not here.

    So a failure can be read wherever its program is not.
    """
    try:
        return _revive(data)
    except DecodeError:
        return None


_DECODERS: Final[dict[str, Decoder]] = {
    "!tuple": _tuple,
    "!set": _set,
    "!frozenset": _frozenset,
    "!deque": _deque,
    "!dict": _dict,
    "!ordereddict": _ordered_dict,
    "!counter": _counter,
    "!defaultdict": _defaultdict,
    "!int": _int,
    "!float": _float,
    "!str": _str,
    "!failure": _failure,
    "!object": _object,
    **{f"!{form.tag}": _of_form(form) for form in FORMS},
    **{f"!{shape.tag}": _of_shape(shape) for shape in classes.SHAPES},
}
