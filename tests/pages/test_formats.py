"""Units that people read."""

from __future__ import annotations

import math

import pytest

from walt.pages.formats import counted, duration, num_bytes, number, one_line, percent, share

THIN = "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (3, "3"), (2.0, "2"), (12.345, "12.3"), (0.01234, "0.0123"), (1234.5, f"1{THIN}234"),
        (1234567, f"1{THIN}234{THIN}567"), (999.7, f"1{THIN}000"), (-999.7, f"-1{THIN}000"), (999.4, "999"),
        (math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"),
    ],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_recordings_are_told_where_they_are_fewer_than_clips() -> None:
    assert [counted(64, None), counted(64, 64), counted(1234, 16)] == ["64", "64", f"1{THIN}234 from 16"]


def test_small_shares_have_a_digit_after_the_point() -> None:
    assert [share(1, 3), share(1, 200), share(0, 5), share(1, 0)] == ["33 %", "0.5 %", "0 %", "0 %"]
    assert [percent(0.666), percent(0.004), percent(1.0)] == ["67 %", "0 %", "100 %"]


def test_durations_and_bytes() -> None:
    assert [duration(value) for value in (2.125, 59.96, 200, 3569, 3600, 7500, 5e6)] == [
        "2.12 s", "1 min 00 s", "3 min 20 s", "59 min 29 s", "1 h 00 min", "2 h 05 min", f"1{THIN}389 h"
    ]  # fmt: skip
    assert [num_bytes(value) for value in (0, 999, 1024, 5e6, 3e12, 9e15)] == [
        "0 B", "999 B", "1 KiB", "4.77 MiB", "2.73 TiB", f"8{THIN}185 TiB"
    ]  # fmt: skip


def test_a_name_stays_on_one_line() -> None:
    assert one_line("a\nb\x1b[31m\udcff é") == "a\\nb\\x1b[31m\\udcff é"
