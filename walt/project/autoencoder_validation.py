"""Looking at an autoencoder while it is trained: its PSNR on held-out clips, the Frechet distance of these clips to
what it makes of them (rFVD), and both side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.streaming import decode_within, encode_within
from walt.core.errors import ConfigurationError
from walt.core.log import warning
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.scratch import scratch_folder
from walt.core.sizes import Size, size_folder
from walt.core.storage import write_bytes
from walt.data.clip_dataset import ClipDataset
from walt.evaluation import metric_names
from walt.evaluation.config import NetworkName
from walt.evaluation.extractors import Extractor, FeaturesError, check_extractor, features_of
from walt.evaluation.frechet import frechet_distance
from walt.evaluation.named_networks import make_extractor
from walt.media.images import Clip, png_bytes
from walt.nn.collectives import gather_tensors
from walt.nn.device import select_device
from walt.project.looked_at_clips import looked_at
from walt.project.params import Params
from walt.project.transformer_validation import FOLDER, OVERVIEW, step_folder
from walt.sampling.output import overview, to_frames, write_sample
from walt.training.autoencoder_objective import trained_sizes
from walt.training.parallel import is_sharded
from walt.training.validation import Log, Measure, Validation


@dataclass
class AutoencoderValidation:
    """The looks at one training."""

    params: Params
    paths: Paths
    log: Log
    measure: Measure
    network: NetworkName
    """That of the evaluation's first Frechet distance."""
    extractor: Extractor
    said: set[str] = field(default_factory=set)
    drawn: dict[Size, dict[str, list[str]]] = field(default_factory=dict)
    """Keys of the clips that are measured, at each trained size; drawn at the first look."""

    @classmethod
    def make(cls, params: Params, paths: Paths, log: Log, measure: Measure | None) -> Validation:
        """As ``walt.training.validation.Validator``; ``measure`` gives the PSNR."""
        assert measure is not None
        assert params.train_autoencoder.validation is not None
        network = metric_names.frechet_network(params.evaluate)
        extractor = make_extractor(network, params.evaluate.networks, paths)
        own = cls(params, paths, log, measure, network, extractor.to(select_device(params.compute.device)))
        return Validation(params.train_autoencoder.validation.every, own.look)

    def look(self, step: int, model: nn.Module) -> None:
        """Measure, on all ranks; keep pictures, on the first. Where each holds a share of the model, all reconstruct
        what is in the pictures."""
        assert isinstance(model, CausalAutoencoder)
        settings = self.params.train_autoencoder.validation
        assert settings is not None
        sharded = any(is_sharded(parameter) for parameter in model.parameters())
        if not self.drawn:
            self.drawn = {size: self._draw(size, settings.clips) for size in self._sizes}
        wanted = {size: [key for keys in of_kinds.values() for key in keys] for size, of_kinds in self.drawn.items()}
        figures = self.measure(model, wanted) | self._distances(model, sharded)
        if not figures:
            self._say_once("validation: nothing is held out, so nothing is measured while training")
            return
        self.log.log_metrics({f"validation/{name}": value for name, value in figures.items()}, step)
        if not (settings.samples and (ranks().is_first or sharded)):
            return
        with scratch_folder() as scratch:
            for size in self._sizes:
                self._show(scratch, size, model, settings.samples)
            if not ranks().is_first:
                return
            self.log.log_artifact(scratch, step_folder(step))
            for picture in sorted(scratch.glob(f"*{OVERVIEW}")):
                self.log.log_picture(picture, f"{FOLDER}/{picture.stem}", step)

    @property
    def _sizes(self) -> list[Size]:
        return trained_sizes(self.params.train_autoencoder)

    def _draw(self, size: Size, most: int) -> dict[str, list[str]]:
        """Of the held-out clips of a size."""
        clips = ClipDataset(self.paths.clips, size, "held_out")
        every: dict[str, list[str]] = {"video": [*clips.video_keys], "image": [*clips.image_keys]}
        return {kind: looked_at(self.params, self.paths, keys, most) for kind, keys in every.items() if keys}

    def _first_kind(self, size: Size) -> tuple[str, list[str]]:
        """Videos, or images where there are none, and their keys."""
        return next(iter(self.drawn[size].items()), ("image", []))

    def _distances(self, model: CausalAutoencoder, sharded: bool) -> dict[str, float]:
        """At each trained size, of its videos, or images, where they are two or more. The ranks share them, or call a
        sharded model equally often."""
        figures = {}
        for size in self._sizes:
            clips = ClipDataset(self.paths.clips, size, "held_out")
            kind, keys = self._first_kind(size)
            if len(keys) < 2 or not self._takes(len(clips.clip(keys[0])), size):
                continue
            own = [self._features(clips, key, model) for key in (keys if sharded else ranks().share(keys))]
            real, made = torch.stack(own if sharded else gather_tensors(own)).double().unbind(1)  # (N, D) each
            if not bool(real.isfinite().all() and made.isfinite().all()):
                self._say_once(f"validation: no distance of reconstructions: {self.network} cannot measure one of them")
                continue
            name = metric_names.of_reconstructions(self.network, kind, size_folder(size))
            figures[name] = frechet_distance(real.numpy(), made.numpy())
        return figures

    def _takes(self, frames: int, size: Size) -> bool:
        """Whether the network can take such clips; it is chosen for the samples, whose form may be another."""
        try:
            check_extractor(self.extractor, self.network, frames, size)
        except ConfigurationError as error:
            self._say_once(f"validation: no distance of reconstructions: {error}")
            return False
        return True

    def _say_once(self, message: str) -> None:
        """What is so at one look is so at all."""
        if message not in self.said:
            self.said.add(message)
            warning(message)

    def _features(self, clips: ClipDataset, key: str, model: CausalAutoencoder) -> Tensor:
        """Of a clip and of its reconstruction: (2, D) float32 on the processor; NaN where one cannot be measured, so
        that the ranks meet all the same."""
        pair = self._reconstructed(clips, key, model)
        try:
            return torch.stack([features_of(self.extractor, one[0]) for one in pair])
        except FeaturesError:
            return torch.full((len(pair), self.extractor.num_features), math.nan)

    def _show(self, folder: Path, size: Size, model: CausalAutoencoder, count: int) -> None:
        """The first videos of a size, or images: each on the left, what the model makes of it on the right."""
        clips = ClipDataset(self.paths.clips, size, "held_out")
        keys = self._first_kind(size)[1][:count]
        shown = [self._pair(clips, key, model) for key in keys]
        for number, pair in enumerate(shown):
            if len(pair) > 1:
                about = {"prompt": f"clip {keys[number]} and its reconstruction"}
                write_sample(folder, f"{size_folder(size)}_{number:02d}", pair, self.params.ingest.fps, about, ["mp4"])
        if shown:
            captions = ["clip and reconstruction"] * len(shown)
            write_bytes(folder / f"{size_folder(size)}_{OVERVIEW}", png_bytes(overview(shown, captions)))

    def _pair(self, clips: ClipDataset, key: str, model: CausalAutoencoder) -> Clip:
        """(T, H, 2 W, 3) uint8."""
        video, made = self._reconstructed(clips, key, model)
        return np.concatenate([to_frames(video[0]), to_frames(made[0])], axis=2)

    def _reconstructed(self, clips: ClipDataset, key: str, model: CausalAutoencoder) -> tuple[Tensor, Tensor]:
        """A clip and what the model makes of it, (1, 3, T, H, W) in [-1, 1] on its device."""
        most, device = self.params.compute.megapixels_at_once, next(model.parameters()).device
        video = clips.frames([key], [0], len(clips.clip(key))).to(device)
        pieces = decode_within(model, encode_within(model, video, most), most)
        return video, torch.cat([piece.float() for piece in pieces], dim=2).clamp(-1.0, 1.0)
