"""What can be asked of ZooKeeper: single requests, and the parts of one that is done whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Self

from kazoo.exceptions import RolledBackError, RuntimeInconsistency

Request = Callable[[Any], Any]  # a KazooClient to its AsyncResult: kazoo has no types
"""A call of one of the client's methods that do not wait."""

_FOLLOWED: Final = (RolledBackError, RuntimeInconsistency)


class Op(NamedTuple):
    """One part of a multi: a method of kazoo's transaction, and its arguments."""

    verb: str
    path: str
    more: tuple[Any, ...] = ()

    @classmethod
    def create(cls, path: str, data: bytes) -> Self:
        """Return what creates a znode."""
        return cls("create", path, (data,))

    @classmethod
    def create_ephemeral(cls, path: str, data: bytes) -> Self:
        """Return what creates a znode that lives as long as the session."""
        return cls("create", path, (data, None, True))

    @classmethod
    def set_data(cls, path: str, data: bytes, version: int = -1) -> Self:
        """Return what sets a znode's data, if it has this version."""
        return cls("set_data", path, (data, version))

    @classmethod
    def delete(cls, path: str, version: int = -1) -> Self:
        """Return what deletes a znode, if it has this version."""
        return cls("delete", path, (version,))

    @classmethod
    def check(cls, path: str, version: int = -1) -> Self:
        """Return what asks for a znode with this version, or any."""
        return cls("check", path, (version,))


def all_of(ops: Sequence[Op]) -> Request:
    """Return the request for all of ``ops``, or nothing; its answer is a list."""

    def request(client: Any) -> Any:  # as `Request` says
        transaction = client.transaction()
        for op in ops:
            getattr(transaction, op.verb)(op.path, *op.more)
        return transaction.commit_async()

    return request


def refusal_in(answers: Sequence[Any]) -> tuple[int, Exception] | None:
    """Return which part of a multi was refused, and why; None when it was done."""
    for number, answer in enumerate(answers):
        if isinstance(answer, Exception) and not isinstance(answer, _FOLLOWED):
            return number, answer
    return None


def get(path: str) -> Request:
    """Return the request for a znode's data and its stat."""
    return lambda client: client.get_async(path)


def children(path: str) -> Request:
    """Return the request for the names below a znode."""
    return lambda client: client.get_children_async(path)


def acls(path: str) -> Request:
    """Return the request for who may do what with a znode."""
    return lambda client: client.get_acls_async(path)


def create(path: str, data: bytes) -> Request:
    """Return the request for a new znode."""
    return lambda client: client.create_async(path, data)


def set_data(path: str, data: bytes, version: int = -1) -> Request:
    """Return the request to set a znode's data, if it has this version; its answer is the stat."""
    return lambda client: client.set_async(path, data, version)


def delete(path: str) -> Request:
    """Return the request to delete a znode."""
    return lambda client: client.delete_async(path)


def sync(path: str) -> Request:
    """Return a request after which this server knows all that was acknowledged by others before."""
    return lambda client: client.sync_async(path)
