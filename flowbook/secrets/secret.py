"""The value object: a secret that shows nothing of itself."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from typing import Final, Self, final

from flowbook.exceptions import NotPossible, WrongType
from flowbook.secrets import sealing
from flowbook.secrets.masking import MASK, remember
from flowbook.secrets.places import PLACES

_SEALED: Final = "sealed"


@final
class Secret:
    """A text that is shown as ``***``, and given by `reveal` alone.

    ``Secret(text)`` is stored sealed, which needs a key (see `flowbook.secrets.sealing`); what `from_env`, `from_file`
    and `from_keyring` make is stored as a reference, and its text looked up each time that it is revealed. Two
    secrets are equal when they have the same reference, or neither has one and their texts are the same. A secret
    is never equal to a text.
    """

    __slots__ = ("_kind", "_told")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise WrongType("the text of a Secret", MASK, "a str")  # what was given is not shown
        if not text:
            raise NotPossible("the text of a Secret is empty", todo="give the secret, or None where there is none")
        self._kind, self._told = "", text
        remember(text)

    @classmethod
    def from_env(cls, name: str) -> Self:
        """Return the secret that the environment variable ``name`` holds, wherever it is revealed."""
        return cls._referring("env", _name("name", name))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Return the secret that a file holds, in UTF-8; the end of its last line is left out."""
        return cls._referring("file", os.path.abspath(_name("path", os.fspath(path))))

    @classmethod
    def from_keyring(cls, service: str, name: str) -> Self:
        """Return the secret that the system's keyring holds for ``name`` at ``service``, by the package keyring."""
        if "/" in _name("name", name):
            raise NotPossible(f"the name {name!r} has a slash in it", todo="give a name without one")
        return cls._referring("keyring", f"{_name('service', service)}/{name}")

    @classmethod
    def from_data(cls, data: Mapping[str, object]) -> Self:
        """Return the secret of what `to_data` gave; nothing is looked up or opened yet. Raises ValueError."""
        match dict(data):
            case {"sealed": str(told), **rest} if not rest:
                return cls._referring(_SEALED, told)
            case {"env": str(told), **rest} if not rest:
                return cls._referring("env", told)
            case {"file": str(told), **rest} if not rest:
                return cls._referring("file", told)
            case {"keyring": str(told), **rest} if not rest:
                return cls._referring("keyring", told)
        raise ValueError("a secret is sealed, or one reference to a variable, a file or a keyring")

    @classmethod
    def _referring(cls, kind: str, told: str) -> Self:
        secret = cls.__new__(cls)
        secret._kind, secret._told = kind, told
        return secret

    @property
    def is_reference(self) -> bool:
        """Whether the text lies elsewhere: then it can be stored without a key."""
        return self._kind in PLACES

    def reveal(self) -> str:
        """Return the text, as it is now. Raises SecretMissing and SecretKeyMissing when it cannot be had."""
        if not self._kind:
            return self._told
        text = sealing.opened(self._told) if self._kind == _SEALED else PLACES[self._kind](self._told)
        remember(text)
        return text

    def to_data(self) -> dict[str, str]:
        """Return what is stored: the reference, or the text sealed. Raises SecretKeyMissing when it cannot be."""
        if self._kind:
            return {self._kind: self._told}
        return {_SEALED: sealing.seal(self._told)}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self.is_reference or other.is_reference:
            return (self._kind, self._told) == (other._kind, other._told)
        texts = (one.reveal().encode("utf-8", "surrogatepass") for one in (self, other))
        return hmac.compare_digest(*texts)

    def __hash__(self) -> int:
        return hash((self._kind, self._told)) if self.is_reference else hash(Secret)

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[object, tuple[dict[str, str]]]:
        """Travel as it is stored: to pickle a text without a key raises SecretKeyMissing."""
        return Secret.from_data, (self.to_data(),)


def _name(what: str, given: object) -> str:
    if not isinstance(given, str):
        raise WrongType(what, given, "a text")
    if not given:
        raise NotPossible(f"the {what} of a secret is empty", todo=f"give the {what}")
    return given
