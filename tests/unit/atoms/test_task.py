"""Tasks as classes: names, copies, hooks, places."""

from __future__ import annotations

import inspect
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from flowbook import LinearFlow, engines
from flowbook.atoms import Task
from flowbook.exceptions import NotPossible, WrongType


class Reserve(Task):
    default_provides = "reservation"

    def execute(self, order: str, room: int = 1) -> str:
        return f"{order}/{room}"


class Undoable(Reserve):
    def revert(self, result: str) -> None: ...


class Hooked(Reserve):
    def post_execute(self) -> None: ...


def test_a_task_is_named_after_its_class() -> None:
    assert Reserve().name == f"{__name__}.Reserve"
    assert Reserve("r").name == "r"


@pytest.mark.parametrize("name", [3, b"r", ("a",)])
def test_a_name_is_a_string(name: Any) -> None:
    with pytest.raises(WrongType, match="the name of Reserve"):
        Reserve(name)


def test_a_name_is_not_empty() -> None:
    with pytest.raises(NotPossible, match="the name of Reserve is empty"):
        Reserve("")


def test_version_and_priority_may_be_set_by_class_and_by_object() -> None:
    class Newer(Reserve):
        version = (2, 1)
        priority = 5

    assert (Reserve("r").version, Reserve("r").priority) == ((1, 0), 0)
    assert (Newer("n").version, Newer("n").priority) == ((2, 1), 5)
    assert Newer("n", version=(3, 0)).version == (3, 0)


def test_a_task_without_execute_is_refused_when_it_is_made() -> None:
    class Idle(Task):
        pass

    with pytest.raises(NotPossible, match="Idle has no execute"):
        Idle("i")


def test_a_task_says_whether_it_can_be_reverted_and_has_hooks() -> None:
    assert [cls("x").has_revert for cls in (Reserve, Undoable, Hooked)] == [False, True, False]
    assert [cls("x").has_hooks for cls in (Reserve, Undoable, Hooked)] == [False, False, True]


def test_a_hook_from_another_base_counts() -> None:
    class Timed:
        def pre_execute(self) -> None: ...

    class TimedReserve(Timed, Reserve):
        pass

    assert TimedReserve("t").has_hooks


def test_hooks_and_revert_do_nothing_unless_they_are_written() -> None:
    task = Reserve("r")
    task.pre_execute()
    task.post_execute()
    task.pre_revert()
    task.post_revert()
    assert task.revert(result=1) is None


def test_the_place_of_a_task_is_where_execute_is_defined(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Reserve.execute.__code__.co_firstlineno
    here = Path(Reserve.execute.__code__.co_filename)
    monkeypatch.chdir(here.parent)
    assert Reserve("r").place == f"{here.name}:{line}"
    monkeypatch.chdir(os.sep)
    assert Hooked("h").place == f"{str(here).removeprefix(os.sep)}:{line}"


def test_the_repr_of_a_task_is_one_line_with_what_it_takes_and_gives() -> None:
    assert repr(Reserve("r")) == "<Reserve 'r' (order, room=…) -> reservation>"
    assert repr(Undoable("u", provides=["a", "b"])) == "<Undoable 'u' (order, room=…) -> a, b>"


def test_the_repr_of_a_task_that_is_not_made_yet_does_not_raise() -> None:
    assert repr(Reserve.__new__(Reserve)) == "<Reserve>"


def test_a_copy_is_another_task_just_like_it() -> None:
    task = Reserve("r", rebind={"order": "o"}, version=(2, 0))
    copy = task.copy()
    assert copy is not task
    assert (copy.name, copy.version, copy.requires, copy.provides) == ("r", (2, 0), {"o"}, {"reservation"})
    assert task.copy(name="other").name == "other"
    assert task.name == "r"


def test_a_copy_keeps_what_a_subclass_has_added() -> None:
    class Held(Reserve):
        def __init__(self, held: list[int]) -> None:
            super().__init__("held")
            self.held = held

    assert Held([1]).copy().held == [1]


def test_a_task_can_be_pickled() -> None:
    task = pickle.loads(pickle.dumps(Undoable("u", inject={"room": 7})))
    assert (task.name, task.requires, task.execute_inject) == ("u", {"order"}, {"room": 7})
    assert task.revert_takes == {"result"}


def test_the_parameters_of_a_class_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Once(Reserve):
        pass

    read: list[object] = []
    really = inspect.signature

    def spy(function: Any) -> inspect.Signature:
        read.append(function)
        return really(function)

    monkeypatch.setattr(inspect, "signature", spy)
    for number in range(5):
        Once(str(number), rebind={"order": f"o{number}"})
    assert len(read) == 1


def test_a_subclass_with_another_execute_is_read_on_its_own() -> None:
    class Other(Reserve):
        def execute(self, guest: str) -> str:  # type: ignore[override]
            return guest

    assert Reserve("r").requires == {"order"}
    assert Other("o").requires == {"guest"}


def test_atoms_that_ask_for_nothing_share_their_wiring() -> None:
    assert Reserve("a").execute_arguments is Reserve("b", provides="x").execute_arguments


def test_the_parameters_of_a_task_can_be_seen() -> None:
    assert "provides" in inspect.signature(Reserve).parameters


class Silent(Task):
    """A task that is never made."""

    def __init__(self, number: int) -> None:
        self.number = number

    def execute(self) -> int:
        return self.number


@pytest.mark.parametrize(
    "use", [lambda atom: engines.run(LinearFlow("f").add(atom)), lambda atom: atom.name, lambda atom: atom.requires]
)
def test_a_task_that_does_not_call_the_constructor_of_its_base_is_told_to(use: Any) -> None:
    with pytest.raises(NotPossible, match=r"Silent\.__init__ has not called super\(\)\.__init__\(\)") as caught:
        use(Silent(3))
    assert "test_task.py" in caught.value.where
    assert "super().__init__(name)" in caught.value.todo


def test_a_mixin_that_hides_the_constructor_is_named() -> None:
    class Mixin:
        def __init__(self) -> None:
            """Call nobody."""

    class Mixed(Mixin, Reserve): ...

    with pytest.raises(NotPossible, match=r"Mixin\.__init__ has not called"):
        _ = Mixed().name


def test_a_task_with_a_name_of_its_own_that_was_not_made_is_told_so_too() -> None:
    class Named(Silent):
        name = "named"

    with pytest.raises(NotPossible, match=r"has not called super"):
        engines.run(Named(3))


def test_a_task_that_was_not_made_can_be_printed() -> None:
    assert repr(Silent(3)) == "<Silent>"


def test_a_task_has_a_place_also_when_the_current_directory_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Reserve("r").place.startswith(f"{__file__}:")
