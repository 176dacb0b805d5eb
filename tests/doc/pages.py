"""The pages of the documentation, as its tests read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

_DIRECTIVE = re.compile(r"^( *)\.\. code-block:: *(\S+)")
_OPTION = re.compile(r"^ *:(\w+): *(.*)$")
_NOT_RUN = re.compile(r"^ *\.\. not run: (\S.*)")


class Block(NamedTuple):
    """Code on a page: its ``language`` (``python``, ``console``, ``doctest``…), the file that it is shown as, its text.

    ``line`` counts from 1 and is that of the first line of the text. ``not_run`` says why it is not run; it comes from
    a comment above the block, ``.. not run: reason``.
    """

    language: str
    caption: str
    line: int
    text: str
    not_run: str


def pages() -> list[Path]:
    """Return the README and every page, seen from the root."""
    return [Path("README.rst"), *sorted(page.relative_to(ROOT) for page in (ROOT / "doc").rglob("*.rst"))]


def text_of(page: Path | str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a page in order; a doctest block runs from its first prompt to the next empty line."""
    lines = text.splitlines()
    number, not_run = 0, ""
    while number < len(lines):
        line = lines[number]
        directive = _DIRECTIVE.match(line)
        if (comment := _NOT_RUN.match(line)) is not None:
            not_run = comment[1]
        elif directive is not None:
            indent, language = len(directive[1]), directive[2]
            number, caption = _options(lines, number + 1)
            end = _end_of_indented(lines, number, indent)
            yield Block(language, caption, number + 1, _dedented(lines[number:end]), not_run)
            number, not_run = end - 1, ""
        elif line.startswith(">>> "):
            end = next((at for at in range(number, len(lines)) if not lines[at].strip()), len(lines))
            yield Block("doctest", "", number + 1, "\n".join(lines[number:end]) + "\n", not_run)
            number, not_run = end - 1, ""
        elif line.strip():
            not_run = ""
        number += 1


def _options(lines: list[str], number: int) -> tuple[int, str]:
    caption = ""
    while number < len(lines) and (option := _OPTION.match(lines[number])) is not None:
        caption = option[2] if option[1] == "caption" else caption
        number += 1
    while number < len(lines) and not lines[number].strip():
        number += 1
    return number, caption


def _end_of_indented(lines: list[str], number: int, indent: int) -> int:
    while number < len(lines) and (not lines[number].strip() or lines[number].startswith(" " * (indent + 1))):
        number += 1
    return number


def _dedented(lines: list[str]) -> str:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "".join(line[margin:] + "\n" for line in lines)


def table(text: str, name: str) -> list[tuple[str, ...]]:
    """Return the rows of the csv-table with this ``:name:``, header apart, its cells without their double backticks."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.strip() == f":name: {name}":
            break
    else:
        raise LookupError(f"no table is named {name}")
    rows: list[tuple[str, ...]] = []
    for line in lines:
        if line.strip().startswith(":"):
            continue
        if not line.strip():
            if rows:
                break
            continue
        rows.append(tuple(cell.strip().replace("``", "") for cell in line.split("|")))
    return rows
