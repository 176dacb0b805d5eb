"""What atoms take and give, by their parameters and by what a declaration asks for."""

from __future__ import annotations

from typing import Any

import pytest

from flowbook.atoms import Argument, Task
from flowbook.exceptions import NotPossible, WrongType


class Pay(Task):
    def execute(self, order: str, card: str, note: str = "") -> None: ...


class PayAnything(Task):
    def execute(self, order: str, **kwargs: object) -> None: ...


class PayAndUndo(Task):
    def execute(self, order: str, card: str) -> None: ...

    def revert(self, card: str, result: object, flow_failures: object, why: str = "") -> None: ...


class UndoAnything(Task):
    def execute(self, order: str) -> None: ...

    def revert(self, **kwargs: object) -> None: ...


def _symbols(arguments: tuple[Argument, ...]) -> dict[str, str]:
    return {one.name: one.symbol for one in arguments}


# -- provides --


@pytest.mark.parametrize(
    ("provides", "save_as"),
    [
        (None, {}),
        ("a", {"a": None}),
        (("a", "b"), {"a": 0, "b": 1}),
        (["a"], {"a": 0}),
        ({"a", "b"}, {"a": "a", "b": "b"}),
        (frozenset({"a"}), {"a": "a"}),
    ],
)
def test_provides_says_which_part_of_the_result_a_symbol_is(provides: Any, save_as: object) -> None:
    task = Pay("pay", provides=provides)
    assert task.save_as == save_as
    assert task.provides == set(task.save_as)


def test_a_set_of_names_is_kept_in_one_order_in_every_process() -> None:
    assert list(Pay("pay", provides={"c", "a", "b"}).provides) == ["a", "b", "c"]


def test_the_class_may_say_what_is_provided_and_the_object_may_say_otherwise() -> None:
    class Charge(Pay):
        default_provides = "receipt"

    assert Charge("c").provides == {"receipt"}
    assert Charge("c", provides="paper").provides == {"paper"}


@pytest.mark.parametrize("provides", [3, {"a": 1}, ["a", 3], object()])
def test_provides_of_another_type_is_refused(provides: Any) -> None:
    with pytest.raises(TypeError, match="provides of 'pay'"):
        Pay("pay", provides=provides)


@pytest.mark.parametrize("provides", [["a", "a"], "", [""]])
def test_provides_that_names_nothing_or_something_twice_is_refused(provides: Any) -> None:
    with pytest.raises(NotPossible, match="provides of 'pay'"):
        Pay("pay", provides=provides)


# -- requires --


def test_parameters_are_required_and_those_with_a_default_are_optional() -> None:
    task = Pay("pay")
    assert task.requires == {"order", "card"}
    assert task.optional == {"note"}
    assert task.execute_arguments == (
        Argument("order", "order", False),
        Argument("card", "card", False),
        Argument("note", "note", True),
    )


def test_naming_an_optional_argument_requires_it() -> None:
    assert Pay("pay", requires="note").requires == {"order", "card", "note"}
    assert Pay("pay", requires=["note"]).optional == set()
    assert Pay("pay", rebind={"note": "text"}).requires == {"order", "card", "text"}


def test_names_without_a_parameter_go_into_kwargs() -> None:
    task = PayAnything("pay", requires=["a", "b"])
    assert _symbols(task.execute_arguments) == {"order": "order", "a": "a", "b": "b"}


@pytest.mark.parametrize(
    ("requires", "required", "optional"),
    [
        (["b", "a", "b"], ["order", "b", "a"], ["note"]),
        (("a", "order"), ["order", "a"], ["note"]),
        (["note", "a"], ["order", "note", "a"], []),
        ({"b", "a"}, ["order", "a", "b"], ["note"]),
        ([], ["order"], ["note"]),
    ],
)
def test_names_that_are_asked_for_stand_between_parameters_without_and_with_a_default(
    requires: Any, required: list[str], optional: list[str]
) -> None:
    class PayWithNote(Task):
        def execute(self, order: str, note: str = "", **kwargs: object) -> None: ...

    task = PayWithNote("pay", requires=requires)
    assert task.execute_arguments == (
        *(Argument(name, name, optional=False) for name in required),
        *(Argument(name, name, optional=True) for name in optional),
    )
    assert (task.requires, task.optional) == (set(required), set(optional))
    assert PayWithNote("other").requires == {"order"}


def test_names_without_a_parameter_are_refused_where_there_are_no_kwargs() -> None:
    with pytest.raises(ValueError, match=r"'crad' is asked for, but Pay\.execute \(.*test_wiring\.py:\d+\) takes"):
        Pay("pay", requires=["crad"])
    with pytest.raises(NotPossible, match="did you mean 'card'") as caught:
        Pay("pay", rebind={"crad": "x"})
    assert "test_wiring.py" in caught.value.where


def test_without_auto_extract_only_what_is_asked_for_is_fetched() -> None:
    task = Pay("pay", requires="order", rebind={"card": "x"}, auto_extract=False)
    assert task.requires == {"order", "x"}
    assert task.optional == set()


def test_without_auto_extract_a_missing_argument_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Pay\.execute .* needs 'card', which nothing gives it"):
        Pay("pay", requires="order", auto_extract=False)


def test_ignored_names_are_neither_required_nor_optional() -> None:
    task = Pay("pay", ignore_list=["note", "card"], inject={"card": "visa"})
    assert (task.requires, task.optional) == ({"order"}, set())


def test_a_required_argument_cannot_be_ignored() -> None:
    with pytest.raises(NotPossible, match=r"Pay\.execute .* needs 'card', which nothing gives it: .*ignore_list"):
        Pay("pay", ignore_list=["note", "card"])
    with pytest.raises(NotPossible, match=r"PayAndUndo\.revert .* needs 'card'"):
        PayAndUndo("pay", ignore_list="card", rebind={"card": "x"}, revert_rebind={"why": "y"})


@pytest.mark.parametrize("asked", [{"rebind": {"card": "x"}}, {"requires": ["card"]}, {"inject": {"card": "x"}}])
def test_an_ignored_argument_that_is_asked_for_is_passed(asked: dict[str, Any]) -> None:
    task = Pay("pay", ignore_list=["card"], **asked)
    assert "card" in {**_symbols(task.execute_arguments), **task.execute_inject}


def test_the_values_that_the_engine_gives_may_be_ignored() -> None:
    assert PayAndUndo("pay", ignore_list=["result"]).revert_takes == {"result", "flow_failures"}


@pytest.mark.parametrize("requires", [3, {"order": "x"}, [3]])
def test_requires_of_another_type_is_refused(requires: Any) -> None:
    with pytest.raises(WrongType, match="requires of 'pay'"):
        Pay("pay", requires=requires)


def test_args_without_names_are_left_alone() -> None:
    class Star(Task):
        def execute(self, a: int, *rest: int, b: int, c: int = 0) -> None: ...

    assert Star("s").requires == {"a", "b"}
    assert Star("s").optional == {"c"}


# -- rebind --


def test_a_dict_rebinds_arguments_by_name() -> None:
    task = Pay("pay", rebind={"card": "visa"})
    assert _symbols(task.execute_arguments) == {"order": "order", "card": "visa", "note": "note"}
    assert task.requires == {"order", "visa"}


@pytest.mark.parametrize("rebind", [["x", "y"], ("x", "y")])
def test_a_list_rebinds_the_required_arguments_by_position(rebind: Any) -> None:
    assert _symbols(Pay("pay", rebind=rebind).execute_arguments)["order"] == "x"
    assert Pay("pay", rebind=rebind).requires == {"x", "y"}


def test_a_shorter_list_leaves_the_rest_as_it_is() -> None:
    assert Pay("pay", rebind=["x"]).requires == {"x", "card"}


def test_the_rest_of_a_longer_list_goes_into_kwargs_under_its_own_names() -> None:
    task = PayAnything("pay", rebind=["x", "y"])
    assert _symbols(task.execute_arguments) == {"order": "x", "y": "y"}
    with pytest.raises(NotPossible, match="'z' is asked for"):
        Pay("pay", rebind=["x", "y", "z"])


@pytest.mark.parametrize("rebind", [3, "x", {"card": 3}, {3: "x"}, [3]])
def test_rebind_of_another_type_is_refused(rebind: Any) -> None:
    with pytest.raises(TypeError, match="rebind of 'pay'"):
        Pay("pay", rebind=rebind)


def test_two_arguments_may_have_one_symbol() -> None:
    task = Pay("pay", rebind={"card": "order"})
    assert task.requires == {"order"}
    assert len(task.execute_arguments) == 3


def test_a_symbol_that_is_required_somewhere_is_not_optional_elsewhere() -> None:
    class Mixed(Task):
        def execute(self, a: int = 0) -> None: ...

        def revert(self, a: int) -> None: ...

    assert (Mixed("m").requires, Mixed("m").optional) == ({"a"}, set())


# -- inject --


def test_an_injected_argument_is_not_fetched() -> None:
    task = Pay("pay", inject={"card": "visa", "note": None})
    assert (task.requires, task.optional) == ({"order"}, set())
    assert task.execute_inject == {"card": "visa", "note": None}
    assert _symbols(task.execute_arguments) == {"order": "order"}


def test_revert_gets_the_injected_values_that_it_takes() -> None:
    task = PayAndUndo("pay", inject={"card": "visa", "order": 7})
    assert task.execute_inject == {"card": "visa", "order": 7}
    assert task.revert_inject == {"card": "visa"}
    assert PayAndUndo("pay", inject={"why": "x"}).execute_inject == {}
    assert PayAndUndo("pay", inject={"why": "x"}).revert_inject == {"why": "x"}


def test_injecting_what_no_method_takes_is_refused() -> None:
    with pytest.raises(NotPossible, match=r"'crad' is injected, but .* did you mean 'card'"):
        Pay("pay", inject={"crad": 1})
    assert PayAnything("pay", inject={"crad": 1}).execute_inject == {"crad": 1}


def test_injecting_satisfies_an_argument_that_is_not_extracted() -> None:
    task = Pay("pay", inject={"order": 1, "card": 2}, auto_extract=False)
    assert task.execute_arguments == ()


def test_an_atom_keeps_its_own_copy_of_what_is_injected() -> None:
    values = {"card": 1}
    task = Pay("pay", inject=values)
    values["card"] = 2
    assert task.execute_inject == {"card": 1}


# -- revert --


def test_revert_gets_result_and_failures_from_the_engine_and_the_rest_from_the_flow() -> None:
    task = PayAndUndo("pay")
    assert task.revert_takes == {"result", "flow_failures"}
    assert task.revert_arguments == (Argument("card", "card", False), Argument("why", "why", True))
    assert task.optional == {"why"}


def test_revert_with_kwargs_takes_result_and_failures() -> None:
    assert UndoAnything("u").revert_takes == {"result", "flow_failures"}
    assert UndoAnything("u").revert_arguments == ()


def test_revert_that_names_neither_result_nor_failures_gets_neither() -> None:
    class Undo(Pay):
        def revert(self) -> None: ...

    assert Undo("u").revert_takes == set()


def test_execute_may_use_the_names_that_are_special_to_revert() -> None:
    class Show(Task):
        def execute(self, result: int, flow_failures: int) -> None: ...

    assert Show("s").requires == {"result", "flow_failures"}


def test_what_only_revert_takes_is_required_too() -> None:
    class Undo(Pay):
        def revert(self, reason: str) -> None: ...

    assert Undo("u").requires == {"order", "card", "reason"}


def test_revert_is_rebound_like_execute_by_the_names_of_arguments() -> None:
    by_name = PayAndUndo("pay", rebind={"order": "o", "card": "visa"})
    by_position = PayAndUndo("pay", rebind=["o", "visa"])
    assert _symbols(by_name.revert_arguments) == _symbols(by_position.revert_arguments)
    assert _symbols(by_name.revert_arguments)["card"] == "visa"


def test_revert_may_be_rebound_on_its_own() -> None:
    task = PayAndUndo("pay", rebind={"card": "visa"}, revert_rebind={"why": "reason"})
    assert _symbols(task.revert_arguments) == {"card": "card", "why": "reason"}
    assert task.requires == {"order", "visa", "card", "reason"}


def test_an_ignored_name_takes_no_place_in_a_list_of_symbols() -> None:
    class Undo(Task):
        def execute(self, card: int, car: int) -> None: ...

        def revert(self, card: int, car: int) -> None: ...

    task = Undo("u", ignore_list="card", inject={"card": 1}, rebind=["x"], revert_rebind=["y"])
    assert _symbols(task.execute_arguments) == {"car": "x"}
    assert _symbols(task.revert_arguments) == {"car": "y"}


def test_what_revert_does_not_take_of_what_execute_asks_for_is_left_out() -> None:
    task = PayAndUndo("pay", requires=["order", "card"], rebind={"order": "o"}, auto_extract=False)
    assert _symbols(task.revert_arguments) == {"card": "card"}


def test_revert_may_require_on_its_own() -> None:
    task = UndoAnything("u", revert_requires=["who"])
    assert _symbols(task.revert_arguments) == {"who": "who"}
    assert task.requires == {"order", "who"}


def test_asking_for_a_revert_that_does_not_exist_is_refused() -> None:
    with pytest.raises(NotPossible, match="'pay' has no revert"):
        Pay("pay", revert_rebind={"a": "b"})


def test_revert_must_take_what_is_asked_for_it() -> None:
    with pytest.raises(NotPossible, match=r"'who' is asked for, but PayAndUndo\.revert"):
        PayAndUndo("pay", revert_requires=["who"])


@pytest.mark.parametrize("rebind", [{"card": "x"}, {"order": "x", "card": "y"}])
@pytest.mark.parametrize("inject", [None, {"order": 1}])
@pytest.mark.parametrize("cls", [Pay, PayAndUndo])
def test_the_quick_way_of_wiring_gives_what_the_full_one_gives(cls: Any, rebind: Any, inject: Any) -> None:
    quick = cls("pay", rebind=rebind, inject=inject)
    full = cls("pay", rebind=rebind, inject=inject, ignore_list=["nobody"])
    for name in ("requires", "optional", "execute_inject", "revert_inject", "revert_takes"):
        assert getattr(quick, name) == getattr(full, name), name
    assert set(quick.execute_arguments) == set(full.execute_arguments)
    assert set(quick.revert_arguments) == set(full.revert_arguments)


# -- what cannot be wired --


def test_parameters_by_position_only_are_refused() -> None:
    class Position(Task):
        def execute(self, a: int, /) -> None: ...

    with pytest.raises(NotPossible, match="takes a by position only"):
        Position("p")


def test_a_method_without_self_is_refused() -> None:
    class Selfless(Task):
        def execute() -> None: ...  # type: ignore[misc]

    with pytest.raises(NotPossible, match=r"the parameters of .*Selfless\.execute .* cannot be read"):
        Selfless("s")
