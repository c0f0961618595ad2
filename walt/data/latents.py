"""Stored latents and their text for a training loop of your own, outside of this project's stages.

    from walt.data import latents
    batches = latents.LatentBatches("my-project", size=(128, 128), batch_size=64)
    for batch in batches: ...

The folder is that of a project in which ``walt encode-video`` (and, for text, ``walt encode-text``) ran, or a copy of
its ``data/latents`` and ``data/text``. A batch is a function of (seed, step): the order is the one in which this
project's own training with this seed takes its videos, and ``state_dict`` is one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch.utils.data import IterableDataset, get_worker_info

from walt.core.paths import Paths
from walt.core.sizes import Size, size_folder
from walt.data.caption_choice import CaptionChoice
from walt.data.clip_table import Split
from walt.data.epoch_order import hash_integer, sample_draws
from walt.data.key_index import FrozenKeys
from walt.data.latent_dataset import LatentDataset
from walt.data.members import Members
from walt.data.mixture import BLOCK, Mixture, Turns, drawn_keys, mixtures
from walt.data.prefetch import PrefetchedSteps
from walt.data.text_dataset import TextDataset

_STREAMS = {"video": "videos", "image": "images"}
"""What training calls the order of each kind."""


class LatentBatches(IterableDataset[dict[str, Any]]):
    """Batches of latents and the embeddings of their captions, without end unless ``steps`` is given.

    A batch of B clips has ``keys`` (list of str), ``latents`` (B, c, t, h, w) and, with text, ``text`` (B, L, D), zero
    where padded, and ``text_mask`` (B, L) bool. Latents are normalised: mean 0, standard deviation 1 a channel over
    the training set. They are read ahead by a thread, so a ``DataLoader`` around it takes ``batch_size=None`` and no
    workers; it needs none.

    Args:
        root: of the project. Or ``s3://bucket/prefix``, a copy of its ``data`` folder, whose tars stay there and
            are read by ranges (``walt.data.remote_tars``).
        size: (height, width) of the clips in pixels. Or several of them: each batch then has one, the same for all
            ranks; a size's share of the steps is that of its clips, each of which comes once an epoch of its size.
        batch_size: clips of a step, over all ranks.
        kind: videos, or images (t = 1).
        text: whether captions' embeddings are read; None: where there are any.
        caption_weights: of a clip's captions, by name; one that is not named has weight 1. One is drawn for each step.
        member_weights: how often clips of each member of a union are drawn, by name; None: all clips equally often.
        dtype: of latents and embeddings; None: as stored, float16.
        rank: of this process, and ``world_size``: how many there are. Each rank reads its share of a batch only:
            every ``world_size``-th clip. None: as torch.distributed says, where it runs.
        steps: after which the iteration ends, counted from step 0.
        prefetch: batches that are read ahead; 0: none, and no thread.
        pinned: tensors are in memory from which a GPU copies without a detour (``non_blocking=True``).

    Raises:
        StorageError: there are no latents, or no text where it is asked for.
        CorruptArtifactError: a tar or a table is damaged; also while reading.
        ConfigurationError: the weights are not those of the members, or the data have none.
        ValueError: there is no such clip, or a number is out of range.
    """

    def __init__(
        self,
        root: str | Path,
        size: Size | Sequence[Size],
        batch_size: int,
        *,
        split: Split = "train",
        kind: Literal["video", "image"] = "video",
        text: bool | None = None,
        caption_weights: Mapping[str, float] | None = None,
        member_weights: Mapping[str, float] | None = None,
        seed: int = 0,
        dtype: torch.dtype | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        steps: int | None = None,
        prefetch: int = 2,
        pinned: bool = False,
    ) -> None:
        super().__init__()
        paths = Paths(_folder(root))
        self.rank, self.world_size = _ranks(rank, world_size)
        if not 0 <= self.rank < self.world_size <= batch_size:
            raise ValueError(f"rank {self.rank} of {self.world_size} with a batch of {batch_size}")
        self.batch_size, self.seed, self.dtype, self.steps, self.prefetch = batch_size, seed, dtype, steps, prefetch
        self.step = 0
        self._stream = hash_integer(_STREAMS[kind], seed)
        self._shapes: dict[str, _Shape] = {}
        for one in _sizes(size):
            latents = LatentDataset(paths.latents, one, split, pinned)
            keys = latents.video_keys if kind == "video" else latents.image_keys
            if not keys:
                raise ValueError(f"{latents.reader.directory}: no {kind} in the split {split}")
            pool: FrozenKeys | Mixture = keys
            if member_weights is not None:
                pool = mixtures(Members(paths.text), member_weights, {kind: keys}, "member_weights")[kind]
            self._shapes[size_folder(one)] = _Shape(latents, keys, pool)
        self._turns = _turns({name: len(shape.keys) for name, shape in self._shapes.items()})
        wanted = paths.text.is_dir() if text is None else text
        self._text = TextDataset(paths.text, pinned) if wanted else None
        self._choice = CaptionChoice(weights=caption_weights or {})

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The batches from ``step`` on, which counts those that were handed out."""
        if get_worker_info() is not None:
            raise RuntimeError("LatentBatches reads ahead by itself: give DataLoader num_workers=0")
        stop = 1 << 62 if self.steps is None else self.steps
        with PrefetchedSteps(self.batch, stop, self.prefetch) as batches:
            while self.step < stop:
                batch = batches(self.step)
                self.step += 1
                yield batch

    def batch(self, step: int) -> dict[str, Any]:
        """This rank's share of the batch of a step, whichever step the iteration is at."""
        places = range(self.rank, self.batch_size, self.world_size)
        shape, every = self._drawn(step)
        keys = [every[place] for place in places]
        found: dict[str, Any] = {"keys": keys, "latents": shape.latents.latents(keys, self.dtype)}
        if self._text is not None:
            named = [f"{key}:{place}" for key, place in zip(keys, places, strict=True)]
            draws = zip(self._text.names_of(keys), sample_draws(self.seed, step, named, "caption"), strict=True)
            chosen = [self._choice.place(names, draw) for names, draw in draws]
            dtype = self.dtype or torch.float16
            found["text"], found["text_mask"] = self._text.embeddings(keys, chosen, dtype)
        return found

    def _drawn(self, step: int) -> tuple[_Shape, tuple[str, ...]]:
        """The shape of a step, and the keys of its whole batch."""
        if len(self._shapes) == 1:
            (shape,) = self._shapes.values()
            return shape, drawn_keys(self._stream, step, self.batch_size, shape.pool)
        (turn,), (before,) = self._turns.at(hash_integer("shape", self._stream), step, step + 1)
        name = self._turns.names[turn]
        shape = self._shapes[name]
        return shape, drawn_keys(hash_integer(name, self._stream), int(before), self.batch_size, shape.pool)

    def state_dict(self) -> dict[str, int]:
        """Where the iteration is: after the batch that was handed out last."""
        return {"step": self.step}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from there at the next ``iter``, whatever ``world_size`` was and is."""
        self.step = int(state["step"])


def _folder(root: str | Path) -> Path:
    """The project's folder on this machine."""
    if isinstance(root, str) and root.startswith("s3://"):
        from walt.data.attached import attached  # fsspec is only for remote files

        return attached(root)
    return Path(root)


@dataclass(frozen=True)
class _Shape:
    """The clips of one size."""

    latents: LatentDataset
    keys: FrozenKeys
    pool: FrozenKeys | Mixture
    """What is drawn from."""


def _sizes(size: Size | Sequence[Size]) -> list[Size]:
    """One size, or several. Raises ValueError: none, or one of them twice."""
    if isinstance(size[0] if size else None, int):
        height, width = cast(Size, size)
        return [(height, width)]
    sizes = list(cast(Sequence[Size], size))
    if not sizes or len(set(map(size_folder, sizes))) < len(sizes):
        raise ValueError(f"size: {sizes}: one size, or several that differ")
    return sizes


def _turns(counts: Mapping[str, int]) -> Turns:
    """Which shape a step has, by how many clips each has; one with very few has a turn in each block nevertheless."""
    weights = {name: max(count, sum(counts.values()) / BLOCK) for name, count in sorted(counts.items())}
    return Turns({name: weight / sum(weights.values()) for name, weight in weights.items()})


def _ranks(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """This process's rank, and how many there are."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if rank is None:
        rank = torch.distributed.get_rank() if distributed else 0
    if world_size is None:
        world_size = torch.distributed.get_world_size() if distributed else 1
    return rank, world_size
