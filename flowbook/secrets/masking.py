"""The texts of secrets that this process has seen, and ``***`` in their place wherever something is told.

Passwords in URLs are masked whether they are known or not. What is masked too much can still be read around; so texts
are looked for as they are, in the forms that Python, JSON and URLs write them in, and line by line.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"

SHORTEST_MASKED: Final = 4
"""Shorter texts stand in too many words: they are not masked."""

SHORTEST_REFUSED: Final = 8
"""Values that hold the text of a secret in clear are not stored, when that is as long as this."""

SHORTEST_LINE: Final = 8
"""A line of a secret of several lines is looked for by itself when it is as long as this."""

KEPT_MAX: Final = 1_000
"""How many texts are known at a time, the newest; each makes telling a failure a little slower."""

SECRET_NAMES: Final = r"[^&=?#\s]*(?:pass|pwd|secret|token|key|credential)[^&=\s]*"
"""What options of a URL are called whose values are secrets; to be matched in small and capital letters."""

_PASSWORD_IN_TEXT: Final = re.compile(r"(://[^\s:/@?#\"']*:)[^\s\"']{1,1000}@")
_OPTION_IN_TEXT: Final = re.compile(rf"([?&]{SECRET_NAMES}=)[^&\s\"']*", re.IGNORECASE)

_AS_BASE64: Final = {"!bytes", "!bytearray", "!str"}
"""Tags of stored forms that texts hide in."""

_known: dict[str, tuple[str, ...]] = {}  # each text with its forms, the oldest first


def remember(text: str) -> None:
    """Have ``text`` masked from now on, unless it is too short for that."""
    if len(text) < SHORTEST_MASKED or text in _known:
        return
    _known[text] = tuple(_forms(text))
    if len(_known) > KEPT_MAX:
        _known.pop(next(iter(_known)), None)


def remembered() -> tuple[str, ...]:
    """Return the texts that are masked, the oldest first: for another process that is to mask them as well."""
    return tuple(_known)


def masked(text: str) -> str:
    """Return ``text`` with ``***`` for the secrets that this process has seen, and for passwords in URLs."""
    if "://" in text:
        text = _without_passwords(text)
    if _known:
        for form in sorted(_all_forms(), key=len, reverse=True):  # one may be a part of another
            text = text.replace(form, MASK)
    return text


def masked_value(value: Any) -> Any:  # whatever a task gave
    """Return ``value``; texts in it, and in plain containers in it, are masked. It is copied only where it must be."""
    kind = type(value)
    if kind is str:
        return masked(value)
    if kind is bytes:
        text = value.decode("utf-8", "surrogateescape")
        return value if (hidden := masked(text)) == text else hidden.encode("utf-8", "surrogateescape")
    if kind in (list, tuple):
        return kind(masked_value(each) for each in value)
    if kind is dict:
        return {masked_value(key): masked_value(each) for key, each in value.items()}
    return value


def masked_json(text: str) -> str:
    """Return a value in its stored form, the texts in it masked; references and sealed secrets stay."""
    if not _known and "://" not in text:
        return text
    try:
        document = json.loads(text)
        hidden = _mapped(document, masked)
    except RecursionError:  # too deep to be looked through
        return json.dumps(MASK)
    return text if hidden == document else json.dumps(hidden, ensure_ascii=False, separators=(",", ":"))


def shown_document(document: Any) -> Any:  # JSON
    """Return a value in its stored form as it may be shown: texts masked, and ``***`` for what is sealed.

    So is all of what cannot be looked through: it is nested too deep, or nothing that was written here.
    """
    try:
        return _mapped(document, masked, shows=True)
    except (RecursionError, TypeError, ValueError):
        return {"!repr": MASK}


def is_in_clear(text: str) -> bool:
    """Say whether a value in its stored form holds the text of a secret, of those that are long enough to be sure."""
    long = _all_forms(SHORTEST_REFUSED) if _known else []
    if not long or not (any(form in text for form in long) or any(tag in text for tag in _AS_BASE64)):
        return False
    found: list[str] = []

    def look(part: str) -> str:
        found.extend(form for form in long if form in part)
        return part

    try:
        _mapped(json.loads(text), look)
    except RecursionError:  # too deep to be sure that it does not
        return True
    return bool(found)


def _mapped(document: Any, change: Callable[[str], str], *, shows: bool = False) -> Any:  # JSON
    """Return a document with each of its texts changed, but for tags, and secrets in their stored form."""
    if isinstance(document, str):
        return change(document)
    if isinstance(document, list):
        return [_mapped(each, change, shows=shows) for each in document]
    if not isinstance(document, dict):
        return document
    if "!secret" in document:
        sealed = shows and "sealed" in document["!secret"]
        return {"!secret": {"sealed": MASK}} if sealed else document
    return {
        name if name[:1] == "!" else change(name): _in_base64(each, change)
        if name in _AS_BASE64 and isinstance(each, str)
        else _mapped(each, change, shows=shows)
        for name, each in document.items()
    }


def _in_base64(data: str, change: Callable[[str], str]) -> str:
    text = b64decode(data).decode("utf-8", "surrogateescape")
    return data if (new := change(text)) == text else b64encode(new.encode("utf-8", "surrogateescape")).decode()


def _all_forms(shortest: int = 0) -> list[str]:
    return [form for text, forms in tuple(_known.items()) if len(text) >= shortest for form in forms]


def _forms(text: str) -> Iterator[str]:
    """Yield ``text`` as it may stand in other texts, each form once."""
    lines = [line.strip() for line in text.splitlines()] if "\n" in text or "\r" in text else []
    parts = [text, *(line for line in lines if len(line) >= SHORTEST_LINE)]
    yield from dict.fromkeys(form for part in parts for form in _written(part))


def _written(text: str) -> Iterator[str]:
    yield text
    yield repr(text)[1:-1]
    yield repr(text.encode("utf-8", "surrogatepass"))[2:-1]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield quote(text, safe="", errors="surrogatepass")
    yield quote(text, errors="surrogatepass")
    yield quote_plus(text, errors="surrogatepass")


def _without_passwords(text: str) -> str:
    return _OPTION_IN_TEXT.sub(rf"\1{MASK}", _PASSWORD_IN_TEXT.sub(rf"\1{MASK}@", text))
