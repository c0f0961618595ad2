"""What is noted of tars, and the tree in which a tar's items are found again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from walt.core.errors import CorruptArtifactError
from walt.data.shards import tar_number, write_shard
from walt.data.tar_notes import EarlierSamples, TarNotes
from walt.data.tar_tree import Leaves, place_of, upwards


@settings(deadline=None)
@given(bits=st.text("01", max_size=9))
def test_a_place_is_below_those_of_its_first_bits(bits: str) -> None:
    assert list(upwards(place_of(bits))) == [place_of(bits[:length]) for length in range(len(bits), -1, -1)]


@settings(deadline=None)
@given(there=st.sets(st.text("01", max_size=5)), bits=st.text("01", max_size=6))
def test_related_are_the_places_above_and_below(there: set[str], bits: str) -> None:
    expected = {place_of(one) for one in there if one.startswith(bits) or bits.startswith(one)}
    found = Leaves(map(place_of, there)).related(place_of(bits))
    assert set(found) == expected
    assert len(found) == len(expected)


def test_samples_of_a_tar_that_is_damaged_later_are_not_given(tmp_path: Path) -> None:
    record = write_shard(tmp_path / "x-000000.tar", [("a", {"json": b"1"}), ("b", {"json": b"2"})])
    earlier = EarlierSamples(tmp_path, [(record, {"a": "of a", "b": "of b"})])
    assert earlier.has("a", "of a")
    assert not earlier.has("a", "of b")
    assert earlier.read(["b"]) == {"b": {"json": b"2"}}
    os.truncate(tmp_path / "x-000000.tar", 700)
    with pytest.raises(CorruptArtifactError, match="x-000000"):
        earlier.read(["b"])
    assert not EarlierSamples(tmp_path, [(record, {"a": "of a"})]).has("a", "of a")


def test_notes_of_another_identity_or_encoder_do_not_count(tmp_path: Path) -> None:
    notes = TarNotes(tmp_path / "tars", tmp_path / "notes", tar_number)
    record = write_shard(tmp_path / "tars" / "x-000002.tar", [("a", {"json": b"1"})])
    notes.write(record, "clips 1", "encoder 1", {"a": "of a"}, {"cut": 3})
    found = notes.finished(record.shard, "clips 1")
    assert found is not None
    assert found["cut"] == 3
    assert notes.finished(record.shard, "clips 2") is None
    assert notes.finished("x-000005.tar", "clips 1") is None
    assert notes.earlier("x-000005.tar", "encoder 1").has("a", "of a")
    for name, encoder in (("x-000005.tar", "encoder 2"), ("x-000005.tar", None), ("x-000001.tar", "encoder 1")):
        assert not notes.earlier(name, encoder).has("a", "of a")
    notes.keep_only([])
    assert notes.finished(record.shard, "clips 1") is None
