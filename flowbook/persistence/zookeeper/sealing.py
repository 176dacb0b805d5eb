"""What stands in a znode: a checksum, a space, and a JSON document.

The checksum is a CRC-32 that begins with that of the znode's place. So a znode that was altered, or put in the place of
another one, is found.
"""

from __future__ import annotations

import json
from typing import Any, Final
from zlib import crc32

_CRC_DIGITS: Final = 8


def sealed(data: bytes, place: str) -> bytes:
    """Return ``data`` with its checksum in front."""
    return b"%08x %b" % (crc32(data, crc32(place.encode())), data)


def unsealed(data: bytes, place: str) -> bytes:
    """Return what was `sealed` for this place. Raises ValueError."""
    inside = data[_CRC_DIGITS + 1 :]
    if data != sealed(inside, place):
        raise ValueError("it does not fit its checksum")
    return inside


def document_in(data: bytes, place: str) -> dict[str, Any]:
    """Return the JSON object that was `sealed` for this place. Raises ValueError and RecursionError."""
    document = json.loads(unsealed(data, place))
    if not isinstance(document, dict):
        raise ValueError("it holds no JSON object")
    return document
