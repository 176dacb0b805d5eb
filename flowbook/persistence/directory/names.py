"""Keys as names of folders, and back: any text, no surprise for the file system.

Letters, digits, ``-``, ``_`` and ``.`` stand for themselves; every other byte of the key's UTF-8, and a dot in front,
is written as ``%2E``. So no name is ``..``, holds a slash, or looks different to a file system that normalises Unicode.
A long key is cut, and told from others by a digest; the journals in the folder say the whole key.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

LONGEST: Final = 200
"""More characters no name has; file systems take 255."""

MARK: Final = "logbook.json"
LIVING: Final = "living"
DESTROYED: Final = "destroyed"
OURS: Final = frozenset({MARK, LIVING, DESTROYED})
"""What lies beside the folders of the kinds of keys."""

_KEPT: Final = 120
_DIGEST: Final = 40
_SAFE: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
_EMPTY: Final = "%"
_CODE: Final = re.compile(rb"%([0-9A-F]{2})")
_EPOCH: Final = re.compile(r"epoch-([0-9]{6,18})\.jsonl")
_REQUEST: Final = re.compile(r"request-([0-9]{20})\.json")


def folder_names(key: str) -> tuple[str, str]:
    """Return the folder of the key's kind, and the one in it that is the key's: ``flow:r1`` is ``flow``, ``r1``."""
    kind, _, name = key.partition(":")
    kind = quoted(kind)
    if kind in OURS:
        kind = f"%{ord(kind[0]):02X}{kind[1:]}"
    return kind, quoted(name)


def quoted(text: str) -> str:
    """Return a safe name for any text, a different one for each."""
    name = "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in text.encode(errors="surrogatepass"))
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) <= LONGEST:
        return name or _EMPTY
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    return f"{name[:_KEPT]}~{digest}"


def unquoted(name: str) -> str | None:
    """Return the text that a name stands for, or None when it was cut, or is no such name."""
    if name == _EMPTY:
        return ""
    try:
        text = _CODE.sub(lambda code: bytes([int(code[1], 16)]), name.encode("ascii")).decode(errors="surrogatepass")
    except UnicodeError:
        return None
    return text if quoted(text) == name else None


def epoch_name(epoch: int) -> str:
    """Return the name of the journal of an epoch."""
    return f"epoch-{epoch:06}.jsonl"


def epoch_of(name: str) -> int | None:
    """Return the epoch of a journal's name, or None for another file."""
    match = _EPOCH.fullmatch(name)
    return int(match[1]) if match and epoch_name(int(match[1])) == name else None


def request_name(request: str) -> str:
    """Return the name of the file that holds a posted request."""
    return f"request-{request}.json"


def request_of(name: str) -> str | None:
    """Return the id of the request in a file of this name, or None for another file."""
    match = _REQUEST.fullmatch(name)
    return match[1] if match else None
