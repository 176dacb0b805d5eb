"""A request on its way into a database, where the answer to its commit may be lost: left there once, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.engine.interfaces import DBAPICursor

from flowbook.exceptions import StorageUnavailable
from flowbook.persistence.sql.statements import Statements


class Posting:
    """Posts ``data`` for the owner of ``claim``, and can tell later whether that took place.

    A request that is not there any more was taken by its owner, in a commit: that has stepped the head of the claim.
    """

    def __init__(
        self, url: str, statements: Statements, claim: str, data: str, now: Callable[[DBAPICursor], float]
    ) -> None:
        self._url, self._statements, self._now = url, statements, now
        self._claim, self._data, self._at = claim, data, 0.0
        self._head: list[Any] = []

    def post(self, cursor: DBAPICursor) -> bool:
        """Leave the request, and note what the head was; others may read the head until the transaction ends."""
        cursor.execute(self._statements.head_to_read, (self._claim,))
        self._head = [tuple(row) for row in cursor.fetchall()]
        self._at = self._now(cursor)
        cursor.execute(self._statements.post, (self._claim, self._data, self._at))
        return True

    def settle(self, cursor: DBAPICursor) -> bool | None:
        """Return True when the request was left there, None when it was not.

        Raises StorageUnavailable when the owner has written since, and may have taken it.
        """
        cursor.execute(self._statements.head, (self._claim,))
        head = [tuple(row) for row in cursor.fetchall()]
        cursor.execute(self._statements.posted, (self._claim, self._at, self._data))
        if cursor.fetchall():
            return True
        if head != self._head:
            raise StorageUnavailable(self._url, "the connection was lost: whether the request was left is not known")
        return None
