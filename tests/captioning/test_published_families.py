"""Captions by models of published families: each is asked in its own way, and torchvision is not here."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.published_captioners import FAMILIES, write_smolvlm
from tests.support.settings import changed
from walt.captioning import processors
from walt.captioning.vision_language import VisionLanguageModel
from walt.core.errors import ConfigurationError
from walt.media.images import Clip
from walt.project.recipes import load_recipe

CONFIG = changed(
    load_recipe("demo-uncaptioned").caption, prompt="what is seen", frames=3, max_tokens=6, precision="fp32"
)
HAS_NUM2WORDS = importlib.util.find_spec("num2words") is not None
needs_num2words = pytest.mark.skipif(not HAS_NUM2WORDS, reason="SmolVLM's processor needs num2words")


def clip(seed: int, frames: int = 9) -> Clip:
    return np.random.default_rng(seed).integers(0, 256, (frames, 32, 48, 3), dtype=np.uint8)


def captioner(folder: Path) -> VisionLanguageModel:
    return VisionLanguageModel(changed(CONFIG, model=str(folder)), "cpu", folder)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["qwen", "onevision", pytest.param("smolvlm", marks=needs_num2words)])
def test_every_frame_counts_and_a_batch_says_what_each_says_alone(family: str, tmp_path: Path) -> None:
    FAMILIES[family](tmp_path)
    model = captioner(tmp_path)
    clips = [clip(0), clip(1), clip(2, frames=1)]
    alone = [model.answers([one], 0)[0] for one in clips]
    assert model.answers(clips, 0) == alone
    assert len(set(alone)) > 1
    assert captioner(tmp_path).digest == model.digest
    given = [inputs_of(model, one) for one in (clips[0], np.concatenate([clips[0][:8], clips[1][8:]]))]
    assert not np.array_equal(*given), "the last frame is another"


def inputs_of(model: VisionLanguageModel, one: Clip) -> np.ndarray[Any, Any]:
    """The pixels that the network is given of a clip."""
    seen: list[Any] = []
    generate = model._model.generate
    model._model.generate = lambda **inputs: (seen.append(inputs["pixel_values"]), generate(**inputs))[1]
    try:
        model.answers([one], 0)
    finally:
        model._model.generate = generate
    return np.asarray(seen[0].float())


@pytest.mark.skipif(HAS_NUM2WORDS, reason="num2words is here")
def test_a_package_that_a_processor_needs_is_named(tmp_path: Path) -> None:
    write_smolvlm(tmp_path)
    with pytest.raises(ConfigurationError, match=r"pip install num2words"):
        captioner(tmp_path)


def test_where_no_part_for_videos_is_to_blame_the_reason_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(source: str, local_files_only: bool) -> Any:
        raise ImportError("needs a package")

    monkeypatch.setattr(processors.AutoProcessor, "from_pretrained", failing)
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(ImportError, match="needs a package"):
        processors.load_processor(str(tmp_path))
