"""absurd: a task of steps, each a checkpoint in PostgreSQL before the next one begins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from absurd_sdk import Absurd
from serving import Asked, Case, Figures, serve, timed


def durable(asked: Asked) -> Figures:
    """Measure one task of a chain of steps; its schema, which absurdctl fetches, and its queue are made before."""
    program = Path(sys.executable).with_name("absurdctl")
    made = subprocess.run([program, "init", "--database", asked.place], capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(f"absurdctl init: {made.stderr.strip().splitlines()[-1]}")
    app = Absurd(asked.place)
    app.create_queue()

    def chain(steps: int, context: Any) -> None:
        for number in range(steps):
            context.step(f"t{number}", lambda: None)

    app.register_task(name="chain")(chain)
    app.spawn("chain", asked.atoms)
    with timed() as figures:
        app.work_batch()
    app.close()
    return figures


CASES: dict[str, Case] = {"durable chain": durable}

if __name__ == "__main__":
    serve(CASES)
