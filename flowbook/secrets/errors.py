"""What is wrong with a secret: its text is not where it should be, or there is no key for it."""

from __future__ import annotations

from typing import Final

from flowbook.exceptions import UsageError

A_SECRET: Final = "a secret"
"""What an error is about, unless somebody knows more."""


class SecretMissing(UsageError, LookupError):
    """The text of a secret is not where its reference says: a variable, a file or an entry of a keyring."""

    code = "FB113"

    def __init__(self, place: str, why: str, todo: str, what: str = A_SECRET) -> None:
        self.place, self._why, self._todo, self.what = place, why, todo, what
        super().__init__(place, why, todo, what)

    def __str__(self) -> str:
        return f"{self.what} is not there: {self.place} {self._why}"

    def of(self, what: str) -> SecretMissing:
        """Return the same error, about an input or a result that has a name."""
        return SecretMissing(self.place, self._why, self._todo, what)

    @property
    def why(self) -> str:
        """Say what is the matter with the place."""
        return f"{self.place} {self._why}"

    @property
    def todo(self) -> str:
        """Say how to bring the text there."""
        return self._todo


class SecretKeyMissing(UsageError, ValueError):
    """A secret cannot be sealed, or not be opened again: the key for it is not here."""

    code = "FB114"

    def __init__(self, did: str, why: str, todo: str, what: str = A_SECRET) -> None:
        self.did, self._why, self._todo, self.what = did, why, todo, what
        super().__init__(did, why, todo, what)

    def __str__(self) -> str:
        return f"{self.what} cannot be {self.did}: {self._why}"

    def of(self, what: str) -> SecretKeyMissing:
        """Return the same error, about an input or a result that has a name."""
        return SecretKeyMissing(self.did, self._why, self._todo, what)

    @property
    def why(self) -> str:
        """Say what is the matter with the keys."""
        return self._why

    @property
    def todo(self) -> str:
        """Say how to give a key, or how to do without one."""
        return self._todo
