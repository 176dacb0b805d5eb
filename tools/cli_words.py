"""The words of each verb as a module: what a shell offers is looked up there, and the verb need not be imported."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click

from flowbook.cli.glance import COMPLETES, FILES

FILE = Path(__file__).resolve().parents[1] / "flowbook" / "cli" / "words.py"

_HEAD = '''"""What each verb takes, for a shell that waits while it is typed: written by tools/write_cli.py."""
# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flowbook.cli.glance import Word

WORDS: Final[Mapping[str, tuple[Word, ...]]] = {
'''


def text_of(verbs: Mapping[str, click.Command]) -> str:
    """Return the module; verbs that have verbs of their own are left out of it."""
    lines = [line for name, verb in verbs.items() if not isinstance(verb, click.Group) for line in _lines(name, verb)]
    return f"{_HEAD}{chr(10).join(lines)}\n}}\n"


def _lines(name: str, verb: click.Command) -> Iterator[str]:
    yield f"    {_quoted(name)}: ("
    yield from (f"        Word({', '.join(_fields(one))})," for one in verb.params)
    yield "    ),"


def _fields(parameter: click.Parameter) -> Iterator[str]:
    """Yield what `Word` is given. Raises ValueError for what it has no place for."""
    if parameter.nargs != 1:
        raise ValueError(f"{parameter.name} takes several words, which is not completed yet")
    yield _listed(_names(parameter))
    if isinstance(parameter, click.Option):
        yield f"about={_quoted(parameter.help or '')}"
    if isinstance(parameter.type, click.Choice):
        yield f"choices={_listed(map(str, parameter.type.choices))}"
    if completes := _completes(parameter):
        yield f"completes={_quoted(completes)}"
    if isinstance(parameter, click.Option) and parameter.is_flag:
        yield "is_flag=True"
    if parameter.multiple:
        yield "multiple=True"


def _names(parameter: click.Parameter) -> list[str]:
    if isinstance(parameter, click.Argument):
        return [parameter.name or ""]
    both = zip(parameter.opts, parameter.secondary_opts, strict=True) if parameter.secondary_opts else ()
    return [*([f"{on}/{off}" for on, off in both] or parameter.opts), parameter.name or ""]


def _completes(parameter: click.Parameter) -> str:
    """Return which words there are for a value. Raises ValueError when a function completes it that nobody knows."""
    function = parameter._custom_shell_complete
    name = "" if function is None else function.__name__
    if isinstance(parameter.type, click.Path) or name == "complete_files":
        return FILES
    if name and name not in COMPLETES:
        raise ValueError(f"{name} is to complete {parameter.name}, and flowbook.cli.glance does not know it")
    return name


def _listed(texts: Iterable[str]) -> str:
    quoted = [_quoted(text) for text in texts]
    return f"({quoted[0]},)" if len(quoted) == 1 else f"({', '.join(quoted)})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
