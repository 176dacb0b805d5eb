"""Names as databases can hold them: any text goes in and comes out; SQL knows no NUL and no surrogate."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_MARK = "\x10"
_UNSTORABLE = re.compile("[\0\x10\ud800-\udfff]")
_ESCAPED = re.compile("\x10([0-9a-f]{4})")


@lru_cache(maxsize=1024)  # an atom has three rows, and few kinds of them
def quoted(name: str) -> str:
    """Return ``name`` with NULs, lone surrogates and the mark itself as a mark and four hexadecimal digits.

    Escapes character by character: the quoted form of a prefix is a prefix of the quoted form.
    """
    if name.isprintable() and name.isascii():
        return name
    return _UNSTORABLE.sub(lambda match: f"{_MARK}{ord(match[0]):04x}", name)


def unquoted(text: str) -> str:
    """Return the name that `quoted` turned into ``text``."""
    if _MARK not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def name_of(text: Any) -> str:  # what a driver returns: MySQL gives back the bytes that it compares
    """Return the name that a database has as a text, or as its bytes. Raises ValueError."""
    return unquoted(text.decode() if isinstance(text, bytes) else text)
