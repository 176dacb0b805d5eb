"""The way down: values to typed JSON.

One table says how each type is encoded, by exact type. Each encoder returns text, and takes how many levels
may follow; a part that cannot be stored raises an exception that collects the path on its way up.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from json.encoder import encode_basestring as _quote
from math import isfinite
from typing import Any, Final

from flowbook.exceptions import EncodeError, TooLarge
from flowbook.failure import Failure
from flowbook.persistence.codec import classes
from flowbook.persistence.codec.forms import FACTORIES, FORMS
from flowbook.secrets.masking import masked, masked_json

MAX_DEPTH: Final = 200
"""How many containers may hold each other. Both ways recur, and share the stack with their callers."""

ARGUMENTS_MAX: Final = 20_000
"""An exception's arguments are dropped when their text is longer, as those that cannot be encoded are."""

Encoder = Callable[[Any, int], str]


def encode(value: object, *, limit_bytes: int | None = None, what: str = "result") -> str:
    """Return ``value`` as one line of JSON.

    Raises EncodeError with the path to the part that cannot be stored, beginning with ``what``, and TooLarge
    when the text has more than ``limit_bytes`` in UTF-8.
    """
    try:
        text = ENCODERS[type(value)](value, MAX_DEPTH)
    except _Unstorable as error:
        raise EncodeError(what + error.path(), error.reason) from error.__cause__
    except RecursionError:
        raise EncodeError(what, "it is nested deeper than what is left of the stack") from None
    except RuntimeError as error:  # a container changed its size under the walk
        raise EncodeError(what, f"{error}; another thread still works on it") from error
    if limit_bytes is not None and len(text) > limit_bytes // 4:
        _check_size(text, limit_bytes, what)
    return text


def _check_size(text: str, limit_bytes: int, what: str) -> None:
    size = len(text.encode())
    if size > limit_bytes:
        raise TooLarge(what, size, limit_bytes)


class _Unstorable(Exception):
    """Climbs from the part that cannot be stored to the root, and collects the path on its way."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self._trail: list[tuple[object, str]] = []

    def passes(self, holder: object, step: str) -> None:
        """Note that the part is, or lies within, the item of ``holder`` that ``step`` leads to."""
        self._trail.append((holder, step))

    def path(self) -> str:
        return "".join(step for _, step in reversed(self._trail))


class _TooDeep(_Unstorable):
    """Raised at `MAX_DEPTH`; also the sign of a cycle, for which nobody looks on the way down."""

    def __init__(self) -> None:
        super().__init__(f"it is nested more than {MAX_DEPTH} levels deep")

    def path(self) -> str:
        """Return the path to where the first container contains itself, or the first steps down."""
        steps = ""
        above: list[object] = []
        for holder, step in reversed(self._trail):
            if any(holder is each for each in above):
                self.reason = "it contains itself"
                return steps
            above.append(holder)
            steps += step
        return "".join(step for _, step in self._trail[: -8 - 1 : -1]) + "…"


class _Encoders(dict[type, Encoder]):
    """How to encode each type; a class of the program's own is added when it is first met."""

    def __missing__(self, cls: type) -> Encoder:
        if issubclass(cls, BaseException):
            encoder: Encoder = _exception
        else:
            shape = classes.shape_of(cls)
            if shape is None:
                raise _Unstorable(_why_not(cls))
            encoder = _shaped(cls, shape)
        self[cls] = encoder
        return encoder


def _why_not(cls: type) -> str:
    for base in cls.__mro__[1:]:
        if base in STANDARD:
            return f"{classes.shown(cls)} is more than a {base.__name__}, and would come back as one"
    return f"values of type {classes.shown(cls)} have no stored form"


def _none(value: None, depth: int) -> str:
    return "null"


def _bool(value: bool, depth: int) -> str:
    return "true" if value else "false"


_WIDE: Final = 1 << 256
"""Beyond it integers are hexadecimal: how many decimal digits Python reads is bounded, and can be set."""


def _int(value: int, depth: int) -> str:
    return repr(value) if -_WIDE < value < _WIDE else f'{{"!int":"{value:#x}"}}'


def _float(value: float, depth: int) -> str:
    text = repr(value)
    return text if isfinite(value) else f'{{"!float":"{text}"}}'


def _str(value: str, depth: int) -> str:
    if _is_unicode(value):
        return _quote(value)
    return f'{{"!str":"{b64encode(value.encode("utf-8", "surrogatepass")).decode("ascii")}"}}'


def _is_unicode(value: str) -> bool:
    """Say whether ``value`` is text that UTF-8 can write: it has no lone surrogates."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _array(value: Iterable[object], depth: int) -> str:
    items = tuple(value)
    return f"[{','.join(_texts(value, items, depth))}]" if not _is_uniform(items) else _plain(items)


_plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _is_uniform(items: tuple[Any, ...]) -> bool:
    """Say whether these are many plain values of one type, which the parser's own encoder writes faster."""
    if len(items) < 16 or len(types := set(map(type, items))) > 1:
        return False
    if int in types:
        return bool(min(items) > -_WIDE and max(items) < _WIDE)
    if float in types:
        return isfinite(sum(items))
    return str in types and _is_unicode("".join(items))


def _texts(holder: object, items: Iterable[object], depth: int) -> list[str]:
    if not depth:
        raise _TooDeep
    texts: list[str] = []
    try:
        for item in items:
            texts.append(ENCODERS[type(item)](item, depth - 1))  # noqa: PERF401  # its length is the path
    except _Unstorable as error:
        error.passes(holder, f"[{len(texts)}]")
        raise
    return texts


def _tuple(value: tuple[object, ...], depth: int) -> str:
    return f'{{"!tuple":{_array(value, depth)}}}'


def _set(value: set[object] | frozenset[object], depth: int) -> str:
    """Return the items sorted by their texts: equal sets have one text, in every process."""
    return f'{{"!{type(value).__name__}":[{",".join(sorted(_texts(value, value, depth)))}]}}'


def _deque(value: deque[object], depth: int) -> str:
    return f'{{"!deque":[{_array(value, depth)},{_plain(value.maxlen)}]}}'


def _dict(value: dict[Any, object], depth: int) -> str:
    if _has_plain_keys(value):
        return _members(value, value, depth, "[{!r:.80}]")
    return f'{{"!dict":{_pairs(value, depth)}}}'


def _has_plain_keys(value: dict[Any, object]) -> bool:
    if not {str}.issuperset(map(type, value)):
        return False
    keys = "".join(value)
    return _is_unicode(keys) and ("!" not in keys or not any(key.startswith("!") for key in value))


def _members(holder: object, parts: Mapping[str, object], depth: int, step: str) -> str:
    if not depth:
        raise _TooDeep
    texts = []
    name = ""
    try:
        for name, part in parts.items():
            texts.append(f"{_quote(name)}:{ENCODERS[type(part)](part, depth - 1)}")
    except _Unstorable as error:
        error.passes(holder, step.format(name))
        raise
    return "{" + ",".join(texts) + "}"


def _ordered_dict(value: OrderedDict[object, object], depth: int) -> str:
    return f'{{"!ordereddict":{_pairs(value, depth)}}}'


def _counter(value: Counter[object], depth: int) -> str:
    return f'{{"!counter":{_pairs(value, depth)}}}'


def _defaultdict(value: defaultdict[object, object], depth: int) -> str:
    name = next((name for name, each in FACTORIES.items() if each is value.default_factory), None)
    if name is None:
        raise _Unstorable(f"the factory of a defaultdict can be one of {', '.join(FACTORIES)}")
    return f'{{"!defaultdict":["{name}",{_pairs(value, depth)}]}}'


def _pairs(value: Mapping[object, object], depth: int) -> str:
    if not depth:
        raise _TooDeep
    texts: list[str] = []
    key, key_text = None, ""
    try:
        for key, item in value.items():
            key_text = ""
            key_text = ENCODERS[type(key)](key, depth - 1)
            texts.append(f"[{key_text},{ENCODERS[type(item)](item, depth - 1)}]")
    except _Unstorable as error:
        error.passes(value, _step(key, key_text, len(texts)))
        raise
    return f"[{','.join(texts)}]"


def _step(key: object, key_text: str, index: int) -> str:
    """Return the step to the item under ``key``, or to the key itself when it has no text."""
    if not key_text:
        return f".keys()[{index}]"
    if type(key) is int:
        return f"[{key_text:.80}]"
    return f"[{key!r:.80}]" if type(key) is str else f".values()[{index}]"


def _exception(value: BaseException, depth: int) -> str:
    return _failure(Failure.from_exception(value), depth)


def _failure(value: Failure, depth: int) -> str:
    row = value.to_dict()
    causes = ",".join([_failure_row(cause, depth) for cause in row.pop("causes")])
    return f'{{"!failure":{_failure_row(row, depth)[:-1]},"causes":[{causes}]}}}}'


def _failure_row(row: dict[str, Any], depth: int) -> str:
    """Return a failure without its causes; a secret in it may have become known since it was made."""
    arguments = _arguments(row.pop("exc_args"), min(depth, _ARGUMENTS_DEPTH))
    row |= {name: masked(row[name]) for name in ("exception_str", "traceback_str")}
    return f'{_members(row, row, 2, "")[:-1]},"exc_args":{arguments}}}'


_ARGUMENTS_DEPTH: Final = 4  # an exception may hold others, and these others


def _arguments(value: tuple[object, ...] | None, depth: int) -> str:
    """Return the text of an exception's arguments, or ``null``: a failure can always be stored."""
    if value is None:
        return "null"
    try:
        text = _array(value, depth)
    except (_Unstorable, RuntimeError):
        return "null"
    return masked_json(text) if len(text) <= ARGUMENTS_MAX else "null"


def _shaped(cls: type, shape: classes.Shape) -> Encoder:
    """Return how a dataclass, Enum or NamedTuple is encoded."""
    opening = f'{{"!{shape.tag}":[{_quote(_apart(classes.name_to_store, cls))},'

    def encode_shaped(value: object, depth: int) -> str:
        data = _apart(shape.take_apart, value)
        if type(data) is dict:
            return f"{opening}{_members(value, data, depth, '.{}')}]}}"
        return f"{opening}{_plain(data)}]}}"

    return encode_shaped


def converting(opening: str, to_data: Callable[[Any], object], closing: str) -> Encoder:
    """Return how a type is encoded that is stored as the data it is turned into."""

    def encode_converted(value: object, depth: int) -> str:
        if not depth:
            raise _TooDeep
        data = _apart(to_data, value)
        try:
            return f"{opening}{ENCODERS[type(data)](data, depth - 1)}{closing}"
        except _Unstorable as error:
            error.passes(value, "")
            raise

    return encode_converted


def _apart(take_apart: Callable[[Any], Any], value: object) -> Any:
    """Return ``take_apart(value)``; whatever it raises says that the value cannot be stored."""
    try:
        return take_apart(value)
    except (MemoryError, RecursionError):
        raise
    except ValueError as error:
        raise _Unstorable(str(error)) from error
    except Exception as error:  # it may be the caller's code
        raise _Unstorable(f"taking it apart raised {type(error).__name__}: {error}") from error


ENCODERS = _Encoders(
    {
        type(None): _none,
        bool: _bool,
        int: _int,
        float: _float,
        str: _str,
        list: _array,
        tuple: _tuple,
        set: _set,
        frozenset: _set,
        deque: _deque,
        dict: _dict,
        OrderedDict: _ordered_dict,
        Counter: _counter,
        defaultdict: _defaultdict,
        Failure: _failure,
        **{form.cls: converting(f'{{"!{form.tag}":', form.to_data, "}") for form in FORMS},
    }
)
STANDARD: Final = frozenset(ENCODERS)
