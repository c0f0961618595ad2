"""Latents and text embeddings made by hand, and the batches that transformers are trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors.torch import save

from tests.support.text_folder import write_text
from tests.support.tiny_clips import clip_row
from tests.support.tiny_models import BASE, DIFFUSION, SUPER_RESOLUTION
from walt.core.sizes import size_folder
from walt.data.caption_choice import CaptionChoice
from walt.data.captions import Caption
from walt.data.clip_table import ClipRow
from walt.data.clip_table_writer import write_clip_rows
from walt.data.conditions import open_conditions
from walt.data.latent_dataset import LatentDataset
from walt.data.shards import shard_name, write_index, write_shard
from walt.diffusion.schedule import Schedule
from walt.training.diffusion_objective import BatchMaker, DiffusionBatch
from walt.transformer.config import TransformerConfig

ROWS = tuple(clip_row(f"v{i}", "video", "train", 0) for i in range(6)) + tuple(
    clip_row(f"i{i}", "image", "train", 0) for i in range(5)
)


Names = Mapping[str, Sequence[str]]
"""Of a clip's captions, by key; clips that are not in it have one caption, without a name."""


def write_latents(root: Path, rows: tuple[ClipRow, ...] = ROWS, names: Names = MappingProxyType({})) -> None:
    """Latents of two sizes and text, every value telling whose it is: that of caption k of clip n is n + k / 8."""
    for size in (BASE.resolution, SUPER_RESOLUTION.resolution):
        side = size[0] // 8
        samples = [
            (row.key, {"safetensors": save({"latents": torch.full(_shape(row, side), float(number)).half()})})
            for number, row in enumerate(rows)
        ]
        folder = root / "latents" / size_folder(size)
        write_index(folder, "x", [write_shard(folder / shard_name("latents", 0), samples)])
    write_clip_rows(root / "latents", rows)
    clips, embeddings = dict[str, list[Caption]](), dict[str, torch.Tensor]()
    for number, row in enumerate(rows):
        own = names.get(row.key, ("",))
        clips[row.key] = [Caption(name, f"{row.key} {place}") for place, name in enumerate(own)]
        embeddings |= {caption.text: _text(number + place / 8) for place, caption in enumerate(clips[row.key])}
    write_text(root / "text", clips, embeddings, _text(-1), 8)


def _shape(row: ClipRow, side: int) -> tuple[int, int, int, int]:
    return 4, (2 if row.kind == "video" else 1), side, side


def _text(value: float) -> torch.Tensor:
    return torch.full((8, 16), float(value))


def batch_maker(
    root: Path,
    config: TransformerConfig,
    dropout: float = 0.0,
    known: float = 0.0,
    names: Names = MappingProxyType({}),
    weights: Mapping[str, float] = MappingProxyType({}),
    write: bool = True,
) -> BatchMaker:
    """Batches for a transformer of ``config`` from latents that are written under ``root``, or lie there already.

    ``dropout`` and ``known`` are the probabilities that a condition is dropped and that first frames are known;
    ``names`` and ``weights`` are of captions.
    """
    if write:
        write_latents(root, names=names)
    low = LatentDataset(root / "latents", BASE.resolution, "train") if config.super_resolution else None
    return BatchMaker(
        config, Schedule.from_config(DIFFUSION), LatentDataset(root / "latents", config.resolution, "train"), low,
        open_conditions(root / "text", config.conditioning, config.num_classes, CaptionChoice(weights=weights)),
        dropout, known, seed=0,
    )  # fmt: skip


def same_batches(a: DiffusionBatch, b: DiffusionBatch) -> bool:
    """Whether all tensors and all else in them are equal."""
    pairs = [(getattr(a, field.name), getattr(b, field.name)) for field in fields(a)]
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)
