"""Many small znodes read by one request: ZooKeeper's multiRead, which it has since 3.6 and kazoo does not know.

kazoo hands each request and each answer from thread to thread, which takes ten times as long as to read what is in it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, Final

from kazoo.exceptions import EXCEPTIONS
from kazoo.protocol.serialization import GetData, MultiHeader, read_buffer

from flowbook.persistence.zookeeper.asking import Request

_LAST: Final = MultiHeader(-1, True, -1).serialize()
_FAILED: Final = -1
_HEADER: Final = struct.Struct("!iBi")  # what kind of answer, whether there are no more, an error
_ERROR: Final = struct.Struct("!i")
_STAT_BYTES: Final = 68


@dataclass(frozen=True, slots=True)
class _MultiRead:
    """A request such as kazoo's own."""

    paths: Sequence[str]
    type: ClassVar[int] = 22

    def serialize(self) -> bytes:
        """Return the body of the request."""
        head = MultiHeader(GetData.type, False, -1).serialize()
        reads = chain.from_iterable((head, GetData(path, None).serialize()) for path in self.paths)
        return b"".join((*reads, _LAST))

    @classmethod
    def deserialize(cls, body: bytes, offset: int) -> list[bytes | Exception]:
        """Return what the body of the answer says: of each znode its data, or why there is none."""
        answers: list[bytes | Exception] = []
        while True:
            kind, is_over, _ = _HEADER.unpack_from(body, offset)
            offset += _HEADER.size
            if is_over:
                return answers
            if kind == _FAILED:
                answers.append(EXCEPTIONS[_ERROR.unpack_from(body, offset)[0]]())
                offset += _ERROR.size
            else:
                data, offset = read_buffer(body, offset)
                answers.append(data or b"")
                offset += _STAT_BYTES


def get_all(paths: Sequence[str]) -> Request:
    """Return the request for what is in each of some znodes; its answer is a list of data and of errors."""

    def request(client: Any) -> Any:  # as `Request` says
        result = client.handler.async_result()
        client._call(_MultiRead(paths), result)
        return result

    return request
