"""Running an engine as soon as nobody else owns its run; who is waited for is told meanwhile."""

from __future__ import annotations

from contextlib import ExitStack

from flowbook.cli.exits import Exit
from flowbook.cli.progress import Display, Tally, choose, display_for
from flowbook.cli.session import Session
from flowbook.cli.summary import Hints
from flowbook.cli.work import work
from flowbook.engines.engine import Engine
from flowbook.engines.waiting import turn
from flowbook.exceptions import FlowOwned
from flowbook.views.following import InEngine


def wait_and_work(
    engine: Engine, session: Session, hints: Hints, *, how: str, rerun: bool, timeout_s: float | None
) -> Exit:
    """Wait until the run's owner is gone, then do as `work`; return the exit code. Raises FlowOwned at the timeout."""
    display = _display(engine, how)

    def tell(owned: FlowOwned) -> None:
        display.say(
            f"run {engine.run_id} is owned by {owned.owner} since {owned.since}; "
            "waiting until that owner is gone (Ctrl-C ends the waiting)"
        )

    with ExitStack() as stack:
        try:
            stack.enter_context(turn(engine, wait_s=timeout_s, rerun=rerun, on_owner=tell))
        except KeyboardInterrupt:
            display.say(f"not waiting any more; run {engine.run_id} was not touched")
            return Exit.INTERRUPTED
        return work(engine, session, hints, how=how)


def _display(engine: Engine, how: str) -> Display:
    """Return what tells of the waiting: on a terminal in plain lines too, as there is nothing to redraw yet."""
    plan, way = engine.compilation.plan, choose(how)
    tally = Tally(engine.run_id, plan.flow_name, plan.atom_count, InEngine(engine))
    return display_for("plain" if way == "tty" else way, tally)
