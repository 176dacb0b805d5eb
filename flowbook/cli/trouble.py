"""Errors as people read them: what, where, why and what to do; no traceback unless asked for."""

from __future__ import annotations

import inspect
import os
import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Final, NamedTuple

import click

from flowbook.atoms.signature import place_at
from flowbook.cli.colours import styled
from flowbook.cli.session import Session
from flowbook.cli.streams import write
from flowbook.exceptions import (
    CompilationFailure,
    FlowbookError,
    InternalError,
    StorageError,
    UsageError,
    WrongType,
    did_you_mean,
)

_PACKAGE: Final = str(Path(__file__).resolve().parents[1])
_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


_INPUT: Final = re.compile(r"store=\{(?P<quote>['\"])(?P<symbol>.+?)(?P=quote): \.\.\.\}")
"""How a wiring error tells programs to give an input."""

_IN_PROGRAMS: Final = (
    (_INPUT, r"--store \g<symbol>=..."),
    (re.compile(r"\bwait_and_resume, on the command line --wait\b"), "flowbook resume --wait"),
    (re.compile(r"\btake_over=True, --take-over\b"), "--take-over"),
    (re.compile(r"\brerun=True\b"), "--rerun"),
    (re.compile(r"\banother run_id\b"), "another --run-id"),
    (re.compile(r"\bthe same run_id\b"), "the same run id"),
)
"""How errors and warnings tell programs what to do, and how the command line says it."""

_CHOICE: Final = re.compile(r"'(?P<word>.*?)' is not one of ")
"""How click tells that a word is none of those to choose from."""


_NO_VERB: Final = re.compile("No such command '(.+?)'")
"""How click tells that a group has no such verb."""


class Parts(NamedTuple):
    """The four parts of an error, and its code."""

    code: str
    what: str
    where: str
    why: str
    todo: str


class CodeFailed(UsageError):
    """The user's own code raised an error while it was loaded, or while it built the flow."""

    code = "FB120"

    def __init__(self, target: str, error: BaseException) -> None:
        self.target, self.error = target, error
        super().__init__(target, error)

    def __str__(self) -> str:
        message = self.error.msg if isinstance(self.error, SyntaxError) else str(self.error)
        name = type(self.error).__name__
        return f"{self.target} cannot be loaded: {name}: {message}" if message else f"{self.target}: {name}"

    @property
    def where(self) -> str:
        """Name the line of the user's code."""
        return place_in_code(self.error)

    @property
    def why(self) -> str:
        """Quote that line."""
        return _line_of(self.error) or "Python looked in this directory and among the installed packages"

    @property
    def todo(self) -> str:
        """Say how to go on."""
        if not _line_of(self.error):
            return "see that the name is right, and that its package is installed"
        return "mend that line, or make what it needs importable; -v shows the way there"


@contextmanager
def in_code_of(target: str) -> Iterator[None]:
    """Turn what the user's code raises in this block into CodeFailed; errors of flowbook pass."""
    try:
        yield
    except FlowbookError:
        raise
    except Exception as error:
        raise CodeFailed(target, error) from error


def tell(error: BaseException, session: Session) -> None:
    """Print an error to stderr in its four parts, and its traceback when the session is verbose."""
    parts = parts_of(error, session)
    code = styled(f"error[{parts.code}]", fg="red", bold=True)
    write(f"{code}: {parts.what}", err=True)
    for name, text in (("where", parts.where), ("why", parts.why), ("do", parts.todo)):
        if text:
            write(f"  {name}: {text}", err=True)
    write(styled(f"  more: flowbook explain {parts.code}", dim=True), err=True)
    if session.verbose:
        write(_traceback_of(error), err=True, nl=False)


def parts_of(error: BaseException, session: Session) -> Parts:
    """Return the four parts of an error; what it does not know itself comes from its class and the session."""
    if isinstance(error, click.ClickException):
        return _parts_of_usage(error)
    if not isinstance(error, FlowbookError):
        why = place_in_code(error) or "no error like this was expected here"
        return Parts(InternalError.code, f"{type(error).__name__}: {error}", session.where, why, InternalError().todo)
    storage = session.storage if isinstance(error, StorageError) else ""
    where = error.where or _place_of_cause(error) or storage or session.where
    why = error.why or _general_why(error)
    todo = error.todo or session.todo or _general_todo(error)
    return Parts(error.code, on_command_line(str(error)), where, why, on_command_line(todo))


def on_command_line(text: str) -> str:
    """Return what is told to programs in the words of the command line."""
    for in_program, word in _IN_PROGRAMS:
        text = in_program.sub(word, text)
    return text


def place_in_code(error: BaseException) -> str:
    """Return ``file:line`` of the last line of the user's code on the way to ``error``, or nothing."""
    if isinstance(error, SyntaxError) and error.filename:
        return place_at(error.filename, error.lineno or 1)
    frames = _frames_of(error)
    return place_at(frames[-1].filename, frames[-1].lineno or 1) if frames else ""


def _line_of(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return (error.text or "").strip()
    frames = _frames_of(error)
    return (frames[-1].line or "").strip() if frames else ""


def _frames_of(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames of the user's code: not ours, not Python's, not an installed package's."""
    return [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]


def _is_users(file: str) -> bool:
    path = os.path.abspath(file)
    inside = (_PACKAGE, *_LIBRARIES)
    return not file.startswith("<") and not any(path.startswith(os.path.join(one, "")) for one in inside)


def _place_of_cause(error: BaseException) -> str:
    return place_in_code(error.__cause__) if error.__cause__ is not None else ""


def _general_why(error: FlowbookError) -> str:
    """Return what the class of an error says that it is."""
    first, _, _ = inspect.cleandoc(type(error).__doc__ or "").partition("\n")
    return first.partition(";")[0].rstrip(".")


def _general_todo(error: FlowbookError) -> str:
    match error:
        case CompilationFailure():
            symbols = dict.fromkeys(found["symbol"] for found in _INPUT.finditer(str(error)))
            inputs = " ".join(f"--store {symbol}=..." for symbol in symbols)
            return f"give {inputs} to flowbook run" if inputs else "mend the flow at these places"
        case WrongType():
            returned = ": see what the function returns" if error.got == "None" else ""
            return f"give {error.wanted}{returned}"
        case StorageError():
            return "see that the storage is as it should be, then try again: a run continues where it stopped"
        case _:
            return "flowbook --help shows the verbs, flowbook VERB --help their options"


def _parts_of_usage(error: click.ClickException) -> Parts:
    context = getattr(error, "ctx", None)
    path = "flowbook" if context is None else context.command_path
    kinds = {click.NoSuchOption: "there is no such option", click.MissingParameter: "something required is missing"}
    why = next((text for kind, text in kinds.items() if isinstance(error, kind)), "it is no word that is known here")
    if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
        why = "the value does not fit"
    todo = getattr(error, "hint", "") or _near(error) or f"see {path} --help"
    what = error.message if isinstance(error, click.NoSuchOption) else error.format_message()
    if context is not None and isinstance(context.command, click.Group):
        what, why, todo = _of_group(what, context.command.list_commands(context), path, (what, why, todo))
    return Parts(UsageError.code, what.partition(" Did you mean")[0], path, getattr(error, "why", why), todo)


def _of_group(what: str, verbs: list[str], path: str, others: tuple[str, str, str]) -> tuple[str, str, str]:
    """Return what, why and what to do where a word should name one of ``verbs``, and where not ``others``."""
    if named := _NO_VERB.match(what):
        todo = did_you_mean(named[1], verbs) or f"the verbs are {', '.join(verbs)}"
        return f"there is no verb {named[1]!r}", "it is no word that is known here", todo
    if what.startswith(("Usage:", "Missing command")):
        return "no verb was given", "a verb says what is to be done", f"see {path} --help"
    return others


def _near(error: click.ClickException) -> str:
    """Return the option or the word to choose that was probably meant, or nothing."""
    match error:
        case click.NoSuchOption():
            return _near_option(error)
        case click.BadParameter(param=click.Parameter(type=click.Choice() as type_)):
            named = _CHOICE.search(error.message)
            choices = {str(choice).lower(): str(choice) for choice in type_.choices}
            near = get_close_matches(named["word"].lower(), choices, n=1) if named else []
            return f"did you mean {choices[near[0]]!r}?" if near else ""
    return ""


def _near_option(error: click.NoSuchOption) -> str:
    """Return the option that was probably meant; click also takes those for near that share no more than dashes."""
    word = error.option_name.lstrip("-")
    if near := _nearest(word, error.possibilities or ()):
        return f"did you mean {near!r}?"
    if error.ctx is None or not isinstance(group := error.ctx.command, click.Group):
        return ""
    commands = (group.get_command(error.ctx, name) for name in group.list_commands(error.ctx))
    options = sorted({name for one in commands if one for parameter in one.params for name in parameter.opts})
    near = _nearest(word, [name for name in options if name.startswith("--")])
    return f"did you mean {near!r}? it goes behind the verb: flowbook VERB {near} ..." if near else ""


def _nearest(word: str, options: Iterable[str]) -> str:
    names = {name.lstrip("-"): name for name in options}
    return next((names[near] for near in get_close_matches(word, names, n=1)), "")


def _traceback_of(error: BaseException) -> str:
    if isinstance(error, CodeFailed):
        shown = "".join(traceback.format_list(_frames_of(error.error)))
        return shown + "".join(traceback.format_exception_only(error.error))
    return "".join(traceback.format_exception(error))
