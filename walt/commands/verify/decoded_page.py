"""The page of ``walt verify``: what the models are given. Some clips, drawn by a seed, beside their decoded latents.

For each size: first, middle and last frame of the stored clip, the same of its latents, the PSNR between them, and the
captions with the number of tokens that are stored of each. Of each decoded clip it is counted whether it is nearer to
its own clip than to any other on the page: latents under another clip's key would not be.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from walt.autoencoder.io import load_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.autoencoder.streaming import decode_stream
from walt.core.left_out import is_left_out
from walt.core.paths import Paths
from walt.core.storage import write_bytes
from walt.data.captions import Caption, shown_name
from walt.data.clip_pixels import decode_members
from walt.data.clip_table import ClipRow, read_clip_rows
from walt.data.manifest import iterate_columns
from walt.data.shards import INDEX_NAME, ShardReader
from walt.data.text_tables import caption_id, read_captions
from walt.media.images import Clip
from walt.nn.device import select_device
from walt.pages.contact_sheet import first_middle_last, strip_jpeg
from walt.pages.template import data_uri, render
from walt.project.params import Params

TEMPLATE = Path(__file__).with_name("decoded_page.html.jinja")


@dataclass(frozen=True)
class Decoded:
    """A clip at one size, and what its latents give: both (T, H, W, 3)."""

    row: ClipRow
    stored: Clip
    decoded: Clip

    def psnr_to(self, other: Clip) -> float:
        """In dB; infinite where both are equal."""
        error = np.mean(np.square(self.decoded.astype(np.float32) - other.astype(np.float32)))
        return float(10 * np.log10(255**2 / error)) if error else float("inf")


def write_page(paths: Paths, params: Params, target: Path, count: int, seed: int) -> Path:
    """Write the page of at most ``count`` clips. The same project and seed give the same clips.

    Raises:
        StorageError, CorruptArtifactError: as the readers of clips, latents and text.
    """
    rows = read_clip_rows(paths.latents)
    rows = random.Random(seed).sample(rows, min(count, len(rows)))
    device = select_device(params.compute.device)
    model, statistics = load_autoencoder(paths.autoencoder, device, params.encode_video.normalize_latents)
    captions = _captions(paths, rows)
    sizes = []
    for folder in sorted(index.parent for index in paths.latents.glob(f"*/{INDEX_NAME}")):
        found = list(_decoded(paths, folder.name, rows, model, statistics))
        sizes.append({
            "name": folder.name,
            "nearest": sum(is_nearest(one, found) for one in found),
            "clips": [_entry(one, captions[one.row.key]) for one in found],
        })  # fmt: skip
    page = {"name": params.dataset.descriptor, "seed": seed, "count": len(rows), "sizes": sizes}
    write_bytes(target, render(TEMPLATE, page).encode())
    return target


def _decoded(
    paths: Paths, size: str, rows: Sequence[ClipRow], model: CausalAutoencoder, statistics: LatentStatistics
) -> Iterator[Decoded]:
    """The drawn clips that are stored at a size."""
    clips, latents = ShardReader(paths.clips / size), ShardReader(paths.latents / size)
    for row in rows:
        if row.key in latents:
            stored = decode_members(clips[row.key])
            latent = load(latents[row.key]["safetensors"])["latents"]
            yield Decoded(row, stored, _pixels(model, statistics, latent))


def _pixels(model: CausalAutoencoder, statistics: LatentStatistics, latent: Tensor) -> Clip:
    """Latents (c, t, h, w) -> (T, H, W, 3) uint8, a latent frame at a time."""
    device = next(model.parameters()).device
    parts = torch.split(statistics.denormalize(latent[None].float().to(device)), 1, dim=2)
    video = torch.cat([part.float().cpu() for part in decode_stream(model, parts)], dim=2)[0]  # (3, T, H, W)
    pixels: Clip = ((video.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).numpy()
    return pixels


def is_nearest(one: Decoded, others: Sequence[Decoded]) -> bool:
    """Whether no other clip of the same length is nearer to the decoded one than its own."""
    own = one.psnr_to(one.stored)
    return all(one.psnr_to(other.stored) <= own for other in others if other.stored.shape == one.stored.shape)


def _entry(one: Decoded, captions: list[dict[str, str]]) -> dict[str, object]:
    """What the template shows of a clip."""
    psnr = one.psnr_to(one.stored)
    return {
        "key": one.row.key,
        "note": f"{one.row.kind}, {'held out' if one.row.split == 'held_out' else 'training'}",
        "psnr": "equal" if psnr == float("inf") else f"{psnr:.1f} dB",
        "stored": data_uri("image/jpeg", strip_jpeg(first_middle_last(one.stored))),
        "decoded": data_uri("image/jpeg", strip_jpeg(first_middle_last(one.decoded))),
        "small": one.stored.shape[1] < 100,
        "captions": captions,
    }


def _captions(paths: Paths, rows: Sequence[ClipRow]) -> dict[str, list[dict[str, str]]]:
    """Of each clip its captions, each with what is stored of it."""
    wanted: dict[str, list[Caption]] = {row.key: [] for row in rows}
    for key, captions in iterate_columns(paths.manifest, "key", "captions"):
        if key in wanted:
            wanted[key] = list(captions)
    if is_left_out(paths.text_encoder) or not (paths.text / INDEX_NAME).is_file():
        return {key: [_caption(caption, len(own), "not encoded") for caption in own] for key, own in wanted.items()}
    table, reader = read_captions(paths.text), ShardReader(paths.text)

    def stored(key: str, caption: Caption) -> str:
        name = caption_id(caption.text)
        place = int(table.rows([key])[0])
        if place < 0 or name not in table.captions(place):
            return "not the stored one: run encode-text"
        tokens = len(load(reader[name]["safetensors"])["embedding"])
        return f"{tokens} tokens" + (", the most that are kept" if tokens == table.max_tokens else "")

    return {key: [_caption(caption, len(own), stored(key, caption)) for caption in own] for key, own in wanted.items()}


def _caption(caption: Caption, of: int, note: str) -> dict[str, str]:
    """One of a clip's captions; it is named where the clip has several."""
    name = shown_name(caption.name) if caption.name and of > 1 else ""
    return {"name": name, "text": caption.text, "note": note}
