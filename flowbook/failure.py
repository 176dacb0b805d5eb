"""Failure: a serialisable picture of an exception and its causes; and the error that carries several."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import accumulate
from traceback import format_exception
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from flowbook.exceptions import Damaged, FlowFailed

_Named = TypeVar("_Named", type[BaseException], str)


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

    ``type_names`` begins with the exception's own class and ends with ``Exception`` or ``BaseException``;
    builtins are bare, others ``module.QualName``. ``arguments`` is None when they could not be stored.
    ``causes`` holds the chain of ``__cause__`` (or ``__context__``, unless suppressed), the nearest first.
    ``exception`` is the live object, and None in a failure that was read from a logbook.

    A live exception refers to its traceback, whose frames keep their local variables alive: so does the
    failure that holds it.
    """

    VERSION: ClassVar[int] = 1
    CAUSES_MAX: ClassVar[int] = 32
    MESSAGE_MAX: ClassVar[int] = 20_000
    TRACEBACK_MAX: ClassVar[int] = 100_000

    __slots__ = ("_traceback", "_traceback_text", "arguments", "causes", "exception", "message", "type_names")

    def __init__(
        self,
        type_names: tuple[str, ...],
        message: str,
        *,
        arguments: tuple[object, ...] | None = None,
        traceback_text: str = "",
        causes: tuple[Failure, ...] = (),
    ) -> None:
        self.type_names = type_names
        self.message = message
        self.arguments = arguments
        self.causes = causes
        self.exception: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._traceback_text: str | None = traceback_text

    @classmethod
    def from_exception(cls, exception: BaseException) -> Self:
        """Return the picture of ``exception`` as it stands now; later raising and chaining do not alter it.

        A long message loses its end, a long traceback its beginning, a long chain of causes its far end.
        """
        failure, *causes = [cls._of_one(each) for each in _with_causes(exception, cls.CAUSES_MAX)]
        return failure._caused_by(causes)

    @classmethod
    def _of_one(cls, exception: BaseException) -> Self:
        kind: type = type(exception)
        message = _message(exception)[: cls.MESSAGE_MAX]
        failure = cls(_type_names(kind), message, arguments=_arguments(exception))
        failure.exception = exception
        failure._traceback, failure._traceback_text = exception.__traceback__, None
        return failure

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the failure that `to_row` took apart. Raises Damaged when ``row`` is no such row."""
        causes = row.get("causes")
        if not isinstance(causes, list):
            raise Damaged("failure", "its causes are not a list")
        return cls._of_own_row(row)._caused_by([cls._of_own_row(cause) for cause in causes])

    @classmethod
    def _of_own_row(cls, row: Mapping[str, Any]) -> Self:
        _check_row(row, cls.VERSION)
        arguments = row["arguments"]
        return cls(
            tuple(row["types"]),
            row["message"],
            arguments=None if arguments is None else tuple(arguments),
            traceback_text=row["traceback"],
        )

    def _caused_by(self, causes: list[Self]) -> Self:
        for index, cause in enumerate(causes, 1):
            cause.causes = tuple(causes[index:])
        self.causes = tuple(causes)
        return self

    def to_row(self) -> dict[str, Any]:
        """Return names to plain values, but for ``arguments``: the codec stores these or drops them."""
        return {**self._own_row(), "causes": [cause._own_row() for cause in self.causes]}

    def _own_row(self) -> dict[str, Any]:
        return {
            "version": self.VERSION,
            "types": list(self.type_names),
            "message": self.message,
            "traceback": self.traceback_text,
            "arguments": self.arguments,
        }

    @property
    def traceback_text(self) -> str:
        """Give the traceback as Python prints it, without the causes; formatted when first asked for."""
        if self._traceback_text is None:
            text = _traceback_text(self.exception, self._traceback)
            self._traceback_text, self._traceback = text[-self.TRACEBACK_MAX :], None
        return self._traceback_text

    def check(self, *classes: _Named) -> _Named | None:
        """Return the first of ``classes`` (or their names) that the exception is an instance of, or None."""
        for each in classes:
            name = each if isinstance(each, str) else _type_name(each)
            if name in self.type_names:
                return each
        return None

    def brief(self) -> Failure:
        """Return the picture without arguments, traceback and causes, its texts cut: what always finds room.

        The first and the last name of a type stay, of those between them as many as there is room for.
        """
        message = self.message if len(self.message) <= BRIEF_MESSAGE_MAX else self.message[:BRIEF_MESSAGE_MAX] + "…"
        return Failure(_brief_names(self.type_names), _cut(message, BRIEF_MESSAGE_MAX_BYTES))

    def matches(self, other: Failure) -> bool:
        """Say whether both picture the same exception, causes included; arguments are left aside."""
        return self is other or (
            len(self.causes) == len(other.causes)
            and self._same_as(other)
            and all(map(Failure._same_as, self.causes, other.causes))
        )

    def _same_as(self, other: Failure) -> bool:
        return (
            self.message == other.message
            and self.type_names == other.type_names
            and self.traceback_text == other.traceback_text
        )

    def __eq__(self, other: object) -> bool:
        return self.matches(other) if isinstance(other, Failure) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.type_names, self.message))

    def __str__(self) -> str:
        """Give type and message in one line, as the last line of a traceback has them."""
        message = self.message.replace("\n", " ")
        return f"{self.type_names[0]}: {message}" if message else self.type_names[0]

    def __repr__(self) -> str:
        return f"<Failure {self}>"

    def __reduce__(self) -> tuple[Callable[..., Failure], tuple[object, ...]]:
        """Pickle all but traceback objects; arguments and a live exception only when they can be pickled."""
        texts = (self.type_names, self.message, self.traceback_text)
        parts = None if self.exception is None else _parts(self.exception)
        return _unpickled, (*texts, _portable(self.arguments), self.causes, _portable(parts))


class WrappedFailure(FlowFailed):
    """Several tasks failed, or one whose exception is known only from the logbook.

    ``failures`` maps the atoms' names to their failures, in the order they were recorded; a failed revert
    stands beside the failure that caused the reverting.
    """

    code = "FB201"

    def __init__(self, failures: Mapping[str, Failure]) -> None:
        self.failures = dict(failures)
        super().__init__(self.failures)

    def __str__(self) -> str:
        return "; ".join(f"{name}: {failure}" for name, failure in self.failures.items())

    @property
    def todo(self) -> str:
        """Offer the two ways on."""
        return "rerun=True runs it again in a new round; flowbook show RUN tells more"

    def _notes(self) -> list[str]:
        """Return the end of each failure's traceback too: the place where it happened, in whatever process."""
        told = [(name, failure) for name, failure in self.failures.items() if failure.traceback_text]
        notes = [f"  {name}: {_end_of(failure.traceback_text)}" for name, failure in told[:NOTED_FAILURES_MAX]]
        if len(told) > NOTED_FAILURES_MAX:
            notes.append(f"  and {len(told) - NOTED_FAILURES_MAX} more")
        return [*notes, *super()._notes()]


def _end_of(text: str) -> str:
    """Return the last lines of a traceback, whole ones if the last is not too long by itself."""
    text = text.rstrip()
    if len(text) <= NOTED_TRACEBACK_MAX:
        return text
    cut = text[-NOTED_TRACEBACK_MAX:]
    return "…\n" + (cut.partition("\n")[2] or cut)


def _with_causes(exception: BaseException, limit: int) -> list[BaseException]:
    """Return ``exception`` and at most ``limit`` of its causes, the nearest first, none twice."""
    chain = [exception]
    seen = {id(exception)}
    cause = _cause(exception)
    while cause is not None and id(cause) not in seen and len(chain) <= limit:
        chain.append(cause)
        seen.add(id(cause))
        cause = _cause(cause)
    return chain


def _cause(exception: BaseException) -> BaseException | None:
    if exception.__cause__ is not None or exception.__suppress_context__:
        return exception.__cause__
    return exception.__context__


@lru_cache(maxsize=256)
def _type_names(cls: type) -> tuple[str, ...]:
    last = Exception if issubclass(cls, Exception) else BaseException
    return tuple(_type_name(each) for each in cls.__mro__[: cls.__mro__.index(last) + 1])


def _type_name(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _message(exception: BaseException) -> str:
    """Return the exception's text as a plain str, whatever its ``__str__`` does."""
    try:
        return str.__str__(str(exception))
    except Exception as error:  # it is the caller's code
        return f"<no message: __str__ raised {type(error).__name__}>"


def _arguments(exception: BaseException) -> tuple[object, ...] | None:
    """Return the exception's arguments, or None when its class hides them."""
    try:
        args: object = exception.args
    except Exception:  # it is the caller's code
        return None
    return args if type(args) is tuple else None


def _traceback_text(exception: BaseException | None, traceback: TracebackType | None) -> str:
    if exception is None:
        return ""
    try:
        return "".join(format_exception(type(exception), exception, traceback, chain=False))
    except Exception as error:  # it asks the caller's __str__, and reads files of source
        return f"<no traceback: formatting it raised {type(error).__name__}>"


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


def _check_row(row: object, newest: int) -> None:
    """Raise Damaged unless ``row`` has all names with values of the right types."""
    if not isinstance(row, Mapping):
        raise Damaged("failure", f"it is a {type(row).__name__}")
    version = row.get("version")
    if type(version) is not int or not 1 <= version <= newest:
        raise Damaged("failure", f"its version is {version!r}; this flowbook knows 1 to {newest}")
    wrong = [name for name, is_right in _RIGHT.items() if not is_right(row.get(name, _NOTHING))]
    if wrong:
        raise Damaged("failure", f"it has no proper {', '.join(wrong)}")


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_names(value: object) -> bool:
    return isinstance(value, list) and value != [] and all(map(_is_text, value))


def _is_arguments(value: object) -> bool:
    return value is None or isinstance(value, list | tuple)


_NOTHING = object()
_RIGHT: Mapping[str, Callable[[object], bool]] = {
    "types": _is_names,
    "message": _is_text,
    "traceback": _is_text,
    "arguments": _is_arguments,
}


def _parts(exception: BaseException) -> object:
    """Return the callable, arguments and state that remake ``exception``, or None when it does not tell."""
    try:
        return exception.__reduce_ex__(2)[:3]
    except Exception:  # it is the caller's code
        return None


def _portable(value: object) -> object:
    """Return ``value`` when it can be pickled, else None."""
    try:
        pickle.dumps(value)
    except Exception:  # it is the caller's code
        return None
    return value


def _unpickled(
    type_names: tuple[str, ...],
    message: str,
    traceback_text: str,
    arguments: tuple[object, ...] | None,
    causes: tuple[Failure, ...],
    parts: Any,  # what `_parts` gave, where it could be pickled
) -> Failure:
    failure = Failure(type_names, message, arguments=arguments, traceback_text=traceback_text, causes=causes)
    failure.exception = None if parts is None else _remade(*parts)
    return failure


def _remade(make: Callable[..., object], arguments: tuple[object, ...], state: Any = None) -> Any:
    """Return the exception, without traceback, or None when its class refuses its own arguments."""
    try:
        exception: Any = make(*arguments)
        if state is not None:
            exception.__setstate__(state)
    except Exception:  # it is the caller's code
        return None
    return exception if isinstance(exception, BaseException) else None
