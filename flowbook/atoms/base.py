"""Atom: what tasks and retries have in common, a name, a version, and what they take and give."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, ClassVar, Literal

from flowbook.atoms.signature import Argument, definition_of, place_at
from flowbook.atoms.wiring import PLAIN, Asked, Methods, Names, Rebind, Wiring, save_as_of, wire, wired
from flowbook.exceptions import NotPossible, WrongType
from flowbook.states import Direction

Kind = Literal["task", "retry"]


class _Unmade:
    """Stands for what `Atom.__init__` sets, in the class: who meets it reads an atom that is not made yet."""

    def __get__(self, atom: Atom | None, cls: type[Atom]) -> Any:  # whatever stands in its place
        if atom is None:
            return self
        whose = cls.__init__.__qualname__  # a mixin's, where its own comes first
        raise NotPossible(
            f"{whose} has not called super().__init__(), without which the atom has no name",
            where=place_at(*definition_of(cls.__init__)),
            todo=f"begin {whose} with super().__init__(name)",
        )


UNMADE: Any = _Unmade()
"""What a class holds for each attribute that only instances have; it has no part in those that are made."""

_NOTHING_ASKED = (None, None, None, None, True, None, None)  # as Asked() has it


class Atom:
    """A declared piece of work; pure description, which engines read and never change.

    ``provides`` names the result: a string the whole of it, a list or tuple its items by position, a set its
    items by key. What ``execute`` and ``revert`` take is read from their parameters; those with a default are
    optional. ``requires`` adds names (for ``**kwargs``), ``rebind`` fetches an argument under another symbol,
    ``inject`` gives it a fixed value, ``ignore_list`` leaves an optional one alone, ``auto_extract=False`` fetches
    nothing but what is asked for. Where ``revert`` differs, ``revert_requires`` and ``revert_rebind`` say so.
    ``executor`` says where a task runs: on what the engine was given under that name, or an executor so called.

    Raises NotPossible or WrongType when the names do not fit the methods.
    """

    kind: ClassVar[Kind]
    default_provides: Names | None = None
    priority: int = 0
    version: tuple[int, int] = (1, 0)

    has_revert: bool = False
    has_hooks: bool = False
    awaits: frozenset[Direction] = frozenset()  # in which directions it is async
    executor: str | None = None

    timeout: float | None = None
    limits_time: ClassVar[bool] = False
    """Whether ``timeout`` bounds ``execute``: it does in tasks."""

    name: str = UNMADE
    save_as: Mapping[str, int | str | None] = UNMADE

    _wiring: Wiring = UNMADE
    _default_name: ClassVar[str] = ""
    _class_methods: ClassVar[tuple[Methods, Wiring] | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:  # whatever other bases of the user's class take
        super().__init_subclass__(**kwargs)
        cls._class_methods = None

    def __init__(
        self,
        name: str | None = None,
        provides: Names | None = None,
        requires: Names | None = None,
        auto_extract: bool = True,
        rebind: Rebind | None = None,
        inject: Mapping[str, object] | None = None,
        ignore_list: Names | None = None,
        revert_rebind: Rebind | None = None,
        revert_requires: Names | None = None,
        version: tuple[int, int] | None = None,
        executor: str | None = None,
    ) -> None:
        self.name = self._default_name if name is None else checked_name(name, type(self).__name__)
        if provides is None:
            provides = self.default_provides
        self.save_as = {} if provides is None else save_as_of(provides, f"provides of {self.name!r}")
        if version is not None:
            self.version = version
        if executor is not None:
            self.executor = self.checked_executor(executor)
        asked = (requires, rebind, inject, ignore_list, auto_extract, revert_requires, revert_rebind)
        methods, plain = self._read_methods()
        self._wiring = plain if asked == _NOTHING_ASKED else wired(methods, plain, Asked(*asked), repr(self.name))

    # -- what engines and compilation read --

    @property
    def provides(self) -> Set[str]:
        """The symbols that the result is saved under, in the order declared."""
        return self.save_as.keys()

    @property
    def requires(self) -> frozenset[str]:
        """The symbols without which a method cannot be called."""
        return self._wiring.requires

    @property
    def optional(self) -> frozenset[str]:
        """The symbols that are passed when somebody provides them."""
        return self._wiring.optional

    @property
    def execute_arguments(self) -> tuple[Argument, ...]:
        """What execute is called with, without what is injected."""
        return self._wiring.execute.arguments

    @property
    def revert_arguments(self) -> tuple[Argument, ...]:
        """What revert is called with, without what is injected and what the engine gives."""
        return self._wiring.revert.arguments

    @property
    def revert_takes(self) -> frozenset[str]:
        """Which of the engine's own values revert takes, by name or through ``**kwargs``."""
        return self._wiring.revert.takes

    @property
    def execute_inject(self) -> Mapping[str, object]:
        """The fixed values that execute is called with, by argument."""
        return self._wiring.execute.inject

    @property
    def revert_inject(self) -> Mapping[str, object]:
        """The fixed values that revert is called with, by argument."""
        return self._wiring.revert.inject

    @property
    def place(self) -> str:
        """Where execute is defined, as ``file:line``."""
        return place_at(*definition_of(self.execute))

    def checked_executor(self, executor: object) -> str:
        """Return ``executor`` if the atom can name it as the one that it runs on."""
        if self.kind == "retry":
            raise NotPossible(f"{self.name!r} takes no executor: retries decide, in the engine's own thread")
        if not isinstance(executor, str):
            todo = "give it to the engine under a name, as in executors={'mine': pool}, and that name to the task"
            raise WrongType(f"the executor of {self.name!r}", executor, "a name", todo=todo)
        return executor

    # -- what subclasses say --

    def execute(self, *args: Any, **kwargs: Any) -> Any:  # subclasses choose their parameters and result
        """Do the work and return its result; subclasses name the values they need as parameters."""
        raise NotImplementedError

    def revert(self, *args: Any, **kwargs: Any) -> Any:  # as above
        """Undo the work; does nothing unless a subclass says how."""

    def _read_methods(self) -> tuple[Methods, Wiring]:
        """Return the methods of the class, and their wiring for declarations that ask for nothing more."""
        cls = type(self)
        if cls._class_methods is None:
            methods = self._methods()
            cls._class_methods = (methods, wire(methods, PLAIN, repr(self.name)))
        return cls._class_methods

    def _methods(self) -> Methods:
        raise NotImplementedError

    def __repr__(self) -> str:
        if "_wiring" not in self.__dict__:  # while it is made, or where a subclass forgets to
            return f"<{type(self).__name__}>"
        return f"<{type(self).__name__} {self.name!r} {signature_text(self)}>"


def checked_name(name: object, whose: str) -> str:
    """Return ``name`` if it may name an atom or a flow."""
    if not isinstance(name, str):
        raise WrongType(f"the name of {whose}", name, "a string")
    if not name:
        raise NotPossible(f"the name of {whose} is empty")
    return name


def signature_text(atom: Atom) -> str:
    """Return what an atom takes and gives in a few characters: ``(order, mail=…) -> receipt``."""
    symbols = [*(one.symbol for one in atom.execute_arguments if not one.optional)]
    symbols += [f"{one.symbol}=…" for one in atom.execute_arguments if one.optional]
    gives = f" -> {', '.join(atom.provides)}" if atom.provides else ""
    return f"({', '.join(symbols)}){gives}"
