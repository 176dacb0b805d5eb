"""Adapts ``taskflow.formatters``: a failure with what came before it, each atom told once."""

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from flowbook.failure import Failure
from flowbook.listeners.surroundings import StorageReader, Surroundings, exc_info_of
from flowbook.states import Direction
from flowbook.taskflow import exceptions, states


class FailureFormatter:
    """Formats failures of the atoms of one engine; the options are those of the native `Surroundings`."""

    def __init__(self, engine: Any, *hidden: Collection[str], **options: Collection[str]) -> None:
        self._engine, self._hidden, self._options = engine, hidden, options

    def format(self, fail: Failure, atom_matcher: Callable[[Any], bool]) -> tuple[Any, str]:
        """Return ``exc_info``, and what else is known, of the atom too that is matched and not yet reverted."""
        lines = [] if (exc_info := exc_info_of(fail)) is not None else [fail.pformat(traceback=True)]
        storage, compilation = self._engine.storage, self._engine.compilation
        if storage is not None and compilation is not None:
            node = next(filter(atom_matcher, compilation.hierarchy.dfs_iter(include_self=True)), None)
            if node is not None and storage.get_atom_state(node.item.name) != states.REVERTED:
                told = Surroundings(compilation.plan, _Reader(storage), *self._hidden, **self._options)
                lines += told.of(node.item.name)
        return exc_info, os.linesep.join(lines)


class _Reader(StorageReader):
    _storage: Any  # TaskFlow's

    def inputs(self, atom: Any, direction: Direction) -> Mapping[str, Any]:
        with suppress(exceptions.NotFound, exceptions.StorageFailure):
            found: dict[str, Any] = self._storage.fetch_mapped_args(atom.rebind, atom.name, optional_args=atom.optional)
            return found
        return {}

    def output(self, atom: Any) -> Any:
        with suppress(exceptions.NotFound, exceptions.StorageFailure):
            return self._storage.get_execute_result(atom.name)
        return None
