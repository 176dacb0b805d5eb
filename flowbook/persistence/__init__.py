"""Logbooks: where the records of flows are kept, and how a backend for them is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowbook.lazy import offering

if TYPE_CHECKING:
    from flowbook.persistence.backend import Backend, Claim, Fence, FlowRecords, FlowSummary, Query, Request
    from flowbook.persistence.codec import register_type
    from flowbook.persistence.options import hide_secrets
    from flowbook.persistence.records import AtomDetail, FlowDetail, LogBook
    from flowbook.persistence.registry import fetch

__all__ = [
    "AtomDetail",
    "Backend",
    "Claim",
    "Fence",
    "FlowDetail",
    "FlowRecords",
    "FlowSummary",
    "LogBook",
    "Query",
    "Request",
    "fetch",
    "hide_secrets",
    "register_type",
]

if not TYPE_CHECKING:
    __getattr__ = offering(
        __name__,
        {
            "flowbook.persistence.backend": (
                *("Backend", "Claim", "Fence", "FlowRecords", "FlowSummary", "Query", "Request"),
            ),
            "flowbook.persistence.codec": ("register_type",),
            "flowbook.persistence.options": ("hide_secrets",),
            "flowbook.persistence.records": ("AtomDetail", "FlowDetail", "LogBook"),
            "flowbook.persistence.registry": ("fetch",),
        },
    )
