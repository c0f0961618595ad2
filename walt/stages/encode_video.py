"""Clips -> normalised latents, in tars beside the clips: same sizes, same shard numbers, same keys, same order.

Each member ``<key>.safetensors`` holds ``latents`` (c, t, h, w) float16: the mean of the encoder's Gaussian,
normalised by the autoencoder's statistics. An image is a clip of one frame.

A tar is a function of its clip tar, the autoencoder and the stage's settings alone, so one for which these
are unchanged keeps its bytes, and a run that was killed continues after its last finished tar. Of one whose clip tar
got or lost clips, only the new clips pass through the encoder. What each tar was made from is noted in the stage's work
folder; the indexes, then the table of clips, are written last.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from walt.autoencoder.config import latent_shape
from walt.autoencoder.io import load_autoencoder
from walt.autoencoder.model import CausalAutoencoder
from walt.autoencoder.statistics import LatentStatistics
from walt.autoencoder.streaming import clips_at_once, encode_within
from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.core.digests import sha256_json
from walt.core.errors import CorruptArtifactError, RejectLimitError
from walt.core.log import ProgressBar, warning
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.storage import clean_temporary
from walt.data.clip_pixels import decode_members, pixels_channels_last
from walt.data.clip_table import CLIPS_TABLE, ClipRow, read_clip_rows
from walt.data.clip_table_writer import write_clip_rows
from walt.data.shards import (
    INDEX_NAME,
    Sample,
    ShardIndex,
    ShardRecord,
    iterate_shard,
    read_index,
    tar_number,
    write_index,
    write_shard,
)
from walt.data.tar_notes import EarlierSamples, TarNotes
from walt.media.images import Clip
from walt.media.mp4 import LIBRARY_VERSIONS
from walt.nn.collectives import first_goes_ahead, gather_shares
from walt.nn.device import arithmetic, keep_freed_memory, select_device
from walt.nn.pretrained import weights_digest
from walt.project.code_identity import code_digest
from walt.project.encode_video_config import EncodeVideoConfig

STAGE = "encode-video"


class Config(Section):
    """What the registry declares for ``encode-video``."""

    encode_video: EncodeVideoConfig
    compute: ComputeConfig


@dataclass(frozen=True)
class Rejected:
    """A clip whose latents are not finite: it is in no tar."""

    key: str
    cause: str


@dataclass(frozen=True)
class Encoder:
    """A frozen autoencoder, and what identifies it."""

    model: CausalAutoencoder
    statistics: LatentStatistics
    device: str
    config: EncodeVideoConfig
    megapixels: float
    threads: int
    """That decode clips."""
    identity: dict[str, Any]

    def count(self, clip: Clip) -> int:
        """How many clips like this one are encoded at once."""
        return clips_at_once(len(clip), (clip.shape[1], clip.shape[2]), self.megapixels)

    @torch.inference_mode()
    def encode(self, clips: dict[str, Clip]) -> dict[str, Tensor]:
        """Clips (T, H, W, 3) of one shape by key -> as many latents (c, t, h, w) float16, on the CPU."""
        video = pixels_channels_last(list(clips.values())).to(self.device)
        with arithmetic(video.device.type, self.config.precision):
            mean = encode_within(self.model, video, self.megapixels)
        latents = self.statistics.normalize(mean.float()).half().cpu()
        assert latents.shape[1:] == latent_shape(self.model.config, *next(iter(clips.values())).shape[:3]), mean.shape
        return {key: latent.contiguous() for key, latent in zip(clips, latents, strict=True)}


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Bring ``data/latents`` up to date with the clips and the autoencoder.

    Returns:
        Figures; ``rejected`` lists the clips whose latents are not finite.

    Raises:
        StorageError: there are no clips or there is no autoencoder.
        CorruptArtifactError: a clip tar differs from its index, or a clip in it cannot be decoded.
        RejectLimitError: no clip is left.
    """
    encoder = open_encoder(config, paths)
    rows = read_clip_rows(paths.clips)
    sizes = sorted(folder.parent.name for folder in paths.clips.glob(f"*/{INDEX_NAME}"))
    indexes = {size: read_index(paths.clips / size) for size in sizes}
    rejected: dict[str, list[Rejected]] = {}
    finished: dict[str, list[ShardRecord]] = {size: [] for size in sizes}
    reused = encoded = 0
    with first_goes_ahead():
        if ranks().is_first:
            _clean(paths, sizes)
    notes = {size: TarNotes(paths.latents / size, _notes(paths) / size, tar_number) for size in sizes}
    tars = [
        _Tar(paths, size, clips, sha256_json({**encoder.identity, "clips": clips.sha256}), notes[size])
        for size, index in indexes.items()
        for clips in index.records
    ]
    for tar, (record, refused, new) in zip(tars, _made(tars, encoder), strict=True):
        reused += new is None
        encoded += new or 0
        finished[tar.size].append(record)
        rejected.setdefault(tar.size, []).extend(refused)
    lost = {item.key for items in rejected.values() for item in items}
    kept = [row for row in rows if row.key not in lost]
    if not kept:
        raise RejectLimitError(f"{paths.clips}: of {len(rows)} clips none has finite latents")
    if ranks().is_first:
        _publish(paths, encoder, indexes, finished, kept, notes)
    return {
        "clips": len(kept), "sizes": sizes, "tars": sum(map(len, finished.values())), "reused": reused,
        "encoded": encoded,
        "rejected": [{"size": size, **asdict(item)} for size, items in rejected.items() for item in items],
    }  # fmt: skip


def _made(tars: list[_Tar], encoder: Encoder) -> Iterator[tuple[ShardRecord, list[Rejected], int | None]]:
    """Of each tar its record, what was refused, and how many clips were encoded for it; None: it was there already.
    Each rank makes its share of them."""
    own = ranks().share(tars)
    made = []
    with ProgressBar(STAGE, total=sum(tar.clips.count for tar in own), unit="clips") as bar:
        for tar in own:
            note = tar.finished()
            record, refused, new = (*note, None) if note else tar.make(encoder)
            made.append([asdict(record), [asdict(item) for item in refused], new])
            bar.advance(tar.clips.count)
    for record, refused, new in gather_shares(made):
        yield ShardRecord(**record), [Rejected(**item) for item in refused], new


def _publish(
    paths: Paths,
    encoder: Encoder,
    indexes: dict[str, ShardIndex],
    finished: dict[str, list[ShardRecord]],
    kept: list[ClipRow],
    notes: dict[str, TarNotes],
) -> None:
    """Write the indexes and the table of clips, and remove what is not in them."""
    for size, records in finished.items():
        _remove_others(paths, size, records)
        notes[size].keep_only({record.shard for record in records})
        # Without the code: where an edit changed no byte of the tars, what is trained on them stays fresh.
        # With the rows: which clip is held out is part of what the latents are used as.
        content = {key: value for key, value in encoder.identity.items() if key not in ("code", "libraries")}
        content |= {"clips": [r.sha256 for r in indexes[size].records], "rows": [asdict(row) for row in kept]}
        write_index(paths.latents / size, sha256_json(content), records)
    write_clip_rows(paths.latents, kept)


def open_encoder(config: Config, paths: Paths) -> Encoder:
    """Load the autoencoder and gather what identifies the latents it makes."""
    device = select_device(config.compute.device)
    keep_freed_memory(device)
    model, statistics = load_autoencoder(paths.autoencoder, device, config.encode_video.normalize_latents)
    identity = {
        "weights": weights_digest(paths.autoencoder),
        "architecture": model.config.model_dump(mode="json"),
        "statistics": statistics.to_json(),
        "settings": config.encode_video.model_dump(mode="json"),
        "libraries": LIBRARY_VERSIONS,
        "code": code_digest(__name__),
    }
    compute = config.compute
    return Encoder(
        model, statistics, device, config.encode_video, compute.megapixels_at_once, compute.workers, identity
    )


@dataclass(frozen=True)
class _Tar:
    """One tar of latents: where it is, and what it must be made from."""

    paths: Paths
    size: str
    clips: ShardRecord
    identity: str
    notes: TarNotes

    @property
    def name(self) -> str:
        return self.clips.shard.replace("clips-", "latents-")

    def finished(self) -> tuple[ShardRecord, list[Rejected]] | None:
        """What an earlier run made from the same clips with the same encoder; None if it must be made."""
        note = self.notes.finished(self.name, self.identity)
        if note is None:
            return None
        return ShardRecord(**note["record"]), [Rejected(**item) for item in note["rejected"]]

    def make(self, encoder: Encoder) -> tuple[ShardRecord, list[Rejected], int]:
        """Write the tar, and note what it was made from. Also returns how many clips passed through the encoder."""
        same = sha256_json(encoder.identity)
        # that a clip's latents do not depend on the others of its batch is tested for processors only
        earlier = self.notes.earlier(self.name, same if encoder.device == "cpu" else None)
        contents: dict[str, str] = {}
        samples: dict[str, Sample] = {}
        rejected: list[Rejected] = []
        latents = self._encode(encoder, earlier, contents)
        taken = earlier.read([key for key, latent in latents.items() if latent is None])
        for key, latent in latents.items():
            if latent is None:
                samples[key] = taken[key]
            elif latent.isfinite().all():
                samples[key] = {"safetensors": save({"latents": latent})}
            else:
                rejected.append(Rejected(key, "latents that are not finite"))
        for item in rejected:
            warning(f"{STAGE}: {self.size}: clip {item.key} refused: {item.cause}")
        record = write_shard(self.notes.directory / self.name, samples.items())
        stored = {key: contents[key] for key in samples}
        self.notes.write(record, self.identity, same, stored, {"rejected": [asdict(item) for item in rejected]})
        return record, rejected, len(latents) - len(taken)

    def _encode(self, encoder: Encoder, earlier: EarlierSamples, contents: dict[str, str]) -> dict[str, Tensor | None]:
        """The latents of the clips, in their order; None of those that are there from earlier.

        Args:
            contents: gets the digest of each clip's picture file.
        """
        latents: dict[str, Tensor | None] = {}
        waiting: dict[int, dict[str, Clip]] = {}  # videos and images apart: a batch has one shape
        for key, clip in self._decoded(encoder, earlier, contents):
            latents[key] = None  # its place
            if clip is None:
                continue
            batch = waiting.setdefault(len(clip), {})
            batch[key] = clip
            if len(batch) == encoder.count(clip):
                latents |= encoder.encode(waiting.pop(len(clip)))
        for batch in waiting.values():
            latents |= encoder.encode(batch)
        return latents

    def _decoded(
        self, encoder: Encoder, earlier: EarlierSamples, contents: dict[str, str]
    ) -> Iterator[tuple[str, Clip | None]]:
        """The clips in the tar's order; None for one that need not be encoded. Threads decode a batch of them ahead,
        while the one before is encoded."""
        ahead: deque[tuple[str, Future[Clip] | None]] = deque()
        most = 2 * encoder.threads
        with ThreadPoolExecutor(encoder.threads) as pool:
            for key, members in iterate_shard(self.paths.clips / self.size, self.clips):
                contents[key] = _content(members)
                known = earlier.has(key, contents[key])
                ahead.append((key, None if known else pool.submit(decode_members, members)))
                if len(ahead) > most:
                    clip = self._clip(*ahead[0])
                    yield ahead.popleft()[0], clip
                    if clip is not None:
                        most = max(2 * encoder.threads, encoder.count(clip))
            while ahead:
                yield ahead[0][0], self._clip(*ahead.popleft())

    def _clip(self, key: str, decoding: Future[Clip] | None) -> Clip | None:
        try:
            return None if decoding is None else decoding.result()
        except ValueError as error:
            path = self.paths.clips / self.size / self.clips.shard
            raise CorruptArtifactError(f"{path}: key '{key}': {error}") from error


def _content(members: Sample) -> str:
    """Digest of what a clip's latents are made from."""
    return sha256_json({kind: hashlib.sha256(data).hexdigest() for kind, data in members.items() if kind != "json"})


def _notes(paths: Paths) -> Path:
    """The folder of the notes: a separate one, since the lock and the last result are in the work folder as well."""
    return paths.work(STAGE) / "tars"


def _clean(paths: Paths, sizes: list[str]) -> None:
    """Remove what a killed run left behind, and sizes that no longer exist."""
    for root in (paths.latents, _notes(paths)):
        for size in sizes:
            (root / size).mkdir(parents=True, exist_ok=True)
            clean_temporary(root / size)
        clean_temporary(root)
        for other in root.iterdir():
            if other.is_dir() and other.name not in sizes:
                shutil.rmtree(other)
            elif other.is_file() and other.name != CLIPS_TABLE:
                other.unlink()


def _remove_others(paths: Paths, size: str, records: list[ShardRecord]) -> None:
    """Remove tars of clips that are no longer there."""
    names = {record.shard for record in records}
    for file in (paths.latents / size).iterdir():
        if file.name not in names and file.name != INDEX_NAME:
            file.unlink()
