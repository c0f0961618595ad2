"""What the stages that train a transformer check before the first step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from tests.support.tiny_models import BASE
from walt.core.errors import ConfigurationError
from walt.data.conditions import NoConditions, open_conditions
from walt.data.shards import NULL_KEY, shard_name, write_index, write_shard
from walt.data.text_tables import write_caption_names
from walt.stages.train_transformer import check_text_width


def test_text_of_another_width_is_named(tmp_path: Path) -> None:
    """A real encoder's width is known from its embeddings only."""
    tensors = {"embeddings": torch.zeros(1, 8, 24).half(), "mask": torch.ones(1, 8, dtype=torch.uint8)}
    record = write_shard(tmp_path / shard_name("text", 0), [(NULL_KEY, {"safetensors": save(tensors)})])
    write_index(tmp_path, "x", [record])
    write_caption_names(tmp_path, [])
    text = open_conditions(tmp_path, "text", None)
    check_text_width(text, BASE.model_copy(update={"text_width": 24}), "sr_2x")
    with pytest.raises(ConfigurationError, match=r"^sr_2x\.text_width is 16, but text\.encoder .* width 24$"):
        check_text_width(text, BASE, "sr_2x")
    check_text_width(NoConditions(), BASE, "sr_2x")
