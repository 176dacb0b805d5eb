"""A file that a verb writes is there whole, or as it was."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowbook.cli.files import write_file
from flowbook.exceptions import NotPossible


def _broken() -> Iterator[str]:
    yield "half"
    raise ValueError("no more")


def test_what_breaks_while_a_file_is_written_leaves_the_older_one(tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    file.write_text("older", encoding="utf-8")
    with pytest.raises(ValueError, match="no more"):
        write_file(file, _broken())
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]
    assert file.read_text(encoding="utf-8") == "older"


def test_a_private_file_is_for_its_owner_alone_whoever_might_read_the_older_one(tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    file.touch(mode=0o644)
    write_file(file, ["one\n", "två\n"], private=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes() == "one\ntvå\n".encode()


@pytest.mark.parametrize(("name", "why"), [("no/out.txt", "No such file or directory"), (".", "Is a directory")])
def test_where_no_file_can_be_an_error_has_four_parts(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(NotPossible, match="cannot be written") as caught:
        write_file(tmp_path / name, ["text"])
    error = caught.value
    assert error.where == f"--out {tmp_path / name}"
    assert (error.why, error.todo) == (why, "name a file in a directory that you may write to")
