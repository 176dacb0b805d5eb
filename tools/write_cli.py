"""Writes the reference of the command line from the commands themselves: a page a verb, and one of all documents.

``python tools/write_cli.py`` writes ``doc/reference/cli/``, and the words that shells offer; with ``--check`` it writes
nothing, and fails when those files are not what the commands say now.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

import cli_words
from flowbook.cli.main import VERBS, cli
from flowbook.views.schemas import SCHEMAS

FOLDER = Path(__file__).resolve().parents[1] / "doc" / "reference" / "cli"
_WIDTH = 110


def written() -> dict[Path, str]:
    """Return each file's path with what it should hold."""
    context = click.Context(cli, info_name="flowbook", **cli.context_settings)
    pages = {FOLDER / f"{name}.rst": _page(_command(cli, context, name), context, name) for name in VERBS}
    words = {name: _command(cli, context, name) for name in VERBS}
    return {**pages, FOLDER / "documents.rst": _documents(), cli_words.FILE: cli_words.text_of(words)}


def stale() -> list[Path]:
    """Return the files that are missing, not current, or no verb's any more."""
    pages = written()
    wrong = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return wrong + [path for path in FOLDER.glob("*.rst") if path not in pages]


def _command(group: click.Group, context: click.Context, name: str) -> click.Command:
    command = group.get_command(context, name)
    if command is None:
        raise LookupError(name)
    return command


def _page(command: click.Command, parent: click.Context, name: str) -> str:
    title = f"flowbook {name}"
    return "\n".join([title, "=" * len(title), "", *_body(command, parent, name)]).rstrip() + "\n"


def _body(command: click.Command, parent: click.Context, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (".. code-block:: text", "", f"   {context.command_path} {usage}", "")
    yield from (*_text(command.help or ""), "")
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            yield from (f"{context.command_path} {verb}", "-" * (len(context.command_path) + len(verb) + 1), "")
            yield from _body(_command(command, context, verb), context, verb)
    else:
        yield from _options(command, context)
        yield from _examples(command)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    found = [one.get_help_record(context) for one in command.get_params(context)]
    records = [record for record in found if record and record[1]]  # of words without options the text above tells
    for names, text in records:
        yield f"``{names}``"
        yield from (f"   {line}" for line in _text(text))
    if records:
        yield ""


def _text(text: str) -> list[str]:
    """Return a help text as RST: what is written in capitals or begins with dashes stays as it is, in paragraphs."""
    lines = [line.rstrip().replace("\b", "") for line in inspect.cleandoc(text).splitlines()]
    return [line.replace("*", "\\*").replace("`", "\\`").replace("|", "\\|") for line in lines]


def _examples(command: click.Command) -> Iterator[str]:
    """Yield the examples in a command's last words; exit codes have a place of their own."""
    lines = inspect.cleandoc((command.epilog or "").replace("\b", "")).splitlines()
    examples = [line.strip() for line in lines if line.strip().startswith("flowbook ")]
    if examples:
        yield from (".. code-block:: console", "", *(f"   $ {line}" for line in examples), "")


def _documents() -> str:
    title = "Documents of the command line"
    lines = [title, "=" * len(title), ""]
    lines += [
        "What ``--json`` prints, as JSON Schema. ``schema`` names each document and its version: within a version"
    ]
    lines += ["fields are added, and none is altered or taken away. Times are ISO 8601 in UTC.", ""]
    for name, schema in sorted(SCHEMAS.items()):
        lines += [name, "-" * len(name), "", ".. code-block:: json", ""]
        lines += [f"   {line}" for line in _compact(schema.json_schema())] + [""]
    return "\n".join(lines).rstrip() + "\n"


def _compact(value: object, before: int = 0) -> list[str]:
    """Return JSON in few lines: what fits on one stands on one; ``before`` is how much stands in front of it."""
    whole = json.dumps(value)
    if before + len(whole) < _WIDTH or not value or not isinstance(value, dict | list):
        return [whole]
    lines: list[str] = []
    parts = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    for name, item in parts:
        label = "" if name is None else f"{json.dumps(name)}: "
        first, *rest = _compact(item, before + 2 + len(label))
        lines += [f"  {label}{first}", *(f"  {line}" for line in rest)]
        lines[-1] += ","
    lines[-1] = lines[-1].removesuffix(",")
    return ["{", *lines, "}"] if isinstance(value, dict) else ["[", *lines, "]"]


def main() -> int:
    """Write the files, or check them; return 1 when a check finds some that are not current."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the files are not current")
    if parser.parse_args().check:
        for path in stale():
            print(f"{path} is not current: run python tools/write_cli.py", file=sys.stderr)
        return 1 if stale() else 0
    FOLDER.mkdir(exist_ok=True)
    for path in stale():
        path.unlink(missing_ok=True)
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
