"""Draws the picture of the page: run in an environment with matplotlib, figures on the standard input."""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.fonttype"] = "none"  # text stays text
mpl.rcParams["svg.hashsalt"] = "flowbook"  # the same figures give the same file

from matplotlib import pyplot  # noqa: E402 - after the settings above

MARKS = "osD^vP*X<>"


def draw(rows: list[dict[str, Any]], path: str) -> None:
    """Draw the rates of all sides, a line for each comparison, the first one on top."""
    labels = list(dict.fromkeys(side for row in rows for side in row["rates"]))
    figure, axes = pyplot.subplots(figsize=(9, 0.42 * len(rows) + 1.6))
    for number, label in enumerate(labels):
        points = [(row["rates"][label], -at) for at, row in enumerate(rows) if label in row["rates"]]
        axes.plot(*zip(*points, strict=True), MARKS[number % len(MARKS)], label=label, markersize=7, alpha=0.85)
    axes.set_yticks([-at for at in range(len(rows))], [row["title"] for row in rows])
    axes.set_xscale("log")
    axes.set_xlabel("atoms a second")
    axes.grid(visible=True, axis="both", linewidth=0.4)
    axes.legend(loc="upper center", bbox_to_anchor=(0.3, -0.8 / len(rows)), ncols=4, frameon=False, fontsize=9)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
