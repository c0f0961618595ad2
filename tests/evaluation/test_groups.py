"""Which clips and samples are alike, by the manifest and by what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.evaluated_project import write_recordings
from walt.core.digests import sha256_json
from walt.core.errors import CorruptArtifactError
from walt.core.paths import Paths
from walt.evaluation.groups import DRAWN, chosen, condition, of_clips, of_samples, recordings


def test_clips_of_one_group_are_of_one_recording_and_else_those_of_one_source(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    write_recordings(paths, {"v0": "match 1", "v2": "match 1", "v3": "match 2"})
    known = recordings(paths.manifest, ["v0", "v1", "v2", "v3"])
    assert known == {
        "v0": "group match 1", "v2": "group match 1", "v3": "group match 2", "v1": f"source {sha256_json('v1')}",
    }  # fmt: skip
    assert of_clips(["v2", "v1", "v0"], known) == ["group match 1", known["v1"], "group match 1"]
    assert of_clips(["v0", "v1", "v3"], known) is None
    assert recordings(paths.manifest, []) == {}
    with pytest.raises(CorruptArtifactError, match="does not have the clip absent"):
        recordings(paths.manifest, ["v0", "absent"])


def test_samples_of_one_text_are_alike_and_those_of_a_class_are_not() -> None:
    none = [None] * 4
    texts = of_samples(["a", "b", "a", ""], none, {}, texts_are_drawn=True)
    assert texts is not None
    assert (texts[0] == texts[2], len(set(texts))) == (True, 3)
    assert of_samples(["a", "b", "a", ""], none, {}, texts_are_drawn=False) is None
    assert of_samples(["a", "b", "c", "d"], none, {}, texts_are_drawn=True) is None
    assert of_samples(["a"] * 4, none, {}, texts_are_drawn=True) is None  # of this prompt alone, each with its noise
    assert of_samples(["", "", "", ""], none, {}, texts_are_drawn=True) is None


def test_samples_that_begin_as_clips_of_one_recording_are_alike() -> None:
    known = {"v0": "group x", "v1": "group x", "v2": "group y"}
    assert of_samples(["a", "b", "c"], ["v0", "v1", "v2"], known, texts_are_drawn=True) == [
        "group x", "group x", "group y",
    ]  # fmt: skip
    assert of_samples(["a", "a"], ["v0", "v2"], known, texts_are_drawn=True) is None


def test_the_condition_is_there_where_something_is_drawn_together() -> None:
    assert condition(None, None) == {}
    of_real = condition(["a", "a", "b"], None)
    assert of_real.keys() == {DRAWN}
    assert of_real != condition(None, ["a", "a", "b"]) != condition(["a", "b", "b"], None)


def test_the_groups_of_some_items() -> None:
    assert chosen(["a", "b", "a"], [0, 2]) == ["a", "a"]
    assert chosen(["a", "b", "a"], [0, 1]) is None
    assert chosen(None, [0, 1]) is None
