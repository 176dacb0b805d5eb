"""TaskFlow's ``atom``: flowbook's `Atom` with TaskFlow's constructor and errors, and attributes that may be changed."""

import abc
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, ClassVar, Final

import flowbook.atoms as native
from flowbook.atoms.base import UNMADE
from flowbook.atoms.signature import Argument, Parameters, read_parameters
from flowbook.atoms.wiring import NOTHING, Call, Wiring, rebound, save_as_of
from flowbook.taskflow.types.sets import OrderedSet

_GIVEN_TO_REVERT: Final = ("result", "flow_failures")


class Atom(native.Atom, metaclass=abc.ABCMeta):
    """What tasks and retries have in common: a name, and what it takes (``requires``) and gives (``provides``).

    Raises TypeError for values of the wrong kind, ValueError for names that a method does not take or would miss.
    """

    inject = provides = requires = optional = UNMADE
    _engine_gives: ClassVar[tuple[str, ...]] = ()  # whatever the method
    _engine_gives_to_revert: ClassVar[tuple[str, ...]] = _GIVEN_TO_REVERT  # where it takes them

    def __init__(
        self,
        name: Any = None,
        provides: Any = None,
        requires: Any = None,
        auto_extract: bool = True,
        rebind: Any = None,
        inject: Mapping[str, Any] | None = None,
        ignore_list: Iterable[str] | None = None,
        revert_rebind: Any = None,
        revert_requires: Any = None,
    ) -> None:
        self.name = name
        self.inject = {} if inject is None else inject
        provides = self.default_provides if provides is None else provides
        self.save_as = {} if provides is None else save_as_of(provides, f"Atom provides of {name!r}")
        self.provides = OrderedSet(self.save_as)
        execute, revert = read_parameters(self.execute), read_parameters(self.revert)
        ignored = (*self._engine_gives, *(ignore_list or ()))
        self.rebind, needed, self.optional = self._wired(execute, requires, rebind, auto_extract, ignored)
        ignored += _GIVEN_TO_REVERT
        wired = self._wired(revert, revert_requires or requires, revert_rebind or rebind, auto_extract, ignored)
        self.revert_rebind, needed_to_revert, self.revert_optional = wired
        self.requires = needed.union(needed_to_revert)
        self._taken_by_revert = frozenset(filter(revert.accept, self._engine_gives_to_revert))

    def _wired(
        self, parameters: Parameters, requires: Any, rebind: Any, auto_extract: bool, ignored: Sequence[str]
    ) -> tuple[dict[str, str], OrderedSet, OrderedSet]:
        """Return argument -> symbol of a method, the symbols that it needs, and those it may have."""
        demanded = [name for name in parameters.required if name not in ignored]
        asked = [requires] if isinstance(requires, str) else requires or ()
        needed = {name: name for name in (*(demanded if auto_extract else ()), *asked)}
        needed |= rebound(rebind, demanded, f"Invalid rebind value of {self.name!r}")
        if extra := [name for name in needed if not parameters.accept(name)]:
            raise ValueError(f"Extra arguments {extra}: {parameters}, of atom {self.name!r}, does not take them")
        if missing := [name for name in demanded if name not in needed]:
            raise ValueError(f"Missing arguments {missing}: {parameters}, of atom {self.name!r}, needs them")
        spare = parameters.optional if auto_extract else ()
        optional = {name: name for name in spare if name not in needed and name not in ignored}
        lacking, may_lack = (OrderedSet(each.values()).difference(self.inject) for each in (needed, optional))
        return needed | optional, lacking, may_lack

    @property
    def _wiring(self) -> Wiring:  # type: ignore[override]  # made anew: the attributes may have changed
        execute = self._call(self.rebind, self.optional)
        revert = self._call(self.revert_rebind, self.revert_optional) if self.has_revert else Call()
        return Wiring(execute, revert._replace(takes=self._taken_by_revert), Call(), NOTHING, NOTHING)

    def _call(self, rebind: Mapping[str, str], optional: Set[str]) -> Call:
        inject = {name: self.inject[symbol] for name, symbol in rebind.items() if symbol in self.inject}
        fetched = [each for each in rebind.items() if each[0] not in inject]
        may_lack = optional - self.requires
        return Call(tuple(Argument(name, symbol, symbol in may_lack) for name, symbol in fetched), inject)

    @abc.abstractmethod
    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work and return its result; subclasses name the values they need as parameters."""

    def __str__(self) -> str:
        version = self.version if isinstance(self.version, str) else ".".join(map(str, self.version))
        return f'"{self.name}=={version}"'

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} {self}>"
