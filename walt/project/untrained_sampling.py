"""Whether samples would be made with what no training step had: the models' answers to that are chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from walt.core.left_out import METRICS_FILE
from walt.core.storage import read_json
from walt.core.transformers import get_transformer
from walt.sampling.config import SampleConfig
from walt.training.config import DiffusionTrainingConfig
from walt.transformer.config import TransformerConfig

Trained = Mapping[str, tuple[TransformerConfig, DiffusionTrainingConfig]]
"""Transformers with their trainings, by name."""


def sampled_from(transformers: Trained, cascade: bool) -> Trained:
    """Those that make a video: not one that another starts from, and with a ``cascade`` all that follow."""
    replaced = {get_transformer(name).starts_from for name in transformers}
    return {
        name: (model, training) for name, (model, training) in transformers.items()
        if name not in replaced and (cascade or model.super_resolution is None)
    }  # fmt: skip


def untrained_sampling(transformers: Trained, sample: SampleConfig, begins: bool) -> str | None:
    """What is wrong with these settings, for a message; None where guidance compares with what was trained: the model
    without its condition, and without known frames.

    Args:
        transformers: those that are sampled.
        begins: whether the first frames are given.
    """
    for name, (model, training) in transformers.items():
        section = get_transformer(name).training
        for key, knob in _compared(model, training, begins):
            if (scale := getattr(sample, key)) != 1:
                return (
                    f"sample.{key} is {scale:g}, but {section}.{knob} is {getattr(training, knob):g}: guidance would "
                    "compare with what was never trained, so it must be 1"
                )
        if model.frame_prediction and not begins and training.frame_prediction_probability == 1:
            return (
                f"{section}.frame_prediction_probability is 1, so no video is trained without known first frames, and "
                "none are given (sample.beginning)"
            )
    return None


def _compared(model: TransformerConfig, training: DiffusionTrainingConfig, begins: bool) -> Iterator[tuple[str, str]]:
    """(scale in the section ``sample``, knob of the training by which nothing is left out) where there are such."""
    follows, known = model.super_resolution is not None, begins and model.frame_prediction
    of_condition = "super_resolution_guidance_scale" if follows else "guidance_scale"
    of_frames = "super_resolution_guidance_scale" if follows else "frame_guidance_scale"
    if model.conditioning != "none" and not training.condition_dropout:
        yield of_condition, "condition_dropout"
        if known:  # what is compared with has no known frames, and no condition
            yield of_frames, "condition_dropout"
    if known and training.frame_prediction_probability == 1:
        yield of_frames, "frame_prediction_probability"


def saw_images(folder: Path, training: DiffusionTrainingConfig) -> bool:
    """Whether the model in ``folder`` was trained on images too: as it says itself, since a dataset may have none; one
    of an earlier version does not, and then as its training was to be."""
    said = read_json(folder / METRICS_FILE).get("images") if (folder / METRICS_FILE).is_file() else None
    return bool(training.image_fraction) if said is None else said > 0
