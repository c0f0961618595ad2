"""A model of transformers that says what frames show, by a tiny one of the same interface that is made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.settings import changed
from tests.support.tiny_vision_language import WORDS, write_vision_language_model
from walt.captioning.config import CaptionConfig
from walt.captioning.vision_language import VisionLanguageModel, spread_frames
from walt.core.errors import ConfigurationError
from walt.media.images import Clip
from walt.project.recipes import load_recipe

CONFIG = changed(
    load_recipe("demo-uncaptioned").caption, model="captioner", prompt="what is seen", frames=3, max_tokens=4,
    precision="fp32",
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_vision_language_model(folder / "captioner")
    return folder


def model(root: Path, **changes: object) -> VisionLanguageModel:
    config: CaptionConfig = changed(CONFIG, **changes)
    return VisionLanguageModel(config, "cpu", root)


def clip(value: int, frames: int = 9) -> Clip:
    return np.random.default_rng(value).integers(0, 256, (frames, 16, 24, 3), dtype=np.uint8)


@pytest.mark.slow
def test_answers_are_the_models_words_and_depend_on_the_pictures(root: Path) -> None:
    captioner = model(root)
    said = [captioner.answers([clip(number)], 0)[0] for number in range(6)]
    assert {word for answer in said for word in answer.split()} <= set(WORDS)
    assert len(set(said)) > 1
    assert said == [captioner.answers([clip(number)], 1)[0] for number in range(6)], "nothing is drawn"


def test_videos_and_stills_in_one_batch(root: Path) -> None:
    captioner = model(root)
    clips = [clip(0), clip(1, frames=1), clip(2, frames=2)]
    assert captioner.answers(clips, 0) == [captioner.answers([one], 0)[0] for one in clips]


@pytest.mark.slow
def test_drawn_answers_follow_the_seed_and_leave_others_alone(root: Path) -> None:
    captioner = model(root, temperature=2.0)
    said = [captioner.answers([clip(0)], seed)[0] for seed in range(8)]
    assert len(set(said)) > 1
    assert said == [captioner.answers([clip(0)], seed)[0] for seed in range(8)]


@pytest.mark.slow
def test_another_weight_is_another_digest(root: Path, tmp_path: Path) -> None:
    write_vision_language_model(tmp_path / "captioner", seed=1)
    assert model(root).digest == model(root).digest
    assert model(root).digest != model(tmp_path).digest


@pytest.mark.parametrize(
    ("name", "said"),
    [("./nowhere", r"^caption\.model: .*/nowhere: no such folder$"), ("empty", r"^caption\.model empty: \S")],
)
def test_what_is_no_model_is_one_line(root: Path, name: str, said: str) -> None:
    (root / "empty").mkdir(exist_ok=True)
    with pytest.raises(ConfigurationError, match=said) as refused:
        model(root, model=name)
    assert "\n" not in str(refused.value)


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    write_vision_language_model(tmp_path / "captioner")
    (tmp_path / "captioner/chat_template.jinja").unlink()
    with pytest.raises(ConfigurationError, match="no chat template"):
        model(tmp_path)


@pytest.mark.parametrize(
    ("length", "count", "places"),
    [(9, 3, [0, 4, 8]), (9, 1, [4]), (2, 3, [0, 1]), (1, 8, [0]), (17, 8, [0, 2, 5, 7, 9, 11, 14, 16])],
)
def test_frames_are_spread_from_the_first_to_the_last(length: int, count: int, places: list[int]) -> None:
    numbered = np.arange(length, dtype=np.uint8)[:, None, None, None]
    assert [int(frame.flat[0]) for frame in spread_frames(numbered, count)] == places
