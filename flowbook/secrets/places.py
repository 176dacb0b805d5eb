"""Where the text of a secret lies that is stored as a reference: a variable, a file, a keyring."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from flowbook.secrets.errors import SecretMissing


def from_env(name: str) -> str:
    """Return what an environment variable holds. Raises SecretMissing when it is not set, or empty."""
    text = os.environ.get(name, "")
    if not text:
        why = "is empty" if name in os.environ else "is not set"
        raise SecretMissing(f"environment variable {name}", why, f"set {name} in the environment of this process")
    return text


def from_file(path: str) -> str:
    """Return what a file holds, without the end of its last line. Raises SecretMissing when that is nothing."""
    place = f"file {path}"
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except (OSError, ValueError) as error:  # whatever it is, it does not tell what the file holds
        why = f"cannot be read: {getattr(error, 'strerror', None) or 'it is no text in UTF-8'}"
        raise SecretMissing(place, why, "write the secret to that file, readable by this process") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise SecretMissing(place, "is empty", "write the secret to that file")
    return text


def from_keyring(name: str) -> str:
    """Return an entry of the system's keyring, named ``service/name``. Raises SecretMissing when there is none."""
    service, _, entry = name.rpartition("/")
    place = f"keyring entry {entry!r} of {service!r}"
    try:
        keyring: Any = import_module("keyring")  # it is installed by whoever needs it, and ships no types for others
    except ImportError:
        raise SecretMissing(place, "needs the package keyring, which is not installed", "pip install keyring") from None
    try:
        text = keyring.get_password(service, entry)
    except Exception as error:  # each of its backends has errors of its own
        why = f"cannot be read: {type(error).__name__}"
        raise SecretMissing(place, why, "see that a keyring is there and unlocked: keyring diagnose") from None
    if not isinstance(text, str) or not text:
        raise SecretMissing(place, "does not exist", f"keyring set {service} {entry}")
    return text


PLACES: Final[Mapping[str, Callable[[str], str]]] = {"env": from_env, "file": from_file, "keyring": from_keyring}
"""What gives the text of a reference, by the word that it is stored under."""
