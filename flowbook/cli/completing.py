"""``flowbook completion``: the script that makes a shell complete verbs, options, runs and atoms."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath
from typing import ClassVar, Final

import click
from click.shell_completion import BashComplete, ShellComplete, get_completion_class

from flowbook.cli.session import verbose_option
from flowbook.cli.streams import write

INSTALL: Final = {
    "bash": "~/.bashrc",
    "zsh": "~/.zshrc, behind compinit",
    "fish": "~/.config/fish/config.fish",
}
"""The shells that are known, and where their scripts are read from."""

_LINES: Final = {
    "bash": 'eval "$(flowbook completion bash)"',
    "zsh": 'eval "$(flowbook completion zsh)"',
    "fish": "flowbook completion fish | source",
}

_BASH: Final = """\
%(complete_func)s() {
    local IFS=$'\\n' line value
    COMPREPLY=()
    while read -r line; do
        value=${line#*,}
        if [[ ${line%%%%,*} == plain ]]; then
            [[ ${COMP_WORDS[COMP_CWORD]} == [\\"\\']* ]] || value=$(printf '%%q' "$value")
            COMPREPLY+=("$value")
        fi
    done < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete $1)
}

complete -o nosort -o bashdefault -o default -F %(complete_func)s %(prog_name)s
"""
"""Where nothing else is offered, bash completes files; words with blanks are quoted, as click's own script does not."""

EPILOG = """\b
Examples:
  eval "$(flowbook completion bash)"
  flowbook completion zsh >> ~/.zshrc
  flowbook completion fish > ~/.config/fish/completions/flowbook.fish
"""


class ShellUnknown(click.UsageError):
    """No shell was named, and that of the environment is none of those that are known."""

    why = "there are scripts for bash, zsh and fish"
    hint = f"name it: {', '.join(f'flowbook completion {shell}' for shell in INSTALL)}"


class _Bash(BashComplete):
    source_template: ClassVar[str] = _BASH


@click.command("completion", epilog=EPILOG)
@click.argument("shell", metavar="[bash|zsh|fish]", required=False, type=click.Choice(list(INSTALL)))
@verbose_option
@click.pass_context
def completion(context: click.Context, shell: str | None) -> int:
    """Print a script that completes verbs, options, runs, atoms and files; by default for the shell named by $SHELL.

    On a terminal it is also said, on stderr, how to install it.
    """
    shell = shell or _shell_of_user(context)
    kind: type[ShellComplete] | None = _Bash if shell == "bash" else get_completion_class(shell)
    if kind is None:
        raise ShellUnknown(f"there is no script for {shell!r}", context)
    write(kind(context.find_root().command, {}, "flowbook", "_FLOWBOOK_COMPLETE").source().rstrip())
    if sys.stdout.isatty():
        write(f"to install it, write this line into {INSTALL[shell]}:\n  {_LINES[shell]}", err=True)
    return 0


def _shell_of_user(context: click.Context) -> str:
    """Return the shell that $SHELL names. Raises ShellUnknown."""
    name = PurePath(os.environ.get("SHELL", "")).name
    if name not in INSTALL:
        raise ShellUnknown(f"which shell? $SHELL is {os.environ.get('SHELL', '')!r}", context)
    return name
