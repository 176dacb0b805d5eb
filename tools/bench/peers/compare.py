"""Measures flowbook side by side with others and with the limit, and writes the generated half of the page.

Each side has an environment of its own in the cache; the first run makes them, from PyPI. Servers are started for the
comparison and ended with it. ``--help`` tells the options.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import environments
import goals
import judging
import machine
import writing
from comparisons import ALL
from measuring import Measured, measure
from places import Places

ROOT = Path(__file__).resolve().parents[3]
PAGES = ROOT / "doc" / "benchmarks"


def main(arguments: Sequence[str]) -> None:
    """Measure, and write the figures, the tables and the picture."""
    asked = _parse(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    figures = asked.out / "figures.json"
    if not asked.write_only:
        figures.write_text(json.dumps(_measured(asked), indent=1) + "\n", encoding="utf-8")
    _write(json.loads(figures.read_text(encoding="utf-8")), asked.out, asked.cache)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--cache", type=Path, default=ROOT / ".tox" / "peers", help="where the environments of the others are kept")
    add("--out", type=Path, default=PAGES, help="the folder of the generated files")
    add("--rounds", type=int, default=7, help="of each comparison; slow ones have three")
    add("--only", default="", help="measure only comparisons whose key contains this")
    add("--write-only", action="store_true", help="measure nothing: write again from the figures that are there")
    return parser.parse_args(arguments)


def _measured(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of all comparisons, and what they were measured with, as they are stored."""
    chosen = [comparison for comparison in ALL if asked.only in comparison.key]
    pythons, versions, left_out = {"flowbook": Path(sys.executable), "bare": Path(sys.executable)}, {}, {}
    needed = {entry.side for comparison in chosen for entry in comparison.entries}
    for peer in environments.PEERS:
        if peer.name in needed:
            try:
                pythons[peer.name] = environments.interpreter(peer, asked.cache)
                versions[peer.name] = peer.version
            except environments.CannotMake as error:
                left_out[peer.name] = str(error)
            print(f"{peer.name} {peer.version} {left_out.get(peer.name, '')}", flush=True)
    comparisons = {}
    with Places() as places:
        for comparison in chosen:
            began = time.monotonic()
            found = measure(comparison, pythons, places, asked.rounds)
            comparisons[comparison.key] = [asdict(measured) for measured in found]
            print(f"{comparison.title}, {comparison.atoms:,} ({time.monotonic() - began:.0f} s)", flush=True)
            for one in found:
                said = f"{one.median():.1f} us an atom" if one.rounds else one.why_not
                print(f"    {one.label:28} {said}", flush=True)
    return {"machine": machine.facts(), "versions": versions, "left_out": left_out, "comparisons": comparisons}


def stored(figures: dict[str, Any]) -> dict[str, dict[str, Measured]]:
    """Return what was measured, by comparison and side, from figures as they are stored."""
    return {key: {side["label"]: Measured(**side) for side in sides} for key, sides in figures["comparisons"].items()}


def tables(figures: dict[str, Any]) -> dict[str, str]:
    """Return the tables of stored figures, by their names."""
    found = stored(figures)
    failed = {(one.label, one.why_not): None for sides in found.values() for one in sides.values() if one.why_not}
    return {
        "machine": writing.machine_table(figures["machine"], figures["versions"]),
        "goals": judging.goals_table(goals.judged(found)),
        "figures": writing.figures_table(found),
        "left_out": writing.left_out_list([*figures["left_out"].items(), *failed]),
    }


def _write(figures: dict[str, Any], out: Path, cache: Path) -> None:
    for name, text in tables(figures).items():
        (out / f"{name}.txt").write_text(text, encoding="utf-8")
    found = stored(figures)
    rows = [
        {
            "title": comparison.title,
            "rates": {name: 1e6 / one.median() for name, one in found[comparison.key].items() if one.rounds},
        }
        for comparison in ALL
        if comparison.key in found and not comparison.key.startswith(("compile", "resume"))
    ]
    python = environments.interpreter(environments.PICTURE, cache)
    draw = [str(python), str(Path(__file__).with_name("draw.py")), str(out / "speed.svg")]
    subprocess.run(draw, input=json.dumps(rows), text=True, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
