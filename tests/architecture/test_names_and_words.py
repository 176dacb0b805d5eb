"""Names that hide what a thing is, and words that belong in no file."""

from __future__ import annotations

import re

from architecture.project import ROOT, files, texts

NAMES_FOR_LEFTOVERS = {"utils", "util", "common", "helpers", "helper", "misc"}

ANOTHER_PROJECTS_NAMES = ROOT / "flowbook" / "taskflow"

PROMISES_WITHOUT_AN_ISSUE = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")

# A path that exists for one person or on one machine; below a name, as in doc/home/, it is none.
PATH_OF_ONE_MACHINE = re.compile(r"(?<![\w.~}-])/(home|root|tmp|work|Users)/")


def test_no_folder_or_module_is_named_for_leftovers() -> None:
    ours = (path for path in files() if not path.is_relative_to(ANOTHER_PROJECTS_NAMES))
    paths = [path.relative_to(ROOT).with_suffix("") for path in ours]
    assert [str(path) for path in paths if NAMES_FOR_LEFTOVERS & set(path.parts)] == []


def test_no_file_promises_work_without_an_issue() -> None:
    assert _places_of(PROMISES_WITHOUT_AN_ISSUE) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert _places_of(PATH_OF_ONE_MACHINE) == []


def _places_of(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
