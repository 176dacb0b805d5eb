"""What was around a failure: its causes, what the atom was called with, and what came before it.

Each atom that came before is told once, so the cost is that of what is told; how much that is, is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any, Final, Protocol

from flowbook.atoms.base import Atom
from flowbook.engines.storage import Storage
from flowbook.exceptions import FlowbookError
from flowbook.failure import ExcInfo, Failure
from flowbook.flows.plan import Plan
from flowbook.listeners.masking import masked, names_in, shown
from flowbook.secrets.masking import MASK
from flowbook.states import Direction

BEFORE_MAX: Final = 50
"""How many of the atoms that came before a failed one are told of."""


def chain_text(failure: Failure) -> str:
    """Return the tracebacks of a failure and its causes, the first cause first."""
    chain = [*reversed(failure.causes), failure]
    return "\nwhich led to:\n\n".join((each.traceback_str or str(each)).rstrip() + "\n" for each in chain)


def exc_info_of(failure: Failure) -> ExcInfo | None:
    """Return what a log may format by itself; None where the exception is not at hand, or a secret would be told."""
    return None if failure.exception is None or MASK in chain_text(failure) else failure.exc_info


class Reader(Protocol):
    """Says what is known of an atom."""

    def state(self, atom: Atom) -> str:
        """Return the atom's state."""
        ...

    def inputs(self, atom: Atom, direction: Direction) -> Mapping[str, Any]:
        """Return what the atom is called with, by argument; nothing where that cannot be told."""
        ...

    def output(self, atom: Atom) -> Any:  # whatever it gave
        """Return what the atom gave, or None."""
        ...


class StorageReader:
    """Reads from the storage of an engine."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def state(self, atom: Atom) -> str:
        """Return the atom's state."""
        return self._storage.get_atom_state(atom.name)

    def inputs(self, atom: Atom, direction: Direction) -> Mapping[str, Any]:
        """Return what the atom is called with; not what the engine adds, such as a revert's ``flow_failures``."""
        executes = direction is Direction.EXECUTE
        arguments = atom.execute_arguments if executes else atom.revert_arguments
        injected = atom.execute_inject if executes else atom.revert_inject
        own = {argument.name for argument in arguments} | injected.keys()
        try:
            values = self._storage.arguments(self._storage.plan.index[atom.name], direction)
        except FlowbookError:  # that some are missing may be the failure
            return {}
        return {name: value for name, value in values.items() if name in own}

    def output(self, atom: Atom) -> Any:
        """Return what the atom gave, or None."""
        try:
            return self._storage.get(atom.name)
        except FlowbookError:  # it has not run, or its type is unknown here
            return None


class Surroundings:
    """Tells what atoms were called with and gave, as far as it may be told.

    Of the atoms ``hide_inputs_outputs_of`` neither is told. ``mask_inputs_keys`` and ``mask_outputs_keys`` are the
    symbols (and for what is in the values, the keys) whose values are not.
    """

    def __init__(
        self,
        plan: Plan,
        reader: Reader,
        hide_inputs_outputs_of: Collection[str] = (),
        mask_inputs_keys: Collection[str] = (),
        mask_outputs_keys: Collection[str] = (),
    ) -> None:
        self._plan = plan
        self._reader = reader
        self._hidden = names_in(hide_inputs_outputs_of, "hide_inputs_outputs_of")
        self._mask_inputs = names_in(mask_inputs_keys, "mask_inputs_keys")
        self._mask_outputs = names_in(mask_outputs_keys, "mask_outputs_keys")

    def of(self, name: str, direction: Direction = Direction.EXECUTE) -> list[str]:
        """Return lines that tell what an atom was called with, and of the atoms before it."""
        inputs = self._inputs(self._atom(name), direction)
        return [*([f"called with {inputs}"] if inputs else []), *self.before(name)]

    def before(self, name: str) -> list[str]:
        """Return a heading and a line for each atom before one, the nearest first and not more than ``BEFORE_MAX``."""
        atoms = list(islice(self._all_before(self._plan.index[name]), BEFORE_MAX + 1))
        if not atoms:
            return []
        rest = ["  ..."] if len(atoms) > BEFORE_MAX else []
        return ["before it, the nearest first:", *(f"  {self._line(atom)}" for atom in atoms[:BEFORE_MAX]), *rest]

    def output(self, name: str) -> str:
        """Return what an atom gave, by symbols where it has any; nothing where it gave nothing, or that is hidden."""
        if name in self._hidden:
            return ""
        atom = self._atom(name)
        value = self._reader.output(atom)
        if value is not None and atom.save_as and not isinstance(value, Failure):
            value = {symbol: part for symbol, index in atom.save_as.items() for part in _parts(value, index)}
        return "" if value is None else shown(masked(value, self._mask_outputs))

    def _inputs(self, atom: Atom, direction: Direction) -> str:
        """Return what an atom is called with; nothing where that is nothing, hidden, or cannot be told."""
        if atom.name in self._hidden:
            return ""
        arguments = atom.execute_arguments if direction is Direction.EXECUTE else atom.revert_arguments
        secret = {argument.name for argument in arguments if argument.symbol in self._mask_inputs}
        values = self._reader.inputs(atom, direction)
        told = {name: MASK if name in secret else value for name, value in values.items()}
        return shown(masked(told, self._mask_inputs)) if told else ""

    def _line(self, atom: Atom) -> str:
        inputs, output = self._inputs(atom, Direction.EXECUTE), self.output(atom.name)
        parts = [f"{atom.name!r} is {self._reader.state(atom)}"]
        parts += [f"called with {inputs}"] if inputs else []
        parts += [f"gave {output}"] if output else []
        return ", ".join(parts)

    def _atom(self, name: str) -> Atom:
        return self._plan.atom(self._plan.index[name])

    def _all_before(self, start: int) -> Iterator[Atom]:
        """Yield the atoms before a node, through marks and one another: the nearest first, and none twice."""
        seen = {start}
        waiting = deque([start])
        while waiting:
            for node in self._plan.predecessors[waiting.popleft()]:
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)
                    if (atom := self._plan.atoms[node]) is not None:
                        yield atom


def _parts(value: Any, index: int | str | None) -> list[Any]:
    """Return the part of a result that is meant, as the only one, or none where the result does not have it."""
    try:
        return [value if index is None else value[index]]
    except Exception:  # indexing may be the user's code
        return []
