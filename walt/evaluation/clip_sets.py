"""The two sets of clips that are compared: real ones from the dataset's tars, generated ones from files without loss.

Both are pixels (T, H, W, 3) uint8, read when they are asked for, one at a time, and kept as far as there is room.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from walt.core.digests import sha256_json
from walt.core.ranks import ranks
from walt.core.sizes import Size
from walt.data.clip_dataset import ClipDataset, MemoryCache
from walt.data.clip_pixels import pixels
from walt.data.clip_table import Split, read_clip_rows
from walt.evaluation.extractors import Classifier, Extractor, classes_of, features_of
from walt.evaluation.feature_cache import FeatureCache, Measured
from walt.evaluation.frechet import Features
from walt.media.images import Clip
from walt.media.mp4 import decode_clip
from walt.nn.collectives import gather_shares, gather_tensors

_REAL_SPLITS: tuple[Split, ...] = ("held_out", "train")
KEPT_BYTES = 1 << 28
"""Of decoded clips, of each split and of the samples, that are kept: each network sees them. The demo's take 70 MB."""


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

    def content(self) -> str:
        """Hex SHA-256 of the clip as it is stored, which is read but not decoded."""
        members = self.clips.reader[self.key]
        return sha256_json({name: hashlib.sha256(members[name]).hexdigest() for name in sorted(members)})


def real_clips(
    folder: Path,
    size: Size,
    num_frames: int,
    splits: Sequence[Split] = _REAL_SPLITS,
    order: Callable[[Sequence[str]], Sequence[str]] = tuple,
) -> Iterator[RealClip]:
    """The stored videos of that form (images where it has one frame), one split after the other.

    Args:
        folder: of the clips' tars.
        splits: those that are wanted, in their order.
        order: that of a split's keys, given them in the order of the table.
    """
    lengths = {row.key: row.num_frames for row in read_clip_rows(folder)}
    for split in splits:
        clips = ClipDataset(folder, size, split, cache_bytes=KEPT_BYTES)
        keys = clips.video_keys if num_frames > 1 else clips.image_keys
        for key in order([key for key in keys if lengths[key] == num_frames]):
            yield RealClip(clips, key, num_frames)


def kept_videos() -> Callable[[Path], Clip]:
    """What reads a generated video without loss, (T, H, W, 3) uint8, and keeps it, as far as there is room. Callers
    must not modify it."""
    kept = MemoryCache(lambda file: decode_clip(Path(file).read_bytes()), lambda clip: clip.nbytes, KEPT_BYTES)
    return lambda file: kept[str(file)]


def measure_clips(
    clips: Sequence[Callable[[], Clip]], extractor: Extractor, given_frames: int = 0
) -> tuple[Features, str]:
    """The features of each clip, (N, D) float64 in the clips' order, and one digest of all their pixels.

    Of several ranks each reads its share; all get the result. It does not depend on their number, nor on batches.

    Args:
        given_frames: so many first frames are not seen by the extractor.
    """
    return _together(_measured(clips, partial(features_of, extractor), given_frames))


def classify_clips(clips: Sequence[Callable[[], Clip]], extractor: Classifier, given_frames: int = 0) -> Features:
    """As ``measure_clips``, the logits of the network's classes, (N, C) float64."""
    return _together(_measured(clips, partial(classes_of, extractor), given_frames))[0]


def measure_stored_clips(
    clips: Sequence[RealClip], extractor: Extractor, cache: FeatureCache, given_frames: int = 0
) -> tuple[Features, str]:
    """As ``measure_clips``, to the bit, of stored clips: those that the cache has are neither decoded nor seen by the
    extractor again. Afterwards it has all of these clips, and no others.
    """
    contents = gather_shares([clip.content() for clip in ranks().share(clips)])
    known = cache.read()
    missing = [clip for clip, content in zip(clips, contents, strict=True) if content not in known]
    measured = iter(_measured(missing, partial(features_of, extractor), given_frames))
    found = [known[content] if content in known else next(measured) for content in contents]
    if missing and ranks().is_first:
        cache.write(dict(zip(contents, found, strict=True)))
    return _together(found)


def _measured(
    clips: Sequence[Callable[[], Clip]], see: Callable[[torch.Tensor], torch.Tensor], given_frames: int
) -> list[Measured]:
    """(features (D,) float32, digest of the whole clip's pixels) of each."""
    features: list[torch.Tensor] = []
    digests: list[str] = []
    for read in ranks().share(clips):
        clip = read()
        features.append(see(pixels([clip[given_frames:]])[0]))
        digests.append(hashlib.sha256(f"{clip.shape}".encode() + np.ascontiguousarray(clip).tobytes()).hexdigest())
    return list(zip(gather_tensors(features), gather_shares(digests), strict=True))


def _together(measured: Sequence[Measured]) -> tuple[Features, str]:
    features = torch.stack([of_clip for of_clip, _ in measured]).double().numpy()
    return features, sha256_json([digest for _, digest in measured])
