"""What is measured of an autoencoder over the clips: the statistics of its latents, and how well it renders them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path

import torch

from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics, RunningStatistics, moments, standard_errors
from walt.autoencoder.streaming import clips_at_once, decode_within, encode_within
from walt.core.log import ProgressBar
from walt.core.ranks import ranks
from walt.core.sizes import Size, size_folder
from walt.data.clip_dataset import ClipDataset
from walt.data.epoch_order import hash_integer
from walt.nn.collectives import gather_shares
from walt.nn.device import arithmetic
from walt.training.autoencoder_config import AutoencoderTrainingConfig
from walt.training.autoencoder_objective import trained_sizes
from walt.training.parallel import is_sharded

_AT_ONCE = 16
"""Clips, at most."""


def _batches_of(clips: ClipDataset, megapixels: float, wanted: set[str] | None = None) -> dict[str, list[list[str]]]:
    """The keys of videos and of images, or of those that are wanted, in batches."""
    found = {}
    for kind, every in (("video", clips.video_keys), ("image", clips.image_keys)):
        keys = [key for key in every if wanted is None or key in wanted]
        count = min(_AT_ONCE, clips_at_once(len(clips.clip(keys[0])), clips.size, megapixels)) if keys else 1
        found[kind] = [keys[start : start + count] for start in range(0, len(keys), count)]
    return found


@torch.no_grad()
def measure_latents(
    model: CausalAutoencoder,
    datasets: Mapping[Size, ClipDataset],
    training: AutoencoderTrainingConfig,
    seed: int,
    megapixels: float = math.inf,
) -> tuple[LatentStatistics, dict[str, float]]:
    """Mean and std of the latents' means over all sizes of a split, in one pass over its videos and images, or over
    ``statistics_clips`` of them at each size, which the seed draws; and how far they may be from those of all.

    Every latent cell counts the same, so a larger size counts for more. The order of ``datasets`` changes no bit, nor
    does the number of ranks, each of which encodes its share of the batches; all get the result.
    """
    device = next(model.parameters()).device
    of_sizes = [clips for _, clips in sorted(datasets.items(), key=lambda item: item[0])]
    drawn = [(clips, _drawn(clips, training.statistics_clips, seed)) for clips in of_sizes]
    batches = [
        (clips, keys)
        for clips, some in drawn
        for of_kind in _batches_of(clips, megapixels, some).values()
        for keys in of_kind
    ]
    own = []
    with ProgressBar("latent statistics", len(ranks().share(batches)), "batches") as bar:
        for clips, keys in ranks().share(batches):
            video = clips.frames(keys, [0] * len(keys), len(clips.clip(keys[0]))).to(device)
            with arithmetic(device.type, training.precision):
                mean = encode_within(model, video, megapixels)
            own.append(moments(mean))
            bar.advance()
    running = RunningStatistics(model.config.latent_channels)
    seen = [of_clip for of_batch in gather_shares(own) for of_clip in of_batch]
    for of_clip in seen:
        running.add(of_clip)
    statistics = running.result()
    errors = standard_errors(seen, sum(len(clips) for clips in of_sizes), statistics)
    return statistics, dict(zip(("latents/mean_error", "latents/std_error"), errors, strict=True))


def _drawn(clips: ClipDataset, most: int | None, seed: int) -> set[str]:
    """At most so many of the clips of a size, others than at another size."""
    name = size_folder(clips.size)
    return set(sorted(clips.keys(), key=lambda key: hash_integer("latent statistics", seed, name, key))[:most])


@torch.no_grad()
def held_out_psnr(
    model: CausalAutoencoder,
    clips: Path,
    training: AutoencoderTrainingConfig,
    megapixels: float = math.inf,
    only: Mapping[Size, Collection[str]] | None = None,
) -> dict[str, float]:
    """PSNR in dB over the pixels of all held-out videos, and of all held-out images, at each trained size; or of
    those whose keys ``only`` has at that size. ``clips`` is the folder ``data/clips``.

    Each rank measures its share of the batches; all get the figures, which their number does not change by a bit. Where
    each holds a share of the model, all measure all batches, since they must call it equally often.
    """
    device, sharded = next(model.parameters()).device, any(map(is_sharded, model.parameters()))
    figures: dict[str, float] = {}
    for size in trained_sizes(training):
        split = ClipDataset(clips, size, "held_out")
        wanted = None if only is None else {*only[size]}
        for kind, batches in _batches_of(split, megapixels, wanted).items():
            own = []
            for keys in batches if sharded else ranks().share(batches):
                video = split.frames(keys, [0] * len(keys), len(split.clip(keys[0]))).to(device)
                with arithmetic(device.type, training.precision):
                    latents = encode_within(model, video, megapixels)
                    reconstruction = torch.cat(list(decode_within(model, latents, megapixels)), dim=2)
                error = (reconstruction.float().clamp(-1, 1) - video).double().square().sum()
                own.append((float(error), video.numel()))
            squares, pixels = 0.0, 0
            for of_batch in own if sharded else gather_shares(own):  # in the order of the batches
                squares += of_batch[0]
                pixels += of_batch[1]
            if pixels:
                figures[f"psnr/{kind}/{size_folder(size)}"] = 10 * math.log10(4 * pixels / max(squares, 1e-12))
    return figures
