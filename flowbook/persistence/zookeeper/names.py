"""Keys as paths of znodes, and back: any text, no character that ZooKeeper refuses.

Letters, digits, ``-``, ``_``, ``~`` and ``.`` stand for themselves; every other byte of the key's UTF-8, and a dot in
front, is written as ``%2E``.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from flowbook.exceptions import NotPossible, TooLarge
from flowbook.persistence.contents import name_text

DEFAULT_ROOT: Final = "/flowbook"
KEYS: Final = "keys"
FLOWS: Final = "flow"

LONGEST: Final = 4096
"""More bytes no path has: two hundred of them fit into one request."""

_EMPTY: Final = "%"


def root_of(path: str, url: str) -> str:
    """Return the path below which a logbook lies. Raises NotPossible for one that no znode can have."""
    root = f"/{path.strip('/')}"
    if root == "/":
        return DEFAULT_ROOT
    parts = root[1:].split("/")
    if not root.isprintable() or not {"", ".", ".."}.isdisjoint(parts) or parts[0] == "zookeeper":
        todo = f"give a path of plain names, such as zookeeper://HOST:2181{DEFAULT_ROOT}"
        raise NotPossible(f"{root!r} is no path for a logbook", where=url, todo=todo)
    return root


def place_of(key: str) -> str:
    """Return where a key is kept, seen from the root: ``flow:r1`` is kept at ``keys/flow/r1``.

    Raises TooLarge, and EncodeError for a key that the JSON in its head would not bring back.
    """
    name_text(key)
    kind, _, name = key.partition(":")
    place = f"{KEYS}/{quoted(kind)}/{quoted(name)}"
    if len(place) > LONGEST:
        raise TooLarge(f"the name {key[:40]!r}…", len(place), LONGEST)
    return place


def quoted(text: str) -> str:
    """Return a name of a znode for any text, a different one for each."""
    name = quote(text.encode(errors="surrogatepass"), safe="")
    return f"%2E{name[1:]}" if name.startswith(".") else name or _EMPTY


def unquoted(name: str) -> str | None:
    """Return the text that a name stands for, or None when it is no such name."""
    if name == _EMPTY:
        return ""
    try:
        text = unquote_to_bytes(name).decode(errors="surrogatepass")
    except UnicodeError:
        return None
    return text if quoted(text) == name else None
