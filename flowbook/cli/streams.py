"""Writing to stdout and stderr, whose readers may go away early: what nobody reads any more stops nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import click

from flowbook.exceptions import NotPossible
from flowbook.secrets.masking import masked


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

    Whatever is wrong with stderr counts as that: there is no place left to say so. Raises NotPossible for other trouble
    with stdout, such as a full disk.
    """
    try:
        yield
    except OSError as error:
        _silence(sys.stderr if err else sys.stdout)
        if not err and not isinstance(error, BrokenPipeError):
            todo = "make room where stdout leads to, or lead it elsewhere; no run is lost by it"
            why = error.strerror or str(error)
            raise NotPossible("stdout cannot be written", where="stdout", why=why, todo=todo) from error


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
