"""Frozen read models of what a logbook holds: what the command line and other faces show, and nothing else."""

from flowbook.views.details import AtomView, FailureView, RunView, view_run
from flowbook.views.endings import Ending, ending_of
from flowbook.views.runs import OwnerView, RunRow, find_id, list_runs

__all__ = [
    "AtomView",
    "Ending",
    "FailureView",
    "OwnerView",
    "RunRow",
    "RunView",
    "ending_of",
    "find_id",
    "list_runs",
    "view_run",
]
