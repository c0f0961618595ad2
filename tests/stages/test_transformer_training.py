"""What the stages that train a transformer check before the first step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from tests.tiny_models import BASE
from walt.core.errors import ConfigurationError
from walt.data.loader import NULL_KEY, TextDataset
from walt.data.shards import shard_name, write_index, write_shard
from walt.stages.transformer_training import check_text_width


@pytest.mark.parametrize(("stage", "section"), [("train-base", "base"), ("train-sr-2x", "sr_2x")])
def test_text_of_another_width_is_named(tmp_path: Path, stage: str, section: str) -> None:
    """A real encoder's width is known from its embeddings only."""
    tensors = {"embeddings": torch.zeros(8, 24).half(), "mask": torch.ones(8, dtype=torch.uint8)}
    record = write_shard(tmp_path / shard_name("text", 0), [(NULL_KEY, {"safetensors": save(tensors)})])
    write_index(tmp_path, "x", [record])
    text = TextDataset(tmp_path)
    check_text_width(text, BASE.model_copy(update={"text_width": 24}), stage)
    with pytest.raises(ConfigurationError, match=rf"^{section}\.text_width is 16, but text\.encoder .* width 24$"):
        check_text_width(text, BASE, stage)
    with pytest.raises(ConfigurationError, match=rf"^{section}\.conditioning is none: {stage} takes text only$"):
        check_text_width(text, BASE.model_copy(update={"conditioning": "none"}), stage)
