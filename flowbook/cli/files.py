"""Files that a verb writes: whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from flowbook.exceptions import NotPossible

_ALL_MAY: Final = 0o666  # as far as the umask lets them
_OWNER_MAY: Final = 0o600


def write_file(path: Path, texts: Iterable[str], *, private: bool = False) -> None:
    """Put a file that ``--out`` names in place at once, when it is whole; a pipe or device is written to.

    With ``private`` nobody but the owner may read it. Raises NotPossible where it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_text("".join(texts), encoding="utf-8", newline="\n")
        else:
            _put_in_place(path.resolve(), texts, _OWNER_MAY if private else _ALL_MAY)
    except OSError as error:
        why, todo = error.strerror or str(error), "name a file in a directory that you may write to"
        raise NotPossible(f"{path} cannot be written", where=f"--out {path}", why=why, todo=todo) from error


def _put_in_place(path: Path, texts: Iterable[str], mode: int) -> None:
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(number, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(texts)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
