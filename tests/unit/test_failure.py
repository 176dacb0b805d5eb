"""A failure keeps what is worth knowing of an exception, wherever it travels."""

from __future__ import annotations

import pickle
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import pytest

from flowbook.exceptions import Damaged
from flowbook.failure import Failure, InvalidFormat, WrappedFailure
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
    assert failure.exception_str == "[Errno 2] no such file"
    assert failure.exception_args == (2, "no such file")


def test_an_exception_that_cannot_say_its_message_has_a_failure() -> None:
    failure = Failure.from_exception(raised(Speechless()))
    assert failure.exception_str == "<no message: __str__ raised RuntimeError>"
    assert "Speechless" in failure.traceback_str


def test_a_message_of_a_subclass_of_str_is_plain() -> None:
    class Loud(str):
        __slots__ = ()

    class Shouted(Exception):
        def __str__(self) -> str:
            return Loud("HELP")

    assert type(Failure.from_exception(Shouted()).exception_str) is str


def test_a_long_message_is_cut() -> None:
    assert len(Failure.from_exception(ValueError("x" * 10**6)).exception_str) == Failure.MESSAGE_MAX


def test_a_failure_says_what_it_is_and_its_repr_in_one_line() -> None:
    assert str(Failure.from_exception(ValueError("a"))) == "Failure: ValueError: a"
    assert str(Failure(exception_str="a")) == "Failure: a"
    assert repr(Failure.from_exception(ValueError("a\nb"))) == "<Failure ValueError: a b>"
    assert repr(Failure.from_exception(ValueError())) == "<Failure ValueError>"
    assert repr(Failure.from_exception(ValueError("a"))) == "<Failure ValueError: a>"


def test_causes_are_the_chain_with_the_nearest_first() -> None:
    failure = Failure.from_exception(caused())
    assert [str(cause) for cause in failure.causes] == ["Failure: OSError: second", "Failure: KeyError: 'first'"]
    assert failure.causes[0].causes == failure.causes[1:]


def test_a_suppressed_context_is_no_cause() -> None:
    exception = caused()
    exception.__cause__ = None  # which leaves the context suppressed
    assert Failure.from_exception(exception).causes == ()


def test_a_chain_that_leads_back_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert [str(cause) for cause in Failure.from_exception(first).causes] == ["Failure: ValueError: second"]


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
    assert "raise_again" not in failure.traceback_str
    assert "raise_again" in Failure.from_exception(exception).traceback_str
    assert failure.traceback_str.startswith("Traceback (most recent call last)")


def test_check_returns_the_first_that_matches() -> None:
    failure = Failure.from_exception(PaymentRefused("acme", 5))
    assert failure.check(ValueError, LookupError, Exception) is LookupError
    assert failure.check("ValueError", "LookupError") == "LookupError"
    assert failure.check(PaymentRefused) is PaymentRefused
    assert failure.check(BaseException, KeyError) is None


def test_failures_match_when_they_picture_the_same() -> None:
    exception = caused()
    failure = Failure.from_exception(exception)
    again = Failure.from_dict(failure.to_dict())
    assert failure.matches(again)
    assert failure == Failure.from_exception(exception)
    assert hash(failure) == hash(Failure.from_exception(exception))
    exception.__cause__ = None
    assert not failure.matches(Failure.from_exception(exception))
    assert failure != Failure.from_exception(raised(ValueError("third")))
    assert failure != "ValueError: third"
    assert not failure.matches("ValueError: third")


def test_a_failure_without_its_exception_matches_one_with_it_and_is_not_equal() -> None:
    failure = Failure.from_exception(caused())
    again = Failure.from_dict(failure.to_dict())
    assert failure.matches(again)
    assert again.matches(failure)
    assert failure != again
    assert again == Failure.from_dict(failure.to_dict())


def test_pickling_keeps_the_picture_and_the_exception_without_traceback() -> None:
    failure = Failure.from_exception(caused())
    copy = pickle.loads(pickle.dumps(failure))
    assert copy == failure
    assert copy.exception_args == ("third",)
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


def test_a_dict_is_plain_but_for_the_arguments() -> None:
    data = Failure.from_exception(ValueError("a", 1)).to_dict()
    assert data == {
        "version": 1,
        "exc_type_names": ["ValueError", "Exception"],
        "exception_str": "('a', 1)",
        "traceback_str": "ValueError: ('a', 1)\n",
        "exc_args": ("a", 1),
        "causes": [],
    }
    assert Failure.from_exception(ValueError("a")).to_dict(include_args=False)["exc_args"] == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2),
        ("version", True),
        ("version", None),
        ("exc_type_names", []),
        ("exc_type_names", "ValueError"),
        ("exc_type_names", [1]),
        ("exception_str", None),
        ("traceback_str", b""),
        ("exc_args", "a"),
        ("causes", None),
        ("causes", [1]),
        ("causes", [{}]),
    ],
)
def test_a_dict_with_a_wrong_value_is_damaged(name: str, value: object) -> None:
    data = Failure.from_exception(ValueError("a")).to_dict()
    with pytest.raises(Damaged):
        Failure.from_dict({**data, name: value})


@pytest.mark.parametrize("name", ["version", "exc_type_names", "exception_str", "traceback_str"])
def test_a_dict_without_a_part_that_must_be_there_is_damaged(name: str) -> None:
    data = Failure.from_exception(ValueError("a")).to_dict()
    del data[name]
    with pytest.raises(Damaged):
        Failure.from_dict(data)


def test_the_form_of_a_dict_is_checked_down_to_its_causes() -> None:
    data = Failure.from_exception(caused()).to_dict()
    Failure.validate(data)
    data["causes"][1]["exc_type_names"] = ["KeyError"]
    with pytest.raises(InvalidFormat, match="'KeyError', not with one of BaseException, Exception"):
        Failure.validate(data)
    data["causes"][1] = {"causes": []}
    with pytest.raises(InvalidFormat, match="no proper exc_type_names, exception_str, traceback_str"):
        Failure.validate(data)


def test_a_dict_needs_no_version_to_have_the_right_form() -> None:
    data = Failure.from_exception(ValueError("a")).to_dict()
    del data["version"]
    Failure.validate(data)
    with pytest.raises(InvalidFormat, match="version"):
        Failure.from_dict(data)


def test_what_is_wrong_with_a_dict_is_a_value_error_that_pickles() -> None:
    with pytest.raises(ValueError, match="these data are no failure: it is a list") as raised:
        Failure.from_dict([])  # type: ignore[arg-type]
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_a_dict_grows_with_its_causes_and_no_faster() -> None:
    exception = ValueError(0)
    for number in range(1, Failure.CAUSES_MAX):
        cause, exception = exception, ValueError(number)
        exception.__cause__ = cause
    data = Failure.from_exception(exception).to_dict()
    assert all("causes" not in cause for cause in data["causes"])
    again = Failure.from_dict(data)
    assert [len(cause.causes) for cause in again.causes] == list(reversed(range(Failure.CAUSES_MAX - 1)))


def test_a_failure_without_arguments_pictures_what_is_being_handled() -> None:
    try:
        raise ValueError("boom")
    except ValueError as error:
        failure, again = Failure(), Failure(sys.exc_info())
        exc_info = (ValueError, error, error.__traceback__)
    assert failure.exc_info == exc_info
    assert failure == again
    assert list(failure) == ["ValueError", "Exception"]


@pytest.mark.parametrize("exc_info", [(None, None, None), (SystemExit, SystemExit(), None), (ValueError, "a", None)])
def test_what_is_no_exception_makes_no_failure(exc_info: Any) -> None:
    with pytest.raises(TypeError, match="pictures an Exception"):
        Failure(exc_info)


def test_a_failure_is_made_of_three_parts_or_of_words_that_it_knows() -> None:
    with pytest.raises(ValueError, match="three parts"):
        Failure((ValueError, ValueError()))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="hello"):
        Failure(exception_str="", hello=1)


def test_raising_again_gives_the_exception_with_the_traceback_of_the_moment() -> None:
    exception = raised(ValueError("boom"))
    failure, place = Failure.from_exception(exception), exception.__traceback__
    exception.__traceback__ = None
    with pytest.raises(ValueError, match="boom") as caught:
        failure.reraise()
    assert caught.value is exception
    assert place in set(walked(exception.__traceback__))


def walked(place: TracebackType | None) -> Iterator[TracebackType]:
    while place is not None:
        yield place
        place = place.tb_next


def test_a_failure_without_its_exception_is_raised_wrapped() -> None:
    failure = stored(Failure.from_exception(raised(ValueError("boom"))))
    assert failure.exc_info is None
    with pytest.raises(WrappedFailure, match=r"WrappedFailure: \[Failure: ValueError: boom\]") as caught:
        failure.reraise()
    assert list(caught.value) == [failure]
    assert caught.value.failures == {}
    assert "1: Traceback (most recent call last)" in caught.value.__notes__[0]
    assert caught.value.check(KeyError, "ValueError") == "ValueError"
    assert caught.value.check() is None


def test_failures_are_raised_if_there_are_any() -> None:
    one, other = (Failure.from_exception(ValueError(text)) for text in "ab")
    Failure.reraise_if_any(iter(()))
    with pytest.raises(ValueError, match="a"):
        Failure.reraise_if_any(iter([one]))
    with pytest.raises(WrappedFailure) as caught:
        Failure.reraise_if_any(iter([one, other]))
    assert len(caught.value) == 2


def test_a_wrapped_failure_gives_way_to_those_that_it_holds() -> None:
    one, other, third = (Failure.from_exception(ValueError(text)) for text in "abc")
    wrapped = Failure.from_exception(WrappedFailure({"x": one, "y": other}))
    assert list(WrappedFailure([wrapped, third])) == [one, other, third]


def test_a_wrapped_failure_survives_pickling_with_and_without_names() -> None:
    failure = Failure.from_exception(ValueError("a"))
    for error in (WrappedFailure({"x": failure}), WrappedFailure([failure])):
        copy = pickle.loads(pickle.dumps(error))
        assert str(copy) == str(error)
        assert list(copy) == [failure]


def test_a_copy_is_equal_and_holds_the_same_exception() -> None:
    failure = Failure.from_exception(caused())
    copy = failure.copy()
    assert copy is not failure
    assert copy == failure
    assert copy.exc_info == failure.exc_info


def test_the_long_form_has_the_traceback_if_there_is_one() -> None:
    failure = Failure.from_exception(raised(ValueError("a")))
    assert "Traceback" not in failure.pformat()
    assert failure.pformat(traceback=True).startswith("Failure: ValueError: a\nTraceback (most recent call last):\n")
    unraised = Failure.from_exception(ValueError("a"))
    assert unraised.pformat(traceback=True) == "Failure: ValueError: a\nTraceback not available."


def test_the_long_form_gives_frames_that_came_without_it_a_title() -> None:
    failure = Failure(exception_str="a", traceback_str='  File "a.py", line 3, in f\n')
    assert failure.pformat(traceback=True).splitlines()[1:] == [
        "Traceback (most recent call last):",
        '  File "a.py", line 3, in f',
    ]


def test_no_frame_is_kept_alive_by_a_failure_that_was_read() -> None:
    failure = Failure.from_dict(Failure.from_exception(raised(ValueError("a"))).to_dict())
    held = [getattr(failure, name) for name in Failure.__slots__]
    assert not any(isinstance(value, BaseException | TracebackType) for value in held)


def stored(failure: Failure) -> Failure:
    """Return the failure as another process reads it."""
    return Failure.from_dict({**failure.to_dict(), "exc_args": None})


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
    assert failure.exception_args == ()
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
    brief = Failure(exception_str=message, exc_type_names=names).brief()
    assert len(codec.encode(brief).encode()) < 900
    assert len(brief.exception_str) >= min(len(message), 70)  # of control characters, which take 6 bytes
    assert brief.type_names[0][:10] == names[0][:10] or "\ud800" in names[0]
    assert brief.type_names[-1][:10] == names[-1][:10] or "\ud800" in names[-1]


def test_a_brief_failure_keeps_the_names_that_have_room() -> None:
    names = ("m.Own", "m.Base" * 100, "ValueError", "Exception")
    brief = Failure(exception_str="no", exc_type_names=names).brief()
    assert brief.type_names == ("m.Own", "ValueError", "Exception")
    assert brief.exception_str == "no"


def test_a_failure_of_one_long_name_has_a_brief_form_of_one() -> None:
    (name,) = Failure(exception_str="", exc_type_names=("m.E" * 1000,)).brief().type_names
    assert name.startswith("m.Em.E")
    assert name.endswith("…")
