"""A report on the source of Python's standard library: who imports whom, in which circles, and what is large.

Read `flow` first: it says what is done in which order. ``python -m flowbook.examples.stdlib_report --help`` runs it.
"""

from flowbook.examples.stdlib_report.flow import report_flow

__all__ = ["report_flow"]
