"""Frozen read models of what a logbook holds: what the command line and other faces show, and nothing else."""

from typing import TYPE_CHECKING

from flowbook.lazy import offering

if TYPE_CHECKING:
    from flowbook.views.atoms import AtomReport, AttemptView, RoundView, atom_names, view_atom
    from flowbook.views.details import AtomView, FailureView, RunView, narrowed, view_run
    from flowbook.views.endings import Ending, ending_of, recorded_ending
    from flowbook.views.following import Following, RunEvent
    from flowbook.views.graphs import Picture, draw, picture_of, picture_of_run
    from flowbook.views.overviews import Overview, overview
    from flowbook.views.runs import OwnerView, RunRow, find_id, list_runs

__all__ = [
    "AtomReport",
    "AtomView",
    "AttemptView",
    "Ending",
    "FailureView",
    "Following",
    "Overview",
    "OwnerView",
    "Picture",
    "RoundView",
    "RunEvent",
    "RunRow",
    "RunView",
    "atom_names",
    "draw",
    "ending_of",
    "find_id",
    "list_runs",
    "narrowed",
    "overview",
    "picture_of",
    "picture_of_run",
    "recorded_ending",
    "view_atom",
    "view_run",
]

if not TYPE_CHECKING:
    __getattr__ = offering(
        __name__,
        {
            "flowbook.views.atoms": ("AtomReport", "AttemptView", "RoundView", "atom_names", "view_atom"),
            "flowbook.views.details": ("AtomView", "FailureView", "RunView", "narrowed", "view_run"),
            "flowbook.views.endings": ("Ending", "ending_of", "recorded_ending"),
            "flowbook.views.following": ("Following", "RunEvent"),
            "flowbook.views.graphs": ("Picture", "draw", "picture_of", "picture_of_run"),
            "flowbook.views.overviews": ("Overview", "overview"),
            "flowbook.views.runs": ("OwnerView", "RunRow", "find_id", "list_runs"),
        },
    )
