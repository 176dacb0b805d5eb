"""The generated half of the page: tables from figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from comparisons import ALL, OURS
from goals import Found, speed
from judging import table


def machine_table(facts: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """Return what was measured on, and with which versions."""
    return table(("what", "is"), [*facts.items(), *versions.items()])


def figures_table(found: Found) -> str:
    """Return the medians of all sides of all comparisons."""
    header = ("what", "side", "atoms", "atoms/s", "us an atom", "us of CPU", "of flowbook", "commits an atom", "bytes")
    return table(header, [row for comparison in ALL for row in _rows(comparison.key, comparison.title, found)])


def left_out_list(reasons: Iterable[tuple[str, str]]) -> str:
    """Return who was not measured, and why."""
    return "".join(f"- {who}: ``{why}``\n" for who, why in reasons) or "Nothing was left out.\n"


def _rows(key: str, title: str, found: Found) -> Iterable[Sequence[str]]:
    for label, measured in found.get(key, {}).items():
        if measured.rounds:
            us = measured.median()
            ratio = "" if label == OURS or not found[key][OURS].rounds else f"{speed(found, key, label, OURS):.3g}"
            yield (
                title,
                label,
                f"{measured.atoms:,}",
                f"{1e6 / us:,.0f}",
                _short(us),
                _short(measured.median("cpu_s")),
                ratio,
                *(f"{measured.median(name):.3g}" if measured.each(name) else "" for name in ("commits", "bytes")),
            )
            title = ""


def _short(number: float) -> str:
    return f"{number:.1f}" if number < 100 else f"{number:,.0f}"
