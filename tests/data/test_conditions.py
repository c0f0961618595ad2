"""What the transformers are conditioned on for a clip: captions, classes, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.tiny_latents import write_latents
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.data.conditions import open_conditions
from walt.data.text_tables import LABELS_TABLE, read_labels, write_labels


def test_the_table_of_labels_comes_back(tmp_path: Path) -> None:
    assert write_labels(tmp_path, [("a", 3), ("b", None), ("c", 0)]) == 2
    assert read_labels(tmp_path) == {"a": 3, "c": 0}
    before = (tmp_path / LABELS_TABLE).read_bytes()
    write_labels(tmp_path, [("a", 3), ("b", None), ("c", 0)])
    assert (tmp_path / LABELS_TABLE).read_bytes() == before


def test_a_table_that_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such file"):
        read_labels(tmp_path)
    write_labels(tmp_path, [("a", 3)])
    (tmp_path / LABELS_TABLE).write_bytes((tmp_path / LABELS_TABLE).read_bytes()[:-9])
    with pytest.raises(CorruptArtifactError, match=LABELS_TABLE):
        read_labels(tmp_path)


def test_classes_and_those_that_are_dropped_or_unknown(tmp_path: Path) -> None:
    write_labels(tmp_path, [("a", 3), ("c", 0)])
    conditions = open_conditions(tmp_path, "class", 10)
    assert conditions.tensors(["c", "a", "b"])["labels"].tolist() == [0, 3, 10]  # 10: no class
    dropped = torch.tensor([True, False, False])
    assert conditions.tensors(["c", "a", "b"], dropped)["labels"].tolist() == [10, 3, 10]


@pytest.mark.parametrize(("labels", "message"), [([("a", 10)], "class 10, but num_classes 10"), ([], "no clip has a")])
def test_classes_that_do_not_fit_the_model(tmp_path: Path, labels: list[tuple[str, int]], message: str) -> None:
    write_labels(tmp_path, labels)
    with pytest.raises(ConfigurationError, match=message):
        open_conditions(tmp_path, "class", 10)


def test_captions_and_those_that_are_dropped(tmp_path: Path) -> None:
    write_latents(tmp_path)
    conditions = open_conditions(tmp_path / "text", "text", None)
    found = conditions.tensors(["v1", "v2"], torch.tensor([False, True]))
    assert found["text"][:, 0, 0].tolist() == [1.0, -1.0]  # each row's text is its number, the empty caption's -1
    assert found["text_mask"].all()
    assert conditions.tensors(["v2"])["text"][0, 0, 0] == 2.0  # dropping changed nothing that is kept


def test_a_model_without_conditioning_gets_no_tensors(tmp_path: Path) -> None:
    assert open_conditions(tmp_path, "none", None).tensors(["a"]) == {}
