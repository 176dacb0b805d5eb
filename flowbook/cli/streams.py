"""Writing to stdout and stderr, whose readers may go away early: what nobody reads any more stops nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, TextIO

import click

from flowbook.exceptions import StorageError
from flowbook.secrets.masking import masked

_STANDARD: Final = {"stdin": "r", "stdout": "w", "stderr": "w"}


class OutputLost(StorageError):
    """What was asked for cannot be written to where stdout leads."""

    code = "FB312"

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)

    def __str__(self) -> str:
        return "stdout cannot be written"

    @property
    def where(self) -> str:
        """Name the stream."""
        return "stdout"

    @property
    def why(self) -> str:
        """Give the system's words."""
        return self.reason

    @property
    def todo(self) -> str:
        """Say how to go on."""
        return "make room where stdout leads to, or lead it elsewhere; no run is lost by it"


def open_closed() -> None:
    """Lead each of stdin, stdout and stderr that this process began without into nothing: no terminal, and no reader.

    Otherwise the next file that is opened, a logbook perhaps, would get the number of that stream.
    """
    for name, mode in _STANDARD.items():
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            stream = open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def write(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Write a line to stdout or stderr, as far as there is still a reader; what it has no characters for is escaped.

    Secrets are masked in what is said on stderr; data on stdout are masked where they are made into text.
    """
    text = masked(text) if err else text
    with may_be_unread(err=err):
        click.echo(_writable(text, sys.stderr if err else sys.stdout), err=err, nl=nl)


@contextmanager
def may_be_unread(*, err: bool) -> Iterator[None]:
    """Leave the block quietly when its stream has lost its reader; what is written there later goes nowhere.

    Whatever is wrong with stderr counts as that: there is no place left to say so. Raises OutputLost for other trouble
    with stdout, such as a full disk.
    """
    try:
        yield
    except OSError as error:
        _silence(sys.stderr if err else sys.stdout)
        if not err and not isinstance(error, BrokenPipeError):
            raise OutputLost(error.strerror or str(error)) from error


def _writable(text: str, stream: TextIO) -> str:
    """Return ``text`` in the characters that a stream has; click itself gives UTF-8 where ASCII is asked for."""
    if text.isascii():
        return text
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _silence(stream: TextIO) -> None:
    """Lead a stream into nothing, what it has buffered too: Python writes that when it exits."""
    with suppress(OSError, ValueError):  # it may be no file
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
