"""``flowbook run``: run a flow of a file or module, or continue it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import click

from flowbook.atoms.base import Atom
from flowbook.cli import parameters, targets
from flowbook.cli.choosing import new_id
from flowbook.cli.completion import complete_files
from flowbook.cli.exits import EXIT_CODES
from flowbook.cli.logs import logs_told
from flowbook.cli.options import backend_option, backend_words, engine_options, open_backend
from flowbook.cli.session import Session, verbose_option
from flowbook.cli.summary import Hints
from flowbook.cli.work import work
from flowbook.engines.engine import Engine
from flowbook.engines.factories import Factory
from flowbook.engines.registry import load
from flowbook.exceptions import NotPossible, did_you_mean
from flowbook.flows.base import Flow

EPILOG = f"""\b
Examples:
  flowbook run hello.py::flow
  flowbook run orders.py::build --param count=3 --run-id r1
  flowbook run shop.flows:order --store customer=ann --engine parallel
\n{EXIT_CODES}"""


@click.command("run", epilog=EPILOG)
@click.argument("target", metavar="FILE.py::NAME|MODULE:NAME", shell_complete=complete_files)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the factory, or an input.")
@click.option("--store", "store", multiple=True, metavar="NAME=VALUE", help="An input of the flow.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME=PLACE",
    help="An input that is a secret, by its place: env:VARIABLE, file:PATH or keyring:SERVICE/ENTRY.",
)
@backend_option
@click.option("--run-id", metavar="ID", callback=new_id, help="Name the run. The same id again continues it.")
@click.option("--book", default="default", metavar="BOOK", help="The book that a new run belongs to.")
@engine_options
@verbose_option
@click.pass_context
def run(
    context: click.Context,
    /,
    target: str,
    params: tuple[str, ...],
    store: tuple[str, ...],
    secrets: tuple[str, ...],
    backend: str,
    progress: str,
    **options: Any,  # those of `load`, by its names
) -> int:
    """Run a flow, a task, or what a function returns; a run that stopped goes on from there.

    A function is called with --param, each value converted by its annotation. For a flow, --param and
    --store give inputs: JSON where the value is JSON, else text; --secret gives one that no record holds in clear.
    Results go to stdout, all else to stderr: also what atoms print and log, with the name of the atom before each line.

    Ctrl-C, SIGTERM or a terminal that is closed suspends the run: what runs is finished and saved, nothing else is
    started. A second Ctrl-C or SIGTERM stops at once. Both can be resumed.
    """
    session = context.ensure_object(Session)
    session.look_at(target)
    factory, flow, inputs = _flow_of(target, parameters.split(params, "--param"), parameters.split(store, "--store"))
    inputs |= parameters.secrets_in(secrets)
    with closing(open_backend(backend, session, create=True)) as opened, logs_told(session):
        session.look_at(target)
        engine = load(flow, inputs, backend=opened, factory=factory, **options)
        _check_inputs(engine, inputs, target)
        keeps = "" if opened.keeps_references else opened.url
        allow = factory.path or factory.module
        hints = Hints(engine.run_id, backend_words(context, backend), allow, keeps)
        return work(engine, session, hints, how=progress)


def _flow_of(
    target: str, params: Mapping[str, str], store: Mapping[str, str]
) -> tuple[Factory, Flow | Atom, dict[str, object]]:
    """Return what builds the flow again, the flow, and its inputs. Raises UsageError, for the user's code too."""
    found = targets.flow_of(target, params)
    return found.factory, found.flow, parameters.guessed(found.not_taken) | parameters.guessed(store)


def _check_inputs(engine: Engine, inputs: Mapping[str, object], target: str) -> None:
    """Raise NotPossible for an input that no atom takes: the engine would keep it and never use it."""
    plan = engine.compilation.plan
    atoms = [plan.atom(node) for node in plan.atom_nodes()]
    taken = {symbol for atom in atoms for symbol in (*atom.requires, *atom.optional)}
    for name in inputs:
        if name not in taken:
            todo = did_you_mean(name, taken) or f"the flow takes {', '.join(sorted(taken)) or 'no inputs'}"
            raise NotPossible(f"no atom of {plan.flow_name!r} takes {name!r}", where=target, todo=todo)
