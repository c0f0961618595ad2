"""Looking at an autoencoder while it is trained: its PSNR on held-out clips, and these clips beside what it makes of
them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.streaming import decode_within, encode_within
from walt.core.log import warning
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.sizes import Size, size_folder
from walt.core.storage import write_bytes
from walt.data.clip_dataset import ClipDataset
from walt.media.images import Clip, png_bytes
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

    @classmethod
    def make(cls, params: Params, paths: Paths, log: Log, measure: Measure | None) -> Validation:
        """As ``walt.training.validation.Validator``; ``measure`` gives the PSNR."""
        assert measure is not None
        assert params.train_autoencoder.validation is not None
        return Validation(params.train_autoencoder.validation.every, cls(params, paths, log, measure).look)

    def look(self, step: int, model: nn.Module) -> None:
        """Measure the PSNR, on all ranks; keep pictures, on the first. Where each holds a share of the model, all
        reconstruct what is in the pictures."""
        assert isinstance(model, CausalAutoencoder)
        settings = self.params.train_autoencoder.validation
        assert settings is not None
        figures = self.measure(model)
        if not figures:
            warning("validation: nothing is held out, so nothing is measured while training")
            return
        self.log.log_metrics({f"validation/{name}": value for name, value in figures.items()}, step)
        sharded = any(is_sharded(parameter) for parameter in model.parameters())
        if not (settings.samples and (ranks().is_first or sharded)):
            return
        with tempfile.TemporaryDirectory() as scratch:
            for size in trained_sizes(self.params.train_autoencoder):
                self._show(Path(scratch), size, model, settings.samples)
            if not ranks().is_first:
                return
            self.log.log_artifact(Path(scratch), step_folder(step))
            for picture in sorted(Path(scratch).glob(f"*{OVERVIEW}")):
                self.log.log_picture(picture, f"{FOLDER}/{picture.stem}", step)

    def _show(self, folder: Path, size: Size, model: CausalAutoencoder, count: int) -> None:
        """The first held-out videos of a size, or images: each on the left, what the model makes of it on the right."""
        clips = ClipDataset(self.paths.clips, size, "held_out")
        keys = list(islice(clips.video_keys or clips.image_keys, count))
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
        most, device = self.params.compute.megapixels_at_once, next(model.parameters()).device
        video = clips.frames([key], [0], len(clips.clip(key))).to(device)
        pieces = decode_within(model, encode_within(model, video, most), most)
        made = torch.cat([piece.float() for piece in pieces], dim=2)
        return np.concatenate([to_frames(video[0]), to_frames(made[0])], axis=2)
