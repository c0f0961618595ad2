"""What a model was trained on, kept with its run: the sources of its clips, and the models that it uses.

Data change after a training. The hashes of its inputs say which data they were, but not what was in them once they are
gone; so each run that trains keeps a table with the SHA-256 of every source and how many clips it gave: about 40 bytes
each.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from walt.core.digests import sha256_file
from walt.core.left_out import is_left_out
from walt.core.own_digest import parquet_writer
from walt.core.paths import ARTIFACTS, Paths
from walt.core.transformers import TRANSFORMERS
from walt.tracking.server import folder_digest

SOURCES_FOLDER = "lineage"
"""Folder of the table among a run's artifacts."""
SOURCES_FILE = "sources.parquet"
SOURCES_TAG = "walt.sources"
"""On a run: the hash of the table."""
USES_TAG = "walt.uses/"
"""Before the name of a model: on a run, the digest of the model's files that it was trained with."""
FROZEN_TAG = "frozen"
"""On a run that publishes a model that was trained elsewhere."""

SCHEMA = pa.schema([
    pa.field("source_sha256", pa.binary(32), nullable=False), pa.field("train", pa.int32(), nullable=False),
    pa.field("held_out", pa.int32(), nullable=False),
])  # fmt: skip
"""Of the table of sources: the hash of a source's bytes, and how many of its clips are in each split."""

_TABLES = {"train-autoencoder": "clips"} | {transformer.stage: "latents" for transformer in TRANSFORMERS}
"""Stage that trains -> the artefact whose ``clips.parquet`` lists its clips."""


def trains(stage: str) -> bool:
    """Whether a stage trains a model."""
    return stage in _TABLES


def keep_sources(root: Path, stage: str) -> Path | None:
    """Write the sources of the clips that a stage trains on to ``work/<stage>/lineage/sources.parquet``.

    Returns:
        The file, whose bytes depend only on the clips; None where the stage does not train, or has no clips.
    """
    table = root / ARTIFACTS[_TABLES[stage]] / "clips.parquet" if trains(stage) else None
    if table is None or not table.is_file():
        return None
    target = Paths(root).work(stage) / SOURCES_FOLDER / SOURCES_FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    counted = count_sources(table)
    with parquet_writer(target, SCHEMA, keep_equal=True, compression="zstd") as writer:
        writer.write_table(counted)
    return target


def count_sources(table: Path) -> pa.Table:
    """The sources of a ``clips.parquet`` by their hash, with the number of their clips (``SCHEMA``)."""
    with pq.ParquetFile(table) as file:
        rows = file.read(["source_sha256", "split"])
    if not len(rows):
        return SCHEMA.empty_table()
    rows = rows.set_column(1, "train", pc.cast(pc.equal(rows["split"], "train"), pa.int32()))
    counts = rows.group_by("source_sha256").aggregate([("train", "sum"), ("train", "count")]).sort_by("source_sha256")
    train = counts["train_sum"].cast(pa.int32())
    held_out = pc.subtract(counts["train_count"].cast(pa.int32()), train)
    return pa.table([_binary(counts["source_sha256"]), train, held_out], schema=SCHEMA)


def _binary(digests: pa.ChunkedArray) -> pa.Array:
    """Hex digests as bytes."""
    data = bytes.fromhex("".join(digests.to_pylist()))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(digests), [None, pa.py_buffer(data)])


def lineage_tags(root: Path, stage: str, sources: Path | None) -> dict[str, str]:
    """For the run of a stage that trains: the digests of its table of sources and of the models that it uses."""
    if not trains(stage):
        return {}
    tags = {} if sources is None else {SOURCES_TAG: sha256_file(sources)}
    for name, artifact in _used_by(stage).items():
        folder = root / ARTIFACTS[artifact]
        if folder.is_dir() and not is_left_out(folder):
            tags[USES_TAG + name] = folder_digest(folder)
    return tags


def _used_by(stage: str) -> dict[str, str]:
    """Models whose output, or weights, a stage that trains begins with: their names in the registry -> artefacts."""
    transformers = {transformer.name: transformer for transformer in TRANSFORMERS}
    own = next((one for one in TRANSFORMERS if one.stage == stage), None)
    if own is None:
        return {}
    used = {"autoencoder": "autoencoder"}
    if own.starts_from is not None:
        used[transformers[own.starts_from].version_name] = own.starts_from
    return used
