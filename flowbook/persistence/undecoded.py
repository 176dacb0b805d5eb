"""Records as they lie in a storage, decoded when somebody asks for one: of a large run, few are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from flowbook.persistence.changes import Row
from flowbook.persistence.texts import row_of


class Undecoded(Mapping[str, dict[str, Any]]):
    """The rows of one kind by key, in the storage at ``url``. Who asks for one gets Damaged where it is not readable.

    ``texts`` are what the storage gave: anything where it is damaged.
    """

    def __init__(self, texts: Mapping[str, Any], url: str, kind: str) -> None:
        self._texts, self._url, self._kind = texts, url, kind
        self._rows: dict[str, dict[str, Any]] = {}

    def __getitem__(self, key: str) -> dict[str, Any]:
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = row_of(self._texts[key], self._url, self._kind, key)
        return row

    def __contains__(self, key: object) -> bool:
        return key in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def leading(self, field: str) -> Mapping[str, Any]:
        """Return the value of a field in each row, None where there is none: quickly where rows begin with that field.

        Only rows are decoded that do not begin with it, or not with a plain word. Raises Damaged.
        """
        begins, found = f'{{"{field}":"', {}
        start = len(begins)
        for key, text in self._texts.items():
            end = text.find('"', start) if isinstance(text, str) and text.startswith(begins) else -1
            word = text[start:end] if end > 0 else ""
            found[key] = word if word.isalnum() else self[key].get(field)
        return found

    def mentioning(self, text: str) -> Set[str]:
        """Return the keys of the rows in which a text stands somewhere; fields have their names in double quotes."""
        return {key for key, row in self._texts.items() if not isinstance(row, str) or text in row}


class UndecodedLists(Mapping[str, Sequence[Row]]):
    """What was appended under one kind by key, in order; otherwise as `Undecoded`."""

    def __init__(self, texts: Mapping[str, Sequence[Any]], url: str, kind: str) -> None:
        self._texts, self._url, self._kind = texts, url, kind

    def __getitem__(self, key: str) -> Sequence[Row]:
        return [row_of(text, self._url, self._kind, key) for text in self._texts[key]]

    def __contains__(self, key: object) -> bool:
        return key in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)
