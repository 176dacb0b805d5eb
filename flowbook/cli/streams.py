"""Writing to stdout and stderr, whose readers may go away early: what nobody reads any more stops nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import click


def write(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Write a line to stdout or stderr, as far as there is still a reader."""
    with may_be_unread(err=err):
        click.echo(text, err=err, nl=nl)


@contextmanager
def may_be_unread(*, err: bool) -> Iterator[None]:
    """Leave the block quietly when its stream has lost its reader; what is written there later goes nowhere.

    Whatever is wrong with stderr counts as that: there is no place left to say so. Raises OSError for other trouble
    with stdout, such as a full disk.
    """
    try:
        yield
    except OSError as error:
        _silence(sys.stderr if err else sys.stdout)
        if not err and not isinstance(error, BrokenPipeError):
            raise


def _silence(stream: TextIO) -> None:
    """Lead a stream into nothing, what it has buffered too: Python writes that when it exits."""
    with suppress(OSError, ValueError):  # it may be no file
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
