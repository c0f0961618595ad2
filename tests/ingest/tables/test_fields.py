"""Templates over the fields of a record."""

from __future__ import annotations

import pytest

from walt.ingest.tables.fields import fill, holes


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{id}_{start:06}.mp4", "abc_000084.mp4"), ("{id}_{start}.mp4", "abc_84.mp4"), ("{id}_{whole:03}", "abc_002"),
        ("{start:01}", "84"), ("{late:04}", "0:04"), ("{half:04}", "1.5"), ("{empty:04}/{id}", ""), ("id", "abc"),
    ],
)  # fmt: skip
def test_a_template_is_filled_in(template: str, expected: str) -> None:
    """Zeros stand before whole numbers alone."""
    values = {"id": "abc", "start": "84", "whole": "2.0", "late": "0:04", "half": "1.5", "empty": ""}
    assert set(holes(template)) <= set(values)
    assert fill(template, values) == expected


def test_a_column_s_name_may_hold_a_colon() -> None:
    assert holes("{a:b}/{c:0}/{d:06}") == ("a:b", "c:0", "d")
