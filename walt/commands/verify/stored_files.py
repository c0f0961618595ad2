"""Checks of what a stage made, file by file: digests, and whether each latent and each embedding can be what it says.

Every check reads the bytes. What readers remember of files that they have hashed before does not count here.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from walt.autoencoder.config import AutoencoderConfig, latent_shape
from walt.autoencoder.io import read_statistics
from walt.core.errors import CorruptArtifactError, WaltError
from walt.core.left_out import is_left_out
from walt.core.paths import Paths
from walt.core.storage import verify_file
from walt.core.transformers import TRANSFORMERS
from walt.data.clip_table import CLIPS_TABLE, read_clip_rows, stored_in
from walt.data.key_index import text_of
from walt.data.manifest import iterate_columns, read_clip_rejects, read_rejects
from walt.data.members import Members
from walt.data.partitions import read_parts
from walt.data.shards import INDEX_NAME, NULL_KEY, ShardRecord, read_index
from walt.data.text_tables import CAPTIONS_TABLE, LABELS_TABLE, read_captions, read_labels
from walt.nn.pretrained import check_weights, load_config
from walt.text.encoder import load_text_encoder
from walt.training import checkpoint
from walt.training.set_aside import FOLDER, checkpoints
from walt.transformer.config import TransformerConfig

Report = Callable[[str, int], None]
"""Called for each file that was read, with its name and its bytes."""
Problems = Iterator[WaltError]
_SAMPLE = {"mp4", "png", "json", "safetensors"}


def ingest(paths: Paths, report: Report) -> Problems:
    """Clips, manifest and tables."""
    for folder in _folders(paths.clips):
        yield from _tars(folder, report)
    yield from _caught(lambda: read_clip_rows(paths.clips))
    yield from _caught(lambda: _read_all(paths.manifest, report))
    yield from _caught(lambda: read_rejects(paths.rejects))
    yield from _caught(lambda: read_clip_rejects(paths.clip_rejects))


def encode_video(paths: Paths, report: Report) -> Problems:
    """Latents: of each clip of the table one, of the shape that the autoencoder gives its clip, and finite."""
    try:
        rows = {row.key: row for row in read_clip_rows(paths.latents)}
        config = load_config(paths.autoencoder, AutoencoderConfig)
    except WaltError as error:
        yield error
        return
    for folder in _folders(paths.latents):
        size = tuple(map(int, folder.name.split("x")))
        left = {key for key, row in rows.items() if stored_in(row.sizes, (size[0], size[1]))}

        def problem(key: str, tensors: dict[str, Tensor], size: tuple[int, ...] = size, left: set[str] = left) -> str:
            if key not in left:
                return f"is not a clip of {CLIPS_TABLE}, or is there twice"
            left.remove(key)
            shape = latent_shape(config, rows[key].num_frames, *size)
            return _wrong(tensors, "latents", lambda found: tuple(found.shape) == shape, f"shape {shape}")

        wrong = list(_tars(folder, report, problem))
        yield from wrong
        if left and not wrong:
            yield CorruptArtifactError(f"{folder / INDEX_NAME}: no tar has the latents of clip '{min(left)}'")


def encode_text(paths: Paths, report: Report) -> Problems:
    """Embeddings, each caption's there, finite and of one width; the tables of classes and members; the encoder."""
    yield from _caught(lambda: Members(paths.text))
    if is_left_out(paths.text_encoder):
        yield from _caught(lambda: read_labels(paths.text)) if (paths.text / LABELS_TABLE).is_file() else ()
        return
    try:
        table = read_captions(paths.text)
        encoder = load_text_encoder(paths.text_encoder, "cpu", paths.root)
    except WaltError as error:
        yield error
        return
    missing = {text_of(*halves) for halves in np.unique(table.ids, axis=0).tolist()} | {NULL_KEY}

    def problem(key: str, tensors: dict[str, Tensor]) -> str:
        missing.discard(key)
        most, width = table.max_tokens, encoder.width
        return _wrong(
            tensors, "embedding", lambda found: found.ndim == 2 and 0 < len(found) <= most and found.shape[1] == width,
            f"1 to {most} tokens of width {width}",
        )  # fmt: skip

    wrong = list(_tars(paths.text, report, problem))
    yield from wrong
    if missing and not wrong:
        yield CorruptArtifactError(f"{paths.text / CAPTIONS_TABLE}: no tar has the caption '{min(missing)}'")
    yield from _caught(lambda: read_labels(paths.text))


def model(folder: Path, report: Report) -> Problems:
    """A model's folder: its configuration, weights and statistics."""
    if is_left_out(folder):
        return
    is_transformer = folder.name in {Path(transformer.folder).name for transformer in TRANSFORMERS}
    yield from _caught(lambda: load_config(folder, TransformerConfig if is_transformer else AutoencoderConfig))
    yield from _caught(lambda: check_weights(folder))
    if not is_transformer:
        yield from _caught(lambda: read_statistics(folder))
    report(str(folder), sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


def checkpoints_of(work: Path, report: Report) -> Problems:
    """A training's checkpoints, also those that were set aside; damaged ones that a run has set aside itself are not
    looked at."""
    aside = sorted((work / FOLDER).iterdir()) if (work / FOLDER).is_dir() else []
    for folder in [*checkpoints(work), *(found for run in aside for found in checkpoints(run))]:
        yield from _caught(partial(checkpoint.check, folder))
        report(str(folder), sum(file.stat().st_size for file in folder.iterdir()))


def _folders(root: Path) -> list[Path]:
    """Of the sizes, by their indexes."""
    return sorted(index.parent for index in root.glob(f"*/{INDEX_NAME}"))


def _read_all(manifest: Path, report: Report) -> None:
    for part in read_parts(manifest):
        verify_file(manifest / part.part, part.bytes, part.sha256)
        report(part.part, part.bytes)
    for _ in iterate_columns(manifest, "key", "captions"):
        pass


def _caught(check: Callable[[], object]) -> Problems:
    try:
        check()
    except WaltError as error:
        yield error


def _tars(folder: Path, report: Report, problem: Callable[[str, dict[str, Tensor]], str] | None = None) -> Problems:
    """What is wrong with the tars that an index names.

    Args:
        problem: says of a key and its tensors what is wrong with them; nothing: they are right. None: the samples are
            not tensors, and only counted.
    """
    try:
        index = read_index(folder)
    except WaltError as error:
        yield error
        return
    for record in index.records:
        path = folder / record.shard
        try:
            verify_file(path, record.bytes, record.sha256)
            _check_samples(path, record, problem)
        except CorruptArtifactError as error:
            yield error
        report(str(path), record.bytes)


def _check_samples(path: Path, record: ShardRecord, problem: Callable[[str, dict[str, Tensor]], str] | None) -> None:
    """Raise CorruptArtifactError for the first sample of a tar that is wrong, or where there are more or fewer."""
    keys = set[str]()
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                key, _, extension = member.name.partition(".")
                stream = archive.extractfile(member) if extension in _SAMPLE else None
                if stream is None:
                    raise CorruptArtifactError(f"{path}: refused member {member.name!r}")
                keys.add(key)
                if problem is None:
                    continue
                try:
                    wrong = problem(key, load(stream.read()))
                except SafetensorError as error:
                    wrong = str(error)
                if wrong:
                    raise CorruptArtifactError(f"{path}: key '{key}': {wrong}")
    except tarfile.TarError as error:
        raise CorruptArtifactError(f"{path}: {error}") from error
    if len(keys) != record.count:
        raise CorruptArtifactError(f"{path}: {len(keys)} samples, but the index says {record.count}")


def _wrong(tensors: dict[str, Tensor], name: str, has_shape: Callable[[Tensor], bool], expected: str) -> str:
    """What is wrong with a stored tensor; nothing: it is right."""
    if tensors.keys() != {name}:
        return f"tensors {sorted(tensors)}, expected {name}"
    found = tensors[name]
    if found.dtype != torch.float16:
        return f"{name} of {found.dtype}, not of float16"
    if not has_shape(found):
        return f"{name} of shape {tuple(found.shape)}, not of {expected}"
    return "" if bool(found.isfinite().all()) else f"{name} with values that are not finite"
