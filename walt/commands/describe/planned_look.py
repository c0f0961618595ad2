"""What a look at a model during its training holds in memory, besides what the training keeps all the time.

Of the training there are weights and moments; the gradients are gone, and a copy of the weights is in their place while
the model has the averaged ones (``walt.training.validation.as_published``).
"""

from __future__ import annotations

import math
from collections.abc import Collection

from walt.commands.describe.planned_autoencoder import decoding_peak, encoding_peak
from walt.commands.describe.planned_sampling import held_out_peaks, sampling_peaks
from walt.commands.describe.planned_steps import Peaks
from walt.core.sizes import Size, size_folder
from walt.core.transformers import Transformer
from walt.project.params import Params
from walt.training.autoencoder_objective import trained_sizes


def transformer_look_peaks(params: Params, transformer: Transformer, step: Peaks, devices: int) -> Peaks:
    """The phases of a look at a transformer: its held-out loss, and its samples, which are decoded one by one.

    Args:
        step: the training's own peaks.
    """
    architecture, training = params.transformers()[transformer.name]
    validation = training.validation
    if validation is None:
        return {}
    part = max(1, training.batch_size // training.accumulation // devices)
    precision = training.precision
    measured = params.evaluate.model_copy(update={"batch_size": min(part, validation.clips), "precision": precision})
    found = {"look, loss": held_out_peaks(params.model_copy(update={"evaluate": measured}), transformer.name)}
    if validation.samples:
        sampled = {"batch_size": min(part, validation.samples), "precision": precision, "beginning": "none"}
        made = params.model_copy(update={"sample": params.sample.model_copy(update=sampled)})
        found["look, sample"] = sampling_peaks(made, transformer.name)
    peaks = {name: next(iter(phases.values())) for name, phases in found.items()}
    if validation.samples:
        most = _megapixels(params, architecture.resolution, 1)
        decoded = decoding_peak(params.autoencoder, params.ingest.num_frames, architecture.resolution, most, "fp32")
        peaks["look, decode"] = decoded["decode"]
    return _beside(peaks, step, bool(training.ema_decay), others={"look, decode"})


def autoencoder_look_peaks(params: Params, step: Peaks) -> Peaks:
    """The phases of a look at the autoencoder: its held-out clips are encoded and decoded, at each size."""
    training = params.train_autoencoder
    if training.validation is None:
        return {}
    peaks: Peaks = {}
    for size in trained_sizes(training):
        at_once = (params.ingest.num_frames, size, _megapixels(params, size, training.validation.clips))
        encoded = encoding_peak(params.autoencoder, *at_once, training.precision)
        decoded = decoding_peak(params.autoencoder, *at_once, training.precision)
        peaks[f"look, encode {size_folder(size)}"] = encoded["encode"]
        peaks[f"look, decode {size_folder(size)}"] = decoded["decode"]
    return _beside(peaks, step, bool(training.ema_decay))


def _megapixels(params: Params, size: Size, clips: int) -> float:
    """Of so many clips, or those that the setting allows at once."""
    return min(params.compute.megapixels_at_once, clips * params.ingest.num_frames * math.prod(size) / 1e6)


def _beside(peaks: Peaks, step: Peaks, averaged: bool, others: Collection[str] = ()) -> Peaks:
    """With what the training keeps in place of the phases' own weights; beside them, in ``others``, where those are of
    another model."""
    kept = max(step.values(), key=lambda kinds: kinds["weights"] + kinds["optimizer"])
    weights = kept["weights"] * (2 if averaged else 1)
    return {
        phase: {
            **kinds,
            "weights": weights + (kinds["weights"] if phase in others else 0),
            "optimizer": kept["optimizer"],
        }
        for phase, kinds in peaks.items()
    }
