"""What a process wrote into a journal, kept in memory: to sum it up, it need not be read and parsed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from flowbook.persistence.changes import Change, Delete, Put
from flowbook.persistence.contents import Contents
from flowbook.persistence.directory.journal import Journal

_MOST_BYTES: Final = 16 * 1024 * 1024
_NOTHING: Final = -1


class Kept(Contents):
    """The records of a run that began with ``journal``, each as the text of its change.

    They are all that the journal says for as long as each line of it is added, and not too much for the memory.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        base = journal.base
        begins = base is not None and base.epoch is None and not journal.commits
        self._until = journal.end if begins else _NOTHING
        self.answered.update(() if base is None else base.answered)

    def are_all(self, journal: Journal) -> bool:
        """Return whether these are the records that the journal leaves behind."""
        return self._until == journal.end

    def add(self, start: int, end: int, changes: Sequence[Change], texts: Sequence[str]) -> None:
        """Keep the changes of a line that is durable, and lies between two positions of the journal."""
        if start != self._until:
            return
        if end > _MOST_BYTES:
            self._until = _NOTHING
            self.rows.clear()
            self.appended.clear()
            return
        rows, appended = self.rows, self.appended
        for change, text in zip(changes, texts, strict=True):
            if isinstance(change, Delete):
                self.forget(change.kind, change.key)
                continue
            kind, key, _ = change
            if isinstance(change, Put):
                rows.setdefault(kind, {})[key] = text
            else:
                appended.setdefault(kind, {}).setdefault(key, []).append(text)
        self._until = end  # at last: after an interrupt they are not all

    def texts(self) -> Iterator[str]:
        """Yield the texts of changes that write these records anew, the ``flow`` record first."""
        for kind in sorted(self.rows, key=lambda kind: kind != "flow"):
            yield from self.rows[kind].values()
        for of_kind in self.appended.values():
            yield from chain.from_iterable(of_kind.values())
