"""What the stages that train a transformer check before the first step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.text_folder import write_text
from tests.support.tiny_models import BASE
from walt.core.errors import ConfigurationError
from walt.data.conditions import NoConditions, open_conditions
from walt.stages.train_transformer import check_text_width


def test_text_of_another_width_is_named(tmp_path: Path) -> None:
    """A real encoder's width is known from its embeddings only."""
    write_text(tmp_path, {}, {}, torch.zeros(8, 24), 8)
    text = open_conditions(tmp_path, "text", None)
    check_text_width(text, BASE.model_copy(update={"text_width": 24}), "sr_2x")
    with pytest.raises(ConfigurationError, match=r"^sr_2x\.text_width is 16, but text\.encoder .* width 24$"):
        check_text_width(text, BASE, "sr_2x")
    check_text_width(NoConditions(), BASE, "sr_2x")
