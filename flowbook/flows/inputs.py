"""Whether a plan has all it needs: arguments that neither an earlier atom nor an input from outside gives."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from flowbook.atoms.base import Atom
from flowbook.atoms.retry import Retry
from flowbook.exceptions import Problem, did_you_mean
from flowbook.flows.plan import Plan


def missing_inputs(plan: Plan, inputs: Collection[str]) -> list[Problem]:
    """Return a problem for each argument of an atom that neither ``inputs`` nor an earlier atom gives."""
    missing = [(atom, symbol, method) for atom, symbol, method in _missing(plan) if symbol not in inputs]
    if not missing:
        return []
    providers: dict[str, list[Atom]] = {}
    for node in plan.atom_nodes():
        for symbol in plan.atom(node).save_as:
            providers.setdefault(symbol, []).append(plan.atom(node))
    return [_problem(atom, symbol, method, providers, inputs) for atom, symbol, method in missing]


def _missing(plan: Plan) -> Iterator[tuple[Atom, str, str]]:
    all_heads = (plan.execute_heads, plan.revert_heads, plan.failure_heads)
    for node in sorted({node for of_method in all_heads for node, heads in of_method.items() if None in heads}):
        atom = plan.atom(node)
        told: set[str] = set()
        failing = atom.on_failure_arguments if isinstance(atom, Retry) else ()
        for method, arguments, heads in (
            ("execute", atom.execute_arguments, plan.execute_heads.get(node, ())),
            ("revert", atom.revert_arguments, plan.revert_heads.get(node, ())),
            ("on_failure", failing, plan.failure_heads.get(node, ())),
        ):
            for argument, head in zip(arguments, heads, strict=True):
                if head is None and not argument.optional and argument.symbol not in told:
                    told.add(argument.symbol)
                    yield atom, argument.symbol, method


def _problem(
    atom: Atom, symbol: str, method: str, providers: dict[str, list[Atom]], inputs: Collection[str]
) -> Problem:
    what = f"{method} of {atom.name!r} needs {symbol!r}"
    hidden = providers.get(symbol, [])
    if hidden:
        names = ", ".join(repr(other.name) for other in hidden)
        places = (atom.place, *(other.place for other in hidden))
        return Problem(f"{what}; {names} provides it, but does not come before", places, "link or order them")
    hint = did_you_mean(symbol, [*providers, *inputs])
    near = [others[0].place for name, others in providers.items() if repr(name) in hint]
    hint = hint or f"give it as an input: store={{{symbol!r}: ...}}"
    return Problem(f"{what}, which nothing provides", (atom.place, *near), hint)
