"""Tables fit the terminal as far as they can, and never at the cost of what is to be copied."""

from __future__ import annotations

import io

import pytest

from flowbook.cli.colours import styled
from flowbook.cli.tables import Column, Grid, print_table, terminal_width, width_of

ID = "0123456789abcdef"


def grid(*columns: Column, row: tuple[str, ...]) -> Grid:
    return Grid(columns, [row])


def test_what_may_be_cut_is_cut_to_the_room_there_is() -> None:
    widths = grid(Column("run"), Column("flow", least=4), row=(ID, "a long name")).widths_within(24)
    assert widths == [16, 6]
    assert width_of(widths) == 24


def test_the_widest_is_cut_first_and_none_below_its_least() -> None:
    drawn = grid(Column("a", least=2), Column("b", least=3), row=("x" * 9, "y" * 6))
    assert drawn.widths_within(10) == [4, 4]
    assert drawn.widths_within(1) == [2, 3]


def test_what_may_not_be_cut_stays_whole_where_there_is_no_room() -> None:
    assert grid(Column("run"), row=(ID,)).widths_within(3) == [16]


def test_wide_characters_take_two_cells() -> None:
    assert grid(Column("run"), row=("流れ",)).widths() == [4]


def test_a_pipe_gets_the_first_of_several_grids_whole(capsys: pytest.CaptureFixture[str]) -> None:
    wide, narrow = Column("flow", least=4), Column("run")
    print_table([grid(wide, row=("x" * 300,)), grid(narrow, row=(ID,))])
    assert capsys.readouterr().out.splitlines()[1].rstrip() == "x" * 300


def test_no_grid_is_made_behind_the_one_that_fits(capsys: pytest.CaptureFixture[str]) -> None:
    grids = iter([grid(Column("run"), row=(ID,)), grid(Column("flow"), row=("never made",))])
    print_table(grids)
    assert capsys.readouterr().out == f"run\n{ID}\n"
    assert len(list(grids)) == 1


def test_a_row_is_one_line_whatever_stands_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([grid(Column("flow"), Column("atoms", right=True), row=("a\n\x1b[1m\ud800流れ", "3"))])
    head, row = capsys.readouterr().out.splitlines()
    assert row == r"a\n\x1b[1m\ud800流れ      3"
    assert len(head) == len(row) + 2  # which two of the characters are wider by


def test_what_is_coloured_on_a_terminal_is_plain_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_table([Grid([Column("state", styles={"a": "red"})], [["a"], ["b"]])])
    assert capsys.readouterr().out == "state\na\nb\n"


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_terminal_without_colours_gets_none(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    for name, value in {"NO_COLOR": "", "TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    assert (styled("a", fg="red") != "a") is coloured


@pytest.mark.parametrize(("columns", "width"), [("40", 40), ("0", 80), ("wide", 80), ("", 80)])
def test_a_terminal_is_as_wide_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width(io.StringIO()) == width
