"""Sealing: a secret's text as a token that only a key of the user's opens again (Fernet, of the package cryptography).

The keys stand in ``FLOWBOOK_SECRET_KEYS``, with commas between, else in the file that ``FLOWBOOK_SECRET_KEY_FILE``
names, one a line. The first one seals, each of them opens: a new key goes before the old one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowbook.secrets.errors import SecretKeyMissing

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

KEYS: Final = "FLOWBOOK_SECRET_KEYS"
KEY_FILE: Final = "FLOWBOOK_SECRET_KEY_FILE"

INSTALL: Final = "pip install 'flowbook[secrets]'"

_GIVE_KEY: Final = f"set {KEYS}, or {KEY_FILE} to the path of a file"
_MAKE_KEY: Final = f"{_GIVE_KEY}; flowbook.secrets.new_key() makes a key"
_OTHER_WAY: Final = "or give a reference: Secret.from_env, Secret.from_file or Secret.from_keyring"


def new_key() -> str:
    """Return a new key, to be kept where the secrets are not. Raises SecretKeyMissing where cryptography is not."""
    try:
        from cryptography.fernet import Fernet  # it takes long: imported when the first secret is sealed
    except ImportError:
        raise SecretKeyMissing("made", "the package cryptography is not installed", INSTALL, "a key") from None
    return Fernet.generate_key().decode("ascii")


def seal(text: str) -> str:
    """Return ``text`` sealed with the first key. Raises SecretKeyMissing."""
    ring = _ring("stored", f"{_MAKE_KEY}; {_OTHER_WAY}")
    return ring.encrypt(text.encode("utf-8", "surrogatepass")).decode("ascii")


def opened(token: str) -> str:
    """Return the text that was sealed, by whichever key opens it. Raises SecretKeyMissing."""
    ring = _ring("opened", _GIVE_KEY)
    from cryptography.fernet import InvalidToken

    try:
        return ring.decrypt(token.encode()).decode("utf-8", "surrogatepass")
    except InvalidToken:
        why = f"none of the keys in {_source()} opens it, or what is stored was altered"
        raise SecretKeyMissing("opened", why, f"add the key that it was sealed with to {_source()}") from None


def _ring(did: str, todo: str) -> MultiFernet:
    keys = _keys(did)
    if not keys:
        raise SecretKeyMissing(did, f"there is no key: {KEYS} and {KEY_FILE} name none", todo)
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ImportError:
        raise SecretKeyMissing(did, "the package cryptography is not installed", INSTALL) from None
    ring = []
    for number, key in enumerate(keys, 1):
        try:
            ring.append(Fernet(key))
        except ValueError:  # its text would tell of the key
            why = f"key {number} of {len(keys)} in {_source()} is no key"
            raise SecretKeyMissing(did, why, "flowbook.secrets.new_key() makes one") from None
    return MultiFernet(ring)


def _keys(did: str) -> list[str]:
    if os.environ.get(KEYS, "").strip(" ,"):
        return [key.strip() for key in os.environ[KEYS].split(",") if key.strip()]
    file = os.environ.get(KEY_FILE, "")
    if not file:
        return []
    try:
        return Path(file).read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        why = f"{KEY_FILE} is {file!r}, which cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
        raise SecretKeyMissing(did, why, "name a file that has a key in it, one a line") from error


def _source() -> str:
    return KEYS if os.environ.get(KEYS, "").strip(" ,") else KEY_FILE
