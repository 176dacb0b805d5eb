"""Run the report from the command line: begun, or continued where an earlier process of the same run stopped."""

from __future__ import annotations

import argparse
import sysconfig

from flowbook import engines
from flowbook.examples.stdlib_report.flow import report_flow
from flowbook.persistence import Backend, fetch
from flowbook.testing.faults import CrashAtCommit

WORKERS = 4


def main() -> None:
    """Run the flow as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m flowbook.examples.stdlib_report", description=__doc__)
    parser.add_argument("--backend", default="memory:", help="URL of the logbook (memory:)")
    parser.add_argument("--run-id", default="stdlib-report", help="name of the run; the same again continues it")
    parser.add_argument("--out", default="stdlib-report.html", help="page to write (stdlib-report.html)")
    parser.add_argument(
        "--crash-after", type=int, default=0, metavar="N", help="kill this process after commit N, counted from 1"
    )
    given = parser.parse_args()
    with fetch(given.backend) as logbook:
        backend: Backend = CrashAtCommit(logbook, at=given.crash_after, when="after") if given.crash_after else logbook
        engines.load_from_factory(
            report_flow,
            store={"folder": sysconfig.get_path("stdlib"), "out": given.out},
            backend=backend,
            run_id=given.run_id,
            engine="parallel",
            max_workers=WORKERS,
        ).run()


if __name__ == "__main__":
    main()
