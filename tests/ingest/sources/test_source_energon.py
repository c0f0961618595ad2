"""Tars that energon has prepared: its splits, excluded samples, counts and fields are followed, or said to be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.sources import by_source, codes, list_source
from tests.support.tars import write_tar
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.ingest.sources.energon import expand

ENERGON: dict[str, Any] = {"kind": "energon"}
SPLIT = "split_parts:\n  train: ['s/shard_{000..001}.tar']\n  val: [s/shard_002.tar]\nexclude: [s/shard_001.tar/k4]\n"
FIELDS = "field_map:\n  video: video.mp4\n  caption: json[model][long]\n"


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Three tars of two samples; ``0000.video.mp4`` and ``0000.json`` are one sample."""
    (tmp_path / "s").mkdir()
    (tmp_path / ".nv-meta").mkdir()
    counts = {}
    for number in range(3):
        members = {}
        for key in (f"k{2 * number + 1}", f"k{2 * number + 2}"):
            members[f"{key}.video.mp4"] = key.encode()
            members[f"{key}.json"] = json.dumps({"model": {"long": f"caption of {key}"}}).encode()
        write_tar(tmp_path / f"s/shard_{number:03}.tar", members)
        counts[f"s/shard_{number:03}.tar"] = 2
    (tmp_path / ".nv-meta/split.yaml").write_text(SPLIT)
    (tmp_path / ".nv-meta/dataset.yaml").write_text(FIELDS)
    (tmp_path / ".nv-meta/.info.json").write_text(json.dumps({"shard_counts": counts}))
    return tmp_path


def test_splits_excluded_samples_and_fields_are_followed(prepared: Path) -> None:
    found = list_source(prepared, ENERGON)
    assert found.refusals == []
    assert {name: (item.caption, item.split) for name, item in by_source(found).items()} == {
        "s/shard_000.tar::k1.video.mp4": ("caption of k1", "train"),
        "s/shard_000.tar::k2.video.mp4": ("caption of k2", "train"),
        "s/shard_001.tar::k3.video.mp4": ("caption of k3", "train"),
        "s/shard_002.tar::k5.video.mp4": ("caption of k5", "held_out"),
        "s/shard_002.tar::k6.video.mp4": ("caption of k6", "held_out"),
    }


def test_an_excluded_tar_is_left_out(prepared: Path) -> None:
    (prepared / ".nv-meta/split.yaml").write_text(SPLIT.replace("shard_001.tar/k4", "shard_001.tar"))
    assert {item.source[:15] for item in list_source(prepared, ENERGON).items} == {"s/shard_000.tar", "s/shard_002.tar"}


def test_a_tar_that_a_split_names_and_is_not_there_is_refused(prepared: Path) -> None:
    (prepared / "s/shard_002.tar").unlink()
    found = list_source(prepared, ENERGON)
    assert codes(found) == {"s/shard_002.tar": "missing"}
    assert len(found.items) == 3


def test_a_tar_with_fewer_samples_than_were_counted_is_damage(prepared: Path) -> None:
    write_tar(prepared / "s/shard_001.tar", {"k3.video.mp4": b"k3", "k3.json": b"{}"})
    with pytest.raises(CorruptArtifactError, match=r"shard_001\.tar: has 1 samples, the dataset's own list says 2"):
        list_source(prepared, ENERGON)
    assert codes(list_source(prepared, ENERGON | {"damaged": "refuse"})) == {"s/shard_001.tar": "truncated"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("split.yaml", None, r"split\.yaml: no such file, or it has no split_parts"),
        ("split.yaml", "exclude: []\n", r"split\.yaml: no such file, or it has no split_parts"),
        ("split.yaml", "split_parts: {train: 7}\n", r"split_parts\.train: expected a list of names"),
        ("split.yaml", "split_parts: {train: [a.tar], val: [a.tar]}\n", r"a\.tar is in two splits"),
        ("split.yaml", "split_parts: [", r"split\.yaml, line \d: not valid YAML"),
        ("split.yaml", "- a\n", r"split\.yaml: expected a map of keys"),
        ("split.yaml", "split_parts: {train: ['{0..9999999}{0..9999999}.tar']}\n", r"stands for \d+ names"),
        ("dataset.yaml", "__class__: Crude\n", r"dataset\.yaml: its field_map names no caption: set source\.caption"),
    ],
)
def test_what_is_wrong_in_the_hidden_folder_is_named(
    prepared: Path, name: str, text: str | None, message: str
) -> None:  # fmt: skip
    path = prepared / ".nv-meta" / name
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        list_source(prepared, ENERGON)
    assert "\n" not in str(caught.value)


def test_captions_of_a_dataset_with_its_own_loader_are_named_in_the_descriptor(prepared: Path) -> None:
    (prepared / ".nv-meta/dataset.yaml").write_text("__class__: Crude\n")
    found = list_source(prepared, ENERGON | {"caption": "json:model.long"})
    assert [item.caption for item in found.items][:2] == ["caption of k1", "caption of k2"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("a{08..10}.tar", ["a08.tar", "a09.tar", "a10.tar"]),
        ("{a,b}{1..2}", ["a1", "a2", "b1", "b2"]),
    ],
)
def test_braces_are_expanded(pattern: str, names: list[str]) -> None:
    assert expand(pattern, "here") == names
