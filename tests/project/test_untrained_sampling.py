"""Samples are made with what was trained: the model's answer to anything else is chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.settings import changed, recipe
from walt.core.left_out import METRICS_FILE
from walt.core.storage import write_json
from walt.project.params import Params
from walt.project.untrained_sampling import sampled_from, saw_images, untrained_sampling

DEMO = recipe("demo")
FRAMES = {"frame_prediction": True}


def problem(
    base: dict[str, Any], train_base: dict[str, Any], train_sr: dict[str, Any], sample: dict[str, Any], begins: bool
) -> str | None:
    transformers = {
        "base": (changed(DEMO.base, **base), changed(DEMO.train_base, **train_base)),
        "sr_2x": (changed(DEMO.sr_2x, **base), changed(DEMO.train_sr_2x, **train_sr)),
    }
    settings = {"guidance_scale": 1.0, "frame_guidance_scale": 1.0, "super_resolution_guidance_scale": 1.0} | sample
    return untrained_sampling(transformers, changed(DEMO.sample, **settings), begins)


NEVER, ALWAYS = {"condition_dropout": 0.0}, {"frame_prediction_probability": 1.0}
SOMETIMES = {"frame_prediction_probability": 0.5}
SR = "super_resolution_guidance_scale"


@pytest.mark.parametrize(
    ("base", "train_base", "train_sr", "sample", "begins", "said"),
    [
        ({}, NEVER, {}, {"guidance_scale": 2.0}, False, r"guidance_scale is 2, but train_base.condition_dropout is 0"),
        ({}, NEVER, {}, {}, False, None),
        ({}, {}, {}, {"guidance_scale": 2.0, "frame_guidance_scale": 3.0, SR: 2.0}, False, None),
        ({}, {}, NEVER, {"guidance_scale": 2.0}, False, None),
        ({}, {}, NEVER, {SR: 1.5}, False, rf"sample.{SR} is 1.5, but train_sr_2x.condition_dropout is 0"),
        ({}, NEVER, {}, {"frame_guidance_scale": 2.0}, False, None),  # no frames are given
        (FRAMES, NEVER | SOMETIMES, SOMETIMES, {"frame_guidance_scale": 2.0}, True, "frame_guidance_scale is 2"),
        (FRAMES, SOMETIMES, SOMETIMES, {"frame_guidance_scale": 2.0}, True, None),
        (FRAMES, ALWAYS, SOMETIMES, {"frame_guidance_scale": 2.0}, True, "train_base.frame_prediction_probability is"),
        (FRAMES, ALWAYS, ALWAYS, {}, True, None),
        (FRAMES, SOMETIMES, ALWAYS, {SR: 2.0}, True, rf"{SR} is 2, but train_sr_2x.frame_prediction_probability is 1"),
        (FRAMES, SOMETIMES, ALWAYS, {}, False, "train_sr_2x.frame_prediction_probability is 1, so no video is trained"),
    ],
)  # fmt: skip
def test_what_is_compared_was_trained(
    base: dict[str, Any], train_base: dict[str, Any], train_sr: dict[str, Any], sample: dict[str, Any], begins: bool,
    said: str | None,
) -> None:  # fmt: skip
    found = problem(base, train_base, train_sr, sample, begins)
    assert found is None if said is None else found is not None and said in found


def test_a_model_without_conditions_has_none_to_leave_out() -> None:
    model = changed(DEMO.base, conditioning="none", text_width=None, cross_attention=None)
    transformers = {"base": (model, changed(DEMO.train_base, condition_dropout=0.0))}
    assert untrained_sampling(transformers, changed(DEMO.sample, guidance_scale=3.0), begins=False) is None


def test_parameters_that_would_sample_so_are_refused() -> None:
    data = DEMO.model_dump()
    data["base"]["frame_prediction"] = True
    data["train_base"]["frame_prediction_probability"] = 1.0
    with pytest.raises(ValueError, match=r"no video is trained without known first frames, and none are given"):
        Params.model_validate(data)


def test_those_that_make_a_video_are_the_last_of_a_finetuning_and_the_cascade() -> None:
    tiny = recipe("tiny").transformers()
    assert [*sampled_from(tiny, cascade=True)] == ["aspect", "sr_2x", "sr_4x"]
    assert [*sampled_from(tiny, cascade=False)] == ["aspect"]
    assert [*sampled_from(DEMO.transformers(), cascade=False)] == ["base"]


def test_a_model_says_itself_whether_it_saw_images(tmp_path: Path) -> None:
    jointly, alone = changed(DEMO.train_base, image_fraction=0.125), changed(DEMO.train_base, image_fraction=0.0)
    assert saw_images(tmp_path, jointly)  # it says nothing
    assert not saw_images(tmp_path, alone)
    for images in (0, 3):
        write_json(tmp_path / METRICS_FILE, {"images": images})
        assert saw_images(tmp_path, jointly) is saw_images(tmp_path, alone) is bool(images)
