"""What an attempt is called with: the handle of each argument, by the rules of scopes."""

from __future__ import annotations

from flowbook.atoms.retry import Retry
from flowbook.atoms.signature import Argument
from flowbook.engines.core.run import READABLE, Run
from flowbook.exceptions import FlowFailed
from flowbook.flows.plan import Heads, Plan
from flowbook.flows.scopes import Provider
from flowbook.persistence.changes import Inline
from flowbook.states import EXECUTE, REVERT, AtomState, Direction

Source = tuple[str, Inline, int | str | None]
"""An argument's name, the handle of a value, and which part of the value is meant (None: all of it)."""

_SUCCESS = AtomState.SUCCESS


class NotProvided(FlowFailed):
    """No atom that may be read has supplied a value that an attempt needs."""

    code = "FB202"

    def __init__(self, atom: str, symbol: str) -> None:
        self.atom, self.symbol = atom, symbol
        super().__init__(atom, symbol)

    def __str__(self) -> str:
        return f"{self.atom!r} needs {self.symbol!r}, which its providers did not supply"


def sources(run: Run, node: int, method: Direction | str) -> list[Source]:
    """Return where the arguments of a method come from; optional ones that nobody supplies are left out.

    ``method`` is a direction, or ``ON_FAILURE`` of a retry. What is injected for the atom comes first, then inputs of
    the flow, then the nearest provider whose result has the wanted part. Raises NotProvided.
    """
    arguments, heads = _wanted(run.plan, node, method)
    injected, inputs = run.injected.get(node), run.inputs
    are_given, state, result = bool(injected or inputs), run.state, run.result
    found: list[Source] = []
    for argument, head in zip(arguments, heads, strict=True):
        if are_given:
            given = (injected and injected.get(argument.symbol)) or inputs.get(argument.symbol)
            if given:
                found.append((argument.name, given, None))
                continue
        provider, handle = head, None
        if head is not None and state[head.node] is _SUCCESS and not run.absent:
            handle = result[head.node]
        if handle is None:  # which is rare
            provider = nearest(run, head)
            handle = None if provider is None else result[provider.node]
        if provider is not None and handle is not None:
            found.append((argument.name, handle, provider.index))
        elif not argument.optional:
            raise NotProvided(run.plan.names[node], argument.symbol)
    return found


def _wanted(plan: Plan, node: int, method: Direction | str) -> tuple[tuple[Argument, ...], Heads]:
    atom = plan.atom(node)
    if method is EXECUTE:
        return atom.execute_arguments, plan.execute_heads.get(node, ())
    if method is REVERT:
        return atom.revert_arguments, plan.revert_heads.get(node, ())
    assert isinstance(atom, Retry)  # nothing else is asked about failures
    return atom.on_failure_arguments, plan.failure_heads[node]


def nearest(run: Run, head: Provider | None) -> Provider | None:
    """Return the nearest provider whose result may be read and has the provided part, or None."""
    while head is not None:
        node = head.node
        is_there = run.state[node] in READABLE and run.result[node] is not None
        if is_there and not (run.absent and head.index in run.absent.get(node, ())):
            return head
        head = head.farther
    return None
