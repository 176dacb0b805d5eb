"""How the parameters of an atom's methods are wired to the symbols of a flow.

An *argument* is a parameter of a method; a *symbol* is the name under which a flow knows a value. Without
``rebind`` the two are the same word. Atoms that ask for nothing share the wiring of their class or function.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from flowbook.atoms.signature import Argument, Parameters
from flowbook.exceptions import NotPossible, WrongType, did_you_mean

Names = str | Collection[str]
Rebind = Mapping[str, str] | list[str] | tuple[str, ...]
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Method:
    """A method of an atom: its parameters, and the names whose values the engine gives, not the flow."""

    parameters: Parameters
    given: frozenset[str] = NOTHING


class Call(NamedTuple):
    """What a method is called with: what is fetched, what is injected, and which values of the engine."""

    arguments: tuple[Argument, ...] = ()
    inject: Mapping[str, object] = {}
    takes: frozenset[str] = NOTHING


class Wiring(NamedTuple):
    """The calls of an atom's methods, and the symbols that they need together."""

    execute: Call
    revert: Call
    on_failure: Call
    requires: frozenset[str]
    optional: frozenset[str]


@dataclass(frozen=True, slots=True)
class Methods:
    """The methods of an atom's class or function that take values; those it does not have are None."""

    execute: Method
    revert: Method | None = None
    on_failure: Method | None = None


class Asked(NamedTuple):
    """What a declaration asks of the wiring besides what the parameters say."""

    requires: Names | None = None
    rebind: Rebind | None = None
    inject: Mapping[str, object] | None = None
    ignore: Names | None = None
    auto_extract: bool = True
    revert_requires: Names | None = None
    revert_rebind: Rebind | None = None


PLAIN = Asked()


# -- what a declaration says ---------------------------------------------------------------------------------


def save_as_of(provides: Names, what: str) -> dict[str, int | str | None]:
    """Return symbol -> part of the result: None (all of it) for a string, a position, or a key for a set.

    ``what`` is what errors call ``provides``.
    """
    if isinstance(provides, str):
        names: Names = [provides]
        found: dict[str, int | str | None] = {provides: None}
    elif isinstance(provides, list | tuple):
        names = provides
        found = {name: index for index, name in enumerate(provides)}
    elif isinstance(provides, Set):
        names = _names(provides, what)
        found = {name: name for name in names}
    else:
        raise WrongType(what, provides, "a name, a list or tuple of names, or a set of names")
    _check_names(names, what)
    if len(found) < len(names):
        raise NotPossible(f"{what} names a symbol twice: {', '.join(names)}")
    return found


def _names(given: Names | None, what: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        given = (given,)
    is_row = isinstance(given, list | tuple)  # most are, and to ask for anything abstract takes far longer
    if not is_row and (isinstance(given, Mapping) or not isinstance(given, Collection)):
        raise WrongType(what, given, "a name or a collection of names")
    _check_names(given, what)
    return tuple(sorted(given)) if not is_row and isinstance(given, Set) else tuple(given)


def _check_names(names: Iterable[object], what: str) -> None:
    for name in names:
        if not isinstance(name, str):
            raise WrongType(f"a name in {what}", name, "a string")
        if not name:
            raise NotPossible(f"a name in {what} is empty")


def rebound(rebind: Rebind | None, required: Sequence[str], what: str) -> dict[str, str]:
    """Return argument -> symbol. A list goes over the ``required`` parameters; what is left keeps its name.

    ``what`` is what errors call ``rebind``.
    """
    if rebind is None:
        return {}
    if isinstance(rebind, Mapping):
        _check_names(rebind.values(), what)
        return dict(zip(_names(tuple(rebind), what), rebind.values(), strict=True))
    if not isinstance(rebind, list | tuple):
        raise WrongType(what, rebind, "a dict of argument to symbol, or a list or tuple of symbols")
    _check_names(rebind, what)
    rest = rebind[len(required) :]
    return {**dict(zip(required, rebind, strict=False)), **{name: name for name in rest}}


def _required(method: Method, ignore: Collection[str]) -> list[str]:
    return [name for name in method.parameters.required if name not in ignore and name not in method.given]


# -- wiring --------------------------------------------------------------------------------------------------


def wire(methods: Methods, asked: Asked, whose: str) -> Wiring:
    """Return how the methods are called. Raises NotPossible for names that a method does not take, or misses.

    What is asked for ``execute`` counts for the other methods too as far as they take it; what is asked for
    ``revert`` must be taken by it.
    """
    ignore = _names(asked.ignore, f"ignore_list of {whose}")
    requires = _names(asked.requires, f"requires of {whose}")
    rebind = rebound(asked.rebind, _required(methods.execute, ignore), f"rebind of {whose}")
    inject = _injected(methods, asked, whose)

    def connect(method: Method | None, names: dict[str, str]) -> Call:
        return Call() if method is None else _call(method, names, inject, ignore, asked.auto_extract)

    wanted = {**{name: name for name in requires}, **rebind}
    execute = connect(methods.execute, wanted)
    on_failure = connect(methods.on_failure, _taken(methods.on_failure, wanted))
    by_revert = _wanted_by_revert(methods.revert, rebind, asked, ignore, whose)
    revert = connect(methods.revert, by_revert)
    return _joined(execute, revert, on_failure)


def _joined(execute: Call, revert: Call, on_failure: Call) -> Wiring:
    arguments = (*execute.arguments, *revert.arguments, *on_failure.arguments)
    needed = frozenset([one.symbol for one in arguments if not one.optional])
    return Wiring(execute, revert, on_failure, needed, frozenset([one.symbol for one in arguments]) - needed)


def wired(methods: Methods, plain: Wiring, asked: Asked, whose: str) -> Wiring:
    """Return what `wire` returns, given the wiring ``plain`` of those who ask for nothing.

    Most who ask for something require more of a task without ``revert``, or rebind or inject what execute fetches
    anyway: that is changed in ``plain``, for half of the time or less.
    """
    if asked[1:] == PLAIN[1:] and methods.revert is None and methods.on_failure is None:
        requires = _names(asked.requires, f"requires of {whose}")
        if methods.execute.parameters.takes_any and not any(one.name in requires for one in plain.execute.arguments):
            return _widened(plain, requires)
    rebind, inject = asked.rebind or {}, asked.inject or {}
    if (
        asked != Asked(rebind=asked.rebind, inject=asked.inject)
        or not isinstance(rebind, dict)
        or not isinstance(inject, dict)
        or (methods.revert is not None and methods.revert.parameters.takes_any)
        or (methods.on_failure is not None and methods.on_failure.parameters.takes_any)
    ):
        return wire(methods, asked, whose)
    names = [one.name for one in plain.execute.arguments]
    for name in (*rebind, *inject):
        if name not in names:
            return wire(methods, asked, whose)
    _check_names(rebind.values(), f"rebind of {whose}")
    return _joined(
        _changed(plain.execute, rebind, inject),
        _changed(plain.revert, rebind, inject),
        _changed(plain.on_failure, rebind, inject),
    )


def _widened(plain: Wiring, names: Iterable[str]) -> Wiring:
    """Return ``plain`` with more names for execute, none of which it fetches anyway: before what is optional."""
    arguments = [one for one in plain.execute.arguments if not one.optional]
    arguments += map(_fetched, dict.fromkeys(names))
    arguments += [one for one in plain.execute.arguments if one.optional]
    execute = Call(tuple(arguments), plain.execute.inject, plain.execute.takes)
    return Wiring(execute, plain.revert, plain.on_failure, plain.requires.union(names), plain.optional)


@lru_cache(maxsize=1024)
def _fetched(name: str) -> Argument:
    """Return the argument for a name that a declaration requires; what one atom gives, often several take."""
    return Argument(name, name, optional=False)


def _changed(call: Call, rebind: Mapping[str, str], inject: Mapping[str, object]) -> Call:
    if not call.arguments:
        return call
    arguments = [
        Argument(one.name, rebind[one.name], optional=False) if one.name in rebind else one
        for one in call.arguments
        if one.name not in inject
    ]
    values = {one.name: inject[one.name] for one in call.arguments if one.name in inject} if inject else {}
    return Call(tuple(arguments), values, call.takes)


def _taken(method: Method | None, wanted: Mapping[str, str]) -> dict[str, str]:
    if method is None:
        return {}
    return {
        name: symbol for name, symbol in wanted.items() if method.parameters.accept(name) and name not in method.given
    }


def _wanted_by_revert(
    method: Method | None, inherited: Mapping[str, str], asked: Asked, ignore: Collection[str], whose: str
) -> dict[str, str]:
    """Return what revert's own requires and rebind say, each in place of execute's when it is given."""
    if method is None:
        if asked.revert_requires or asked.revert_rebind:
            raise NotPossible(f"{whose} has no revert: revert_requires and revert_rebind mean nothing")
        return {}
    requires = _names(asked.revert_requires, f"revert_requires of {whose}")
    rebind = rebound(asked.revert_rebind, _required(method, ignore), f"revert_rebind of {whose}")
    names = requires or tuple(_taken(method, {name: name for name in _names(asked.requires, "")}))
    return {**{name: name for name in names}, **(rebind or _taken(method, inherited))}


def _injected(methods: Methods, asked: Asked, whose: str) -> Mapping[str, object]:
    """Return the injected values, all of which some method takes."""
    inject = asked.inject
    if inject is None:
        return {}
    if not isinstance(inject, Mapping):
        raise WrongType(f"inject of {whose}", inject, "a dict of argument to value")
    present = [m for m in (methods.execute, methods.revert, methods.on_failure) if m is not None]
    for name in inject:
        if not any(m.parameters.accept(name) and name not in m.given for m in present):
            raise _not_taken([name], "injected", methods.execute.parameters)
    return dict(inject)


def _call(
    method: Method,
    wanted: Mapping[str, str],
    inject: Mapping[str, object],
    ignore: Collection[str],
    auto_extract: bool,
) -> Call:
    parameters = method.parameters
    values = {n: v for n, v in inject.items() if parameters.accept(n) and n not in method.given}
    given = {*method.given, *values}
    skipped = {*given, *ignore}
    required = [name for name in parameters.required if name not in skipped]
    extra = [name for name in wanted if not parameters.accept(name)]
    if extra:
        raise _not_taken(extra, "asked for", parameters)
    if not auto_extract and (missing := [name for name in required if name not in wanted]):
        raise _missing(missing, parameters, "name it in requires, rebind or inject, or leave auto_extract on")
    if ignore and (missing := [n for n in parameters.required if n in ignore and n not in {*wanted, *given}]):
        raise _missing(missing, parameters, "take it off ignore_list, inject it, or give the parameter a default")
    symbols = {**{name: name for name in required}, **{n: s for n, s in wanted.items() if n not in values}}
    optional = [n for n in parameters.optional if auto_extract and n not in skipped and n not in symbols]
    return Call(
        (
            *(Argument(name, symbol, optional=False) for name, symbol in symbols.items()),
            *(Argument(name, name, optional=True) for name in optional),
        ),
        values,
        frozenset(name for name in method.given if parameters.accept(name)),
    )


def _not_taken(names: Collection[str], how: str, parameters: Parameters) -> NotPossible:
    known = (*parameters.required, *parameters.optional)
    hints = [hint for hint in (did_you_mean(name, known) for name in names) if hint]
    given = f"{', '.join(map(repr, names))} {'is' if len(names) == 1 else 'are'} {how}"
    text = f"{given}, but {parameters} takes {', '.join(known) or 'nothing'}"
    return NotPossible("; ".join([text, *hints]), where=parameters.place)


def _missing(names: Collection[str], parameters: Parameters, ways_out: str) -> NotPossible:
    text = f"{parameters} needs {', '.join(map(repr, names))}, which nothing gives it: {ways_out}"
    return NotPossible(text, where=parameters.place)
