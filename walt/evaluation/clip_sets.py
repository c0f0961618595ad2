"""The two sets of clips that are compared: real ones from the dataset's tars, generated ones from files without loss.

Both are pixels (T, H, W, 3) uint8, read when they are asked for, one at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from walt.core.digests import sha256_json
from walt.core.ranks import ranks
from walt.core.sizes import Size
from walt.data.clip_dataset import ClipDataset
from walt.data.clip_pixels import pixels
from walt.data.clip_table import Split, read_clip_rows
from walt.evaluation.extractors import Extractor, features_of
from walt.evaluation.frechet import Features
from walt.media.images import Clip
from walt.nn.collectives import gather_shares, gather_tensors

_REAL_SPLITS: tuple[Split, ...] = ("held_out", "train")


@dataclass(frozen=True)
class RealClip:
    """A stored clip, which is read when it is called."""

    clips: ClipDataset
    key: str
    num_frames: int

    @property
    def split(self) -> str:
        return self.clips.split

    def __call__(self) -> Clip:
        clip = self.clips.clip(self.key)
        if len(clip) != self.num_frames:
            raise self.clips.corrupt(self.key, f"{len(clip)} frames, expected {self.num_frames}")
        return clip


def real_clips(folder: Path, size: Size, num_frames: int) -> Iterator[RealClip]:
    """The stored videos of that form (images where it has one frame): held-out ones first, then training ones, both in
    the order of the table.

    Args:
        folder: of the clips' tars.
    """
    lengths = {row.key: row.num_frames for row in read_clip_rows(folder)}
    for split in _REAL_SPLITS:
        clips = ClipDataset(folder, size, split, cache_bytes=0)  # each is read once
        keys = clips.video_keys if num_frames > 1 else clips.image_keys
        yield from (RealClip(clips, key, num_frames) for key in keys if lengths[key] == num_frames)


def measure_clips(clips: Sequence[Callable[[], Clip]], extractor: Extractor) -> tuple[Features, str]:
    """The features of each clip, (N, D) float64 in the clips' order, and one digest of all their pixels.

    Of several ranks each reads its share; all get the result. It does not depend on their number, nor on batches.
    """
    found: list[torch.Tensor] = []
    digests: list[str] = []
    for read in ranks().share(clips):
        clip = read()
        found.append(features_of(extractor, pixels([clip])[0]))
        digests.append(hashlib.sha256(f"{clip.shape}".encode() + np.ascontiguousarray(clip).tobytes()).hexdigest())
    features = torch.stack(gather_tensors(found)).double().numpy()
    return features, sha256_json(gather_shares(digests))
