"""Failure: a serialisable picture of an exception and its causes; and the error that carries several."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from types import TracebackType
from typing import Any, ClassVar, NoReturn, Self, TypeVar

from flowbook.exceptions import Damaged, FlowFailed
from flowbook.picturing import (
    arguments_of,
    chain_of,
    message_of,
    name_of,
    names_of,
    parts_of,
    portable,
    remade,
    traceback_of,
)
from flowbook.secrets.masking import masked, masked_value

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

_Named = type[BaseException] | str
_Kind = TypeVar("_Kind", bound="Failure")


BRIEF_MESSAGE_MAX = 300
BRIEF_MESSAGE_MAX_BYTES = 450
BRIEF_NAMES_MAX_BYTES = 300
"""How many characters of a message its brief form keeps, and how long that and the names of types are as JSON.

With what stands around them that is less than 900 bytes.
"""

NOTED_FAILURES_MAX = 5
NOTED_TRACEBACK_MAX = 4_000
"""How many failures, and characters of each one's traceback, stand below the text of a WrappedFailure."""


class Failure:
    """What is kept of an exception: its types, message, arguments, traceback and causes.

    ``Failure()`` pictures the exception that is being handled, ``Failure(exc_info)`` that of ``sys.exc_info()``;
    Raises TypeError when that is no `Exception`. With an ``exception_str`` it is made of the parts that are given.

    ``type_names``, which iterating gives too, begins with the exception's own class and ends with ``Exception`` or
    ``BaseException``; builtins are bare, others ``module.QualName``. ``exception_args`` is empty when the arguments
    could not be stored. ``causes`` holds the chain of ``__cause__`` (or ``__context__``, unless suppressed), the
    nearest first. ``exception`` is the live object, and None in a failure that was read from a logbook.

    A live exception refers to its traceback, whose frames keep their local variables alive: so does the
    failure that holds it. Secrets are masked in all but the live exception (see `flowbook.secrets`).
    """

    DICT_VERSION: ClassVar[int] = 1
    BASE_EXCEPTIONS: ClassVar[tuple[str, ...]] = ("BaseException", "Exception")
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "$defs": {
            "failure": {
                "type": "object",
                "required": ["exc_type_names", "exception_str", "traceback_str"],
                "properties": {
                    "version": {"type": "integer", "minimum": 0},
                    "exc_type_names": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                    "exception_str": {"type": "string"},
                    "traceback_str": {"type": "string"},
                    "exc_args": {"type": ["array", "null"]},
                    "causes": {"type": "array", "items": {"$ref": "#/$defs/failure"}},
                },
            }
        },
        "$ref": "#/$defs/failure",
    }
    """What `validate` asks of a dict, as JSON Schema; tuples are arrays too."""

    CAUSES_MAX: ClassVar[int] = 32
    MESSAGE_MAX: ClassVar[int] = 20_000
    TRACEBACK_MAX: ClassVar[int] = 100_000

    __slots__ = ("_traceback", "_traceback_str", "causes", "exception", "exception_args", "exception_str", "type_names")

    def __init__(
        self,
        exc_info: ExcInfo | tuple[None, None, None] | None = None,
        *,
        exception_str: str | None = None,
        exc_type_names: Iterable[str] = (),
        exc_args: Iterable[object] = (),
        traceback_str: str | None = "",
        causes: Iterable[Failure] | None = (),
        **unknown: object,
    ) -> None:
        if unknown:
            raise TypeError(f"Failure.__init__ got unexpected keyword argument(s): {', '.join(unknown)}")
        if exception_str is None:
            _picture(self, *_caught(sys.exc_info() if exc_info is None else exc_info))
            return
        self.type_names: tuple[str, ...] = tuple(exc_type_names)
        self.exception_str: str = exception_str
        self.exception_args: tuple[object, ...] = tuple(exc_args)
        self.causes: tuple[Failure, ...] = tuple(causes or ())
        _, exception, traceback = exc_info or (None, None, None)
        self.exception: BaseException | None = exception
        self._traceback: TracebackType | None = traceback
        self._traceback_str: str | None = traceback_str or ""

    @classmethod
    def from_exception(cls, exception: BaseException) -> Self:
        """Return the picture of ``exception`` as it stands now; later raising and chaining do not alter it.

        A long message loses its end, a long traceback its beginning, a long chain of causes its far end.
        """
        failure = cls.__new__(cls)
        _picture(failure, exception, exception.__traceback__)
        return failure

    @classmethod
    def validate(cls, data: object) -> None:
        """Raise InvalidFormat unless ``data`` has the form of `to_dict`, and all its types end in a base exception."""
        for one in _checked(data):
            if (root := one["exc_type_names"][-1]) not in cls.BASE_EXCEPTIONS:
                raise InvalidFormat(f"its types end with {root!r}, not with one of {', '.join(cls.BASE_EXCEPTIONS)}")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the failure that `to_dict` took apart. Raises InvalidFormat when ``data`` is no such dict."""
        for one in _checked(data):
            version = one.get("version")
            if version is None or not 1 <= version <= cls.DICT_VERSION:
                raise InvalidFormat(f"its version is {version!r}; this flowbook knows 1 to {cls.DICT_VERSION}")
        failure, *causes = [_told(cls, one) for one in (data, *(data.get("causes") or ()))]
        _chain(failure, causes)
        return failure

    def to_dict(self, include_args: bool = True) -> dict[str, Any]:
        """Return names to plain values, but for the arguments, which are what they are.

        The causes stand in one list, the nearest first, each without its own: these are the ones behind it.
        """
        causes = [_told_by(cause, include_args=include_args) for cause in self.causes]
        return {**_told_by(self, include_args=include_args), "causes": causes}

    @property
    def exc_info(self) -> ExcInfo | None:
        """Give what ``sys.exc_info()`` gave, or None without a live exception."""
        return None if self.exception is None else (type(self.exception), self.exception, self._traceback)

    @property
    def traceback_str(self) -> str:
        """Give the traceback as Python prints it, without the causes; formatted when first asked for."""
        if self._traceback_str is None:
            text = "" if self.exception is None else traceback_of(self.exception, self._traceback)
            self._traceback_str = masked(text)[-self.TRACEBACK_MAX :]
        return self._traceback_str

    def check(self, *exc_classes: _Named) -> _Named | None:
        """Return the first of these classes (or names) that the exception is an instance of, or None."""
        for each in exc_classes:
            name = each if isinstance(each, str) else name_of(each)
            if name in self.type_names:
                return each
        return None

    def reraise(self) -> NoReturn:
        """Raise the live exception with its traceback, or a WrappedFailure when there is none."""
        if self.exception is None:
            raise WrappedFailure([self])
        raise self.exception.with_traceback(self._traceback)

    @staticmethod
    def reraise_if_any(failures: Iterable[Failure]) -> None:
        """Raise the only failure of these, or a WrappedFailure of several; do nothing when there is none."""
        failures = list(failures)
        if len(failures) == 1:
            failures[0].reraise()
        if failures:
            raise WrappedFailure(failures)

    def brief(self) -> Failure:
        """Return the picture without arguments, traceback and causes, its texts cut: what always finds room.

        The first and the last name of a type stay, of those between them as many as there is room for.
        """
        text = self.exception_str
        text = text if len(text) <= BRIEF_MESSAGE_MAX else text[:BRIEF_MESSAGE_MAX] + "…"
        return Failure(exception_str=_cut(text, BRIEF_MESSAGE_MAX_BYTES), exc_type_names=_brief_names(self.type_names))

    def copy(self) -> Self:
        """Return another failure of the same parts, the live exception and its traceback included."""
        copied = type(self).__new__(type(self))
        for name in Failure.__slots__:
            setattr(copied, name, getattr(self, name))
        return copied

    def matches(self, other: object) -> bool:
        """Say whether both picture the same exception, causes included; arguments are left aside."""
        return self is other or (
            isinstance(other, Failure)
            and len(self.causes) == len(other.causes)
            and _same(self, other)
            and all(map(_same, self.causes, other.causes))
        )

    def __eq__(self, other: object) -> bool:
        """Say whether both match, and both or neither have a live exception."""
        if not isinstance(other, Failure):
            return NotImplemented
        return (self.exception is None) is (other.exception is None) and self.matches(other)

    def __hash__(self) -> int:
        return hash((self.type_names, self.exception_str))

    def __iter__(self) -> Iterator[str]:
        return iter(self.type_names)

    def pformat(self, traceback: bool = False) -> str:
        """Return the type and message, and with ``traceback`` that below them."""
        text = ": ".join(("Failure", *self.type_names[:1], self.exception_str))
        return text + "\n" + _titled(self.traceback_str) if traceback else text

    def __str__(self) -> str:
        return self.pformat()

    def __repr__(self) -> str:
        return f"<Failure {_line(self)}>"

    def __reduce__(self) -> tuple[Callable[..., Failure], tuple[object, ...]]:
        """Pickle all but traceback objects; arguments and a live exception only when they can be pickled."""
        return reduced(self, portable)


class InvalidFormat(Damaged, ValueError):
    """The data are not those of a failure."""

    code, says = "FB311", "these data are no failure"
    then = "give what Failure.to_dict returns"

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__("failure", message)
        self.args, self.cause = (message,), cause

    def __str__(self) -> str:
        return f"{self.says}: {self.reason}"


class WrappedFailure(FlowFailed):
    """Several tasks failed, or one whose exception is known only from the logbook.

    ``failures`` maps the atoms' names to their failures, in the order they were recorded; a failed revert
    stands beside the failure that caused the reverting. It is empty when the failures came without names.
    Iterating gives the failures alone; another WrappedFailure among them gives way to those that it holds.
    """

    code = "FB201"

    def __init__(self, failures: Mapping[str, Failure] | Iterable[Failure]) -> None:
        self.failures: dict[str, Failure] = dict(failures) if isinstance(failures, Mapping) else {}
        self._all = tuple(_flat(self.failures.values() if isinstance(failures, Mapping) else failures))
        super().__init__(self.failures or self._all)

    def __iter__(self) -> Iterator[Failure]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def check(self, *exc_classes: _Named) -> _Named | None:
        """Return which of these classes (or names) the first failure has that has one of them, or None."""
        found = (failure.check(*exc_classes) for failure in self)
        return next((each for each in found if each is not None), None)

    def __str__(self) -> str:
        if self.failures:
            return "; ".join(f"{name}: {_line(failure)}" for name, failure in self.failures.items())
        return f"WrappedFailure: [{', '.join(map(str, self))}]"

    @property
    def todo(self) -> str:
        """Offer the two ways on."""
        return "rerun=True runs it again in a new round; flowbook show RUN tells more"

    def _notes(self) -> list[str]:
        """Return the end of each failure's traceback too: the place where it happened, in whatever process."""
        named = self.failures or {str(number): failure for number, failure in enumerate(self, 1)}
        told = [(name, failure) for name, failure in named.items() if failure.traceback_str]
        notes = [f"  {name}: {_end_of(failure.traceback_str)}" for name, failure in told[:NOTED_FAILURES_MAX]]
        if len(told) > NOTED_FAILURES_MAX:
            notes.append(f"  and {len(told) - NOTED_FAILURES_MAX} more")
        return [*notes, *super()._notes()]


def _flat(failures: Iterable[Failure]) -> Iterator[Failure]:
    for failure in failures:
        if isinstance(failure.exception, WrappedFailure):
            yield from failure.exception
        else:
            yield failure


def _line(failure: Failure) -> str:
    """Return type and message in one line, as the last line of a traceback has them."""
    message = failure.exception_str.replace("\n", " ")
    return ": ".join(filter(None, (*failure.type_names[:1], message)))


def _end_of(text: str) -> str:
    """Return the last lines of a traceback, whole ones if the last is not too long by itself."""
    text = text.rstrip()
    if len(text) <= NOTED_TRACEBACK_MAX:
        return text
    cut = text[-NOTED_TRACEBACK_MAX:]
    return "…\n" + (cut.partition("\n")[2] or cut)


def _titled(text: str) -> str:
    """Return a traceback with its first line, which others' dicts leave out, or a word where no frame is known."""
    text, title = text.rstrip(), "Traceback (most recent call last):"
    if title in text:
        return text
    return f"{title}\n{text}" if text.lstrip().startswith("File ") else "Traceback not available."


def _caught(exc_info: tuple[object, object, TracebackType | None]) -> tuple[Exception, TracebackType | None]:
    if len(exc_info) != 3:
        raise ValueError(f"exc_info has three parts, not {len(exc_info)}")
    _, exception, traceback = exc_info
    if not isinstance(exception, Exception):
        raise TypeError(f"a failure pictures an Exception, not {exception!r}")
    return exception, traceback


def _picture(failure: Failure, exception: BaseException, traceback: TracebackType | None) -> None:
    """Make ``failure`` the picture of ``exception`` and its causes."""
    _, *causes = chain_of(exception, Failure.CAUSES_MAX)
    _picture_one(failure, exception, traceback)
    pictures = [failure.__class__.__new__(failure.__class__) for _ in causes]
    for picture, cause in zip(pictures, causes, strict=True):
        _picture_one(picture, cause, cause.__traceback__)
    _chain(failure, pictures)


def _picture_one(failure: Failure, exception: BaseException, traceback: TracebackType | None) -> None:
    kind: type = type(exception)
    failure.type_names = names_of(kind)
    failure.exception_str = masked(message_of(exception))[: failure.MESSAGE_MAX]
    failure.exception_args = masked_value(arguments_of(exception))
    failure.exception = exception
    failure._traceback, failure._traceback_str = traceback, None


def _chain(failure: Failure, causes: Sequence[Failure]) -> None:
    """Give each failure those behind it as its causes."""
    for index, each in enumerate((failure, *causes)):
        each.causes = tuple(causes[index:])


def _same(one: Failure, other: Failure) -> bool:
    return (
        one.exception_str == other.exception_str
        and one.type_names == other.type_names
        and one.traceback_str == other.traceback_str
    )


def _told(cls: type[_Kind], data: Mapping[str, Any]) -> _Kind:
    return cls(
        exception_str=data["exception_str"],
        exc_type_names=data["exc_type_names"],
        exc_args=data.get("exc_args") or (),
        traceback_str=data["traceback_str"],
    )


def _told_by(failure: Failure, *, include_args: bool) -> dict[str, Any]:
    return {
        "version": failure.DICT_VERSION,
        "exc_type_names": list(failure.type_names),
        "exception_str": failure.exception_str,
        "traceback_str": failure.traceback_str,
        "exc_args": failure.exception_args if include_args else (),
    }


def _brief_names(names: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(map(_without_surrogates, names))
    if sum(map(_size_bytes, names)) <= BRIEF_NAMES_MAX_BYTES:
        return names
    ends = [_cut(name, BRIEF_NAMES_MAX_BYTES // 3) for name in (names[0], *names[1:][-1:])]
    room = BRIEF_NAMES_MAX_BYTES - sum(map(_size_bytes, ends))
    kept = []
    for name in names[1:-1]:
        size = _size_bytes(name)
        if size <= room:
            kept.append(name)
            room -= size
    return (ends[0], *kept, *ends[1:])


def _cut(text: str, most_bytes: int) -> str:
    """Return ``text``, or as much of its beginning as takes at most so many bytes as JSON."""
    text = _without_surrogates(text[: most_bytes + 1])
    if _size_bytes(text) <= most_bytes:
        return text
    around = _size_bytes("")
    sizes = accumulate((_size_bytes(char) - around for char in text), initial=_size_bytes("…"))
    return text[: sum(size <= most_bytes for size in sizes) - 1] + "…"


def _without_surrogates(text: str) -> str:
    """Return ``text`` in what UTF-8 can write: anything else is stored in a longer form."""
    return text.encode(errors="replace").decode()


def _size_bytes(text: str) -> int:
    """Return how long a text and the comma behind it are as JSON."""
    return len(json.dumps(text, ensure_ascii=False).encode()) + 1


def _checked(data: object) -> Iterator[Mapping[str, Any]]:
    """Yield ``data`` and each cause in it. Raises InvalidFormat where one has not all names with the right values."""
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, Mapping):
            raise InvalidFormat(f"it is a {type(one).__name__}")
        wrong = [name for name, is_right in _RIGHT.items() if not is_right(one.get(name, _LEFT_OUT.get(name)))]
        if wrong:
            raise InvalidFormat(f"it has no proper {', '.join(wrong)}")
        yield one
        waiting.extend(one.get("causes", ()))


def _is_version(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(map(_is_text, value))


def _is_arguments(value: object) -> bool:
    return value is None or isinstance(value, list | tuple)


def _is_causes(value: object) -> bool:
    return isinstance(value, list | tuple)


_RIGHT: Mapping[str, Callable[[object], bool]] = {
    "version": _is_version,
    "exc_type_names": _is_names,
    "exception_str": _is_text,
    "traceback_str": _is_text,
    "exc_args": _is_arguments,
    "causes": _is_causes,
}
_LEFT_OUT: Mapping[str, object] = {"version": 0, "causes": ()}


def reduced(failure: Failure, keep: Callable[[object], object]) -> tuple[Callable[..., Failure], tuple[object, ...]]:
    """Return what a pickler makes a failure of again; ``keep`` gives a part that can travel with it, of others None."""
    texts = (failure.type_names, failure.exception_str, failure.traceback_str)
    parts = None if failure.exception is None else parts_of(failure.exception)
    return _unpickled, (*texts, keep(failure.exception_args), failure.causes, keep(parts))


def _unpickled(
    type_names: tuple[str, ...],
    message: str,
    traceback_str: str,
    arguments: tuple[object, ...] | None,
    causes: tuple[Failure, ...],
    parts: Any,  # what `parts_of` gave, where it could be pickled
) -> Failure:
    failure = Failure(
        exception_str=message,
        exc_type_names=type_names,
        exc_args=arguments or (),
        traceback_str=traceback_str,
        causes=causes,
    )
    failure.exception = None if parts is None else remade(*parts)
    return failure
