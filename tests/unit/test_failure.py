"""A failure keeps what is worth knowing of an exception, wherever it travels."""

from __future__ import annotations

import pickle
import traceback
from types import TracebackType

import pytest

from flowbook.exceptions import Damaged
from flowbook.failure import Failure, WrappedFailure
from flowbook.persistence import codec


class PaymentRefused(LookupError):
    """An error with a constructor of its own, which cannot be called with ``args``."""

    def __init__(self, account: str, amount: int) -> None:
        super().__init__(f"{account} cannot pay {amount}")
        self.account = account


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Unpicklable(Exception):
    def __reduce__(self) -> str:
        raise TypeError("stays here")


def raised(exception: BaseException) -> BaseException:
    try:
        raise exception
    except BaseException as caught:
        return caught


def caused() -> BaseException:
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise OSError("second")  # noqa: B904  # the context is what is tested
    except OSError as second:
        try:
            raise ValueError("third") from second
        except ValueError as third:
            return third


def test_names_of_types_go_from_the_most_derived_to_exception() -> None:
    failure = Failure.from_exception(PaymentRefused("acme", 5))
    assert failure.type_names == (f"{__name__}.PaymentRefused", "LookupError", "Exception")


def test_what_is_no_exception_is_named_up_to_base_exception() -> None:
    assert Failure.from_exception(SystemExit(3)).type_names == ("SystemExit", "BaseException")


def test_message_and_arguments_are_the_exceptions() -> None:
    failure = Failure.from_exception(OSError(2, "no such file"))
    assert failure.message == "[Errno 2] no such file"
    assert failure.arguments == (2, "no such file")


def test_an_exception_that_cannot_say_its_message_has_a_failure() -> None:
    failure = Failure.from_exception(raised(Speechless()))
    assert failure.message == "<no message: __str__ raised RuntimeError>"
    assert "Speechless" in failure.traceback_text


def test_a_message_of_a_subclass_of_str_is_plain() -> None:
    class Loud(str):
        __slots__ = ()

    class Shouted(Exception):
        def __str__(self) -> str:
            return Loud("HELP")

    assert type(Failure.from_exception(Shouted()).message) is str


def test_a_long_message_is_cut() -> None:
    assert len(Failure.from_exception(ValueError("x" * 10**6)).message) == Failure.MESSAGE_MAX


def test_a_failure_reads_as_the_last_line_of_a_traceback() -> None:
    assert str(Failure.from_exception(ValueError("a\nb"))) == "ValueError: a b"
    assert str(Failure.from_exception(ValueError())) == "ValueError"
    assert repr(Failure.from_exception(ValueError("a"))) == "<Failure ValueError: a>"


def test_causes_are_the_chain_with_the_nearest_first() -> None:
    failure = Failure.from_exception(caused())
    assert [str(cause) for cause in failure.causes] == ["OSError: second", "KeyError: 'first'"]
    assert failure.causes[0].causes == failure.causes[1:]


def test_a_suppressed_context_is_no_cause() -> None:
    exception = caused()
    exception.__cause__ = None  # which leaves the context suppressed
    assert Failure.from_exception(exception).causes == ()


def test_a_chain_that_leads_back_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert [str(cause) for cause in Failure.from_exception(first).causes] == ["ValueError: second"]


def test_a_chain_has_a_greatest_length() -> None:
    exception = ValueError(0)
    for number in range(1, 1000):
        cause, exception = exception, ValueError(number)
        exception.__cause__ = cause
    assert len(Failure.from_exception(exception).causes) == Failure.CAUSES_MAX


def test_the_traceback_is_that_of_the_moment_when_the_failure_was_made() -> None:
    exception = raised(ValueError("boom"))
    failure = Failure.from_exception(exception)

    def raise_again() -> None:
        raise exception

    with pytest.raises(ValueError, match="boom"):
        raise_again()
    assert "raise_again" not in failure.traceback_text
    assert "raise_again" in Failure.from_exception(exception).traceback_text
    assert failure.traceback_text.startswith("Traceback (most recent call last)")


def test_check_returns_the_first_that_matches() -> None:
    failure = Failure.from_exception(PaymentRefused("acme", 5))
    assert failure.check(ValueError, LookupError, Exception) is LookupError
    assert failure.check("ValueError", "LookupError") == "LookupError"
    assert failure.check(PaymentRefused) is PaymentRefused
    assert failure.check(BaseException, KeyError) is None


def test_failures_match_when_they_picture_the_same() -> None:
    exception = caused()
    failure = Failure.from_exception(exception)
    again = Failure.from_row(failure.to_row())
    assert failure.matches(again)
    assert failure == again
    assert hash(failure) == hash(again)
    exception.__cause__ = None
    assert not failure.matches(Failure.from_exception(exception))
    assert failure != Failure.from_exception(raised(ValueError("third")))
    assert failure != "ValueError: third"


def test_pickling_keeps_the_picture_and_the_exception_without_traceback() -> None:
    failure = Failure.from_exception(caused())
    copy = pickle.loads(pickle.dumps(failure))
    assert copy == failure
    assert copy.arguments == ("third",)
    assert [str(cause.exception) for cause in copy.causes] == ["second", "'first'"]
    assert isinstance(copy.exception, ValueError)
    assert copy.exception.__traceback__ is None


@pytest.mark.parametrize(
    "exception",
    [Unpicklable("x"), PaymentRefused("acme", 5), ValueError(lambda: None), Speechless()],
    ids=lambda exception: type(exception).__name__,
)
def test_pickling_drops_what_cannot_travel_and_keeps_the_picture(exception: Exception) -> None:
    failure = Failure.from_exception(raised(exception))
    copy = pickle.loads(pickle.dumps(failure))
    assert copy.matches(failure)
    assert copy.exception is None or type(copy.exception) is Speechless


def test_a_row_is_plain_but_for_the_arguments() -> None:
    row = Failure.from_exception(ValueError("a", 1)).to_row()
    assert row.pop("traceback") == "ValueError: ('a', 1)\n"
    assert row == {
        "version": 1,
        "types": ["ValueError", "Exception"],
        "message": "('a', 1)",
        "arguments": ("a", 1),
        "causes": [],
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("version", True),
        ("version", None),
        ("types", []),
        ("types", "ValueError"),
        ("types", [1]),
        ("message", None),
        ("traceback", b""),
        ("arguments", "a"),
        ("causes", None),
        ("causes", [1]),
        ("causes", [{}]),
    ],
)
def test_a_row_with_a_wrong_value_is_damaged(name: str, value: object) -> None:
    row = Failure.from_exception(ValueError("a")).to_row()
    with pytest.raises(Damaged):
        Failure.from_row({**row, name: value})


@pytest.mark.parametrize("name", ["version", "types", "message", "traceback", "arguments", "causes"])
def test_a_row_without_a_value_is_damaged(name: str) -> None:
    row = Failure.from_exception(ValueError("a")).to_row()
    del row[name]
    with pytest.raises(Damaged):
        Failure.from_row(row)


def test_no_frame_is_kept_alive_by_a_failure_that_was_read() -> None:
    failure = Failure.from_row(Failure.from_exception(raised(ValueError("a"))).to_row())
    held = [getattr(failure, name) for name in Failure.__slots__]
    assert not any(isinstance(value, BaseException | TracebackType) for value in held)


def stored(failure: Failure) -> Failure:
    """Return the failure as another process reads it."""
    return Failure.from_row({**failure.to_row(), "arguments": None})


def dived(depth: int, message: str = "no") -> Failure:
    """Return the failure of an exception that was raised ``depth`` calls deep."""

    def dive(left: int) -> None:
        if left % 2:
            dive(left - 1)
        if left and not left % 2:  # from another line: Python cuts frames that are alike
            dive(left - 1)
        raise ValueError(message)

    try:
        dive(depth)
    except ValueError as error:
        return Failure.from_exception(error)
    raise AssertionError


def test_a_failure_read_from_a_logbook_shows_its_place_in_the_traceback_of_the_error() -> None:
    error = WrappedFailure({"pay": stored(dived(0))})
    text = "".join(traceback.format_exception(error))
    assert "pay: Traceback (most recent call last)" in text
    assert "in dive" in text
    assert "rerun=True" in text.splitlines()[-1]


def test_the_traceback_of_the_error_shows_no_more_than_the_ends_of_a_few_failures() -> None:
    error = WrappedFailure({f"a{number}": dived(150) for number in range(20)})
    text = "".join(error.__notes__)
    assert len(text) < 25_000
    assert "a4: …" in text
    assert "a5" not in text
    assert "and 15 more" in text
    assert error.__notes__[0].endswith("ValueError: no")


def test_a_message_of_one_long_line_is_cut_in_the_notes() -> None:
    (note, *_) = WrappedFailure({"a": dived(0, "x" * 9_000)}).__notes__
    assert len(note) < 5_000
    assert note.endswith("x" * 3_000)


def test_an_error_about_brief_failures_has_no_tracebacks() -> None:
    error = WrappedFailure({"a": dived(0).brief()})
    assert [note for note in error.__notes__ if "Traceback" in note] == []


def test_an_exception_that_cannot_say_its_arguments_has_a_failure() -> None:
    class Secretive(Exception):
        @property
        def args(self) -> tuple[object, ...]:  # type: ignore[override]
            raise RuntimeError("none of your business")

    failure = Failure.from_exception(raised(Secretive()))
    assert failure.arguments is None
    assert failure.type_names[-1] == "Exception"


LONG = [
    "x" * 1000,
    "\x00" * 300,
    "\x00" * 73 + "x" * 10,
    "\ud800" * 300,
    "\U0001f600" * 300,
    '"' * 300,
    "a" * 299 + "\n\u6d41",
]


@pytest.mark.parametrize("message", LONG, ids=range(len(LONG)))
@pytest.mark.parametrize(
    "names",
    [
        ("ValueError", "Exception"),
        ("m.E" * 10_000, "Exception"),
        ("m.E", "Exception" * 10_000),
        tuple(f"m.E{number}" for number in range(10_000)),
        ("\x00" * 300, "\ud800" * 300, "\U0001f600" * 300, "E" * 99, "\ud800" * 10),
        tuple("\ud800" * 40),
    ],
    ids=["short", "long first", "long last", "many", "odd", "many odd"],
)
def test_a_brief_failure_is_under_900_bytes_as_json(names: tuple[str, ...], message: str) -> None:
    brief = Failure(names, message).brief()
    assert len(codec.encode(brief).encode()) < 900
    assert len(brief.message) >= min(len(message), 70)  # of control characters, which take 6 bytes
    assert brief.type_names[0][:10] == names[0][:10] or "\ud800" in names[0]
    assert brief.type_names[-1][:10] == names[-1][:10] or "\ud800" in names[-1]


def test_a_brief_failure_keeps_the_names_that_have_room() -> None:
    names = ("m.Own", "m.Base" * 100, "ValueError", "Exception")
    brief = Failure(names, "no").brief()
    assert brief.type_names == ("m.Own", "ValueError", "Exception")
    assert brief.message == "no"


def test_a_failure_of_one_long_name_has_a_brief_form_of_one() -> None:
    (name,) = Failure(("m.E" * 1000,), "").brief().type_names
    assert name.startswith("m.Em.E")
    assert name.endswith("…")
