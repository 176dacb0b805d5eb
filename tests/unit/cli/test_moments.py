"""Moments as people give them."""

from __future__ import annotations

import time
from datetime import datetime

import click
import pytest

from flowbook.cli.moments import NoMoment, beginning, end

OPTION = click.Option(["--since"])
CONTEXT = click.Context(click.Command("list"))


@pytest.mark.parametrize(
    ("word", "at"),
    [
        ("2026-05-31", datetime(2026, 5, 31)),
        ("20260531", datetime(2026, 5, 31)),
        ("2026-05-31T12:30", datetime(2026, 5, 31, 12, 30)),
        ("2026-05-31 12:30:05", datetime(2026, 5, 31, 12, 30, 5)),
        ("2026-05-31T12:30Z", datetime.fromisoformat("2026-05-31T12:30+00:00")),
        ("2026-05-31T12:30+02:00", datetime.fromisoformat("2026-05-31T10:30+00:00")),
    ],
)
def test_a_date_or_time_is_one_of_this_machines_zone_unless_it_has_its_own(word: str, at: datetime) -> None:
    assert beginning(CONTEXT, OPTION, word) == at.timestamp()


def test_the_end_of_a_day_is_its_last_moment_and_a_time_is_its_own_end() -> None:
    assert end(CONTEXT, OPTION, "2026-05-31") == pytest.approx(datetime(2026, 6, 1).timestamp(), abs=0.001)
    assert end(CONTEXT, OPTION, "2026-05-31T12:30") == beginning(CONTEXT, OPTION, "2026-05-31T12:30")


@pytest.mark.parametrize(
    ("word", "ago_s"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5d", 129_600), ("1w", 604_800)]
)
def test_a_number_with_a_unit_is_as_long_ago(monkeypatch: pytest.MonkeyPatch, word: str, ago_s: int) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    assert beginning(CONTEXT, OPTION, word) == 1_000_000.0 - ago_s


def test_nothing_stays_nothing() -> None:
    assert beginning(CONTEXT, OPTION, None) is end(CONTEXT, OPTION, None) is None


@pytest.mark.parametrize("word", ["", "yesterday", "2h3", "-2h", "2026-13-01", "9999-12-31T25:00"])
def test_what_is_no_time_is_refused(word: str) -> None:
    with pytest.raises(NoMoment, match=r"is no time"):
        beginning(CONTEXT, OPTION, word)
