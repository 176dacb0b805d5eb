"""What each error means, why it happens and what to do: a page for each code, the same as in the documentation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any, Final

from flowbook.exceptions import NotPossible, did_you_mean
from flowbook.views.schemas import EXPLAIN

_FOLDER: Final = "explanations"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The page of an error: its code, its class, what it means in a sentence, and the whole page as reST."""

    code: str
    name: str
    summary: str
    page: str


def explanations() -> tuple[Explanation, ...]:
    """Return the pages of all errors, by their codes."""
    files = resources.files("flowbook").joinpath(_FOLDER).iterdir()
    pages = [file.read_text(encoding="utf-8") for file in files if file.name.endswith(".rst")]
    return tuple(sorted(map(_parsed, pages), key=lambda one: one.code))


def _parsed(page: str) -> Explanation:
    """Return the page whose title is ``CODE: Class``, and whose first paragraph is the summary."""
    title, _, rest = page.partition("\n")
    code, _, name = title.partition(": ")
    _, summary, _ = rest.split("\n\n", 2)
    return Explanation(code, name, " ".join(summary.split()), page)


def explain(word: str) -> Explanation:
    """Return the page that ``word`` means: a code, in capitals or not, its number, or the name of the class.

    Raises NotPossible, with the nearest word, when there is none.
    """
    known = explanations()
    for one in known:
        if word.lower() in (one.code.lower(), one.code.removeprefix("FB"), one.name.lower()):
            return one
    near = did_you_mean(word, [one.name for one in known]) or did_you_mean(word.upper(), [one.code for one in known])
    raise NotPossible(
        f"no error is called {word!r}",
        where=f"explain {word}",
        why="it is neither a code, such as FB301, nor the name of an error's class",
        todo=near or "flowbook explain lists all of them",
    )


def explanations_document(pages: Iterable[Explanation]) -> dict[str, Any]:
    """Return the document of some pages."""
    return EXPLAIN.document([asdict(page) for page in pages])
