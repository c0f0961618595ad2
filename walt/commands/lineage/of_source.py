"""All that holds a source: its clips, tars, latents and text, checkpoints, model versions, samples, and copies.

Everything is found by digests and keys: in the tables, the indexes and MLflow. Nothing is decoded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from walt.core.own_digest import check_parquet
from walt.core.paths import ARTIFACTS, Paths
from walt.core.storage import read_json
from walt.core.transformers import TRANSFORMERS
from walt.data.clip_table import CLIPS_TABLE
from walt.data.manifest import MANIFEST_SCHEMA, has_manifest, manifest_parts
from walt.data.partitions import read_part, read_parts
from walt.data.shards import INDEX_NAME, read_index, shard_name
from walt.data.text_tables import CAPTIONS_TABLE, ID_DIGITS, caption_id
from walt.data.written_captions import ABOUT, WrittenCaptions, WrittenRow
from walt.sampling.samples import SAMPLES

_COLUMNS = (
    "key", "kind", "split", "source", "source_sha256", "start_seconds", "end_seconds", "captions", "shard", "sha256",
    "sizes",
)  # fmt: skip
CLIP_TRAINERS = ("train-autoencoder",)
LATENT_TRAINERS = tuple(transformer.stage for transformer in TRANSFORMERS)


@dataclass(frozen=True)
class HeldClip:
    """A clip of the source."""

    key: str
    kind: str
    split: str
    source: str
    source_sha256: str
    start_seconds: float
    end_seconds: float
    captions: tuple[str, ...]
    shard: int
    sha256: str
    """Of its picture file in the largest size."""
    phash: str | None


@dataclass(frozen=True)
class HeldText:
    """A caption of the source's clips."""

    id: str
    text: str
    tar: str | None
    """The tar with its embedding; None: it is not encoded."""
    shared: bool
    """Whether clips of other sources have it, too: then it stays if the source goes."""


@dataclass(frozen=True)
class Holdings:
    """Where a source is. Paths are relative to the project's root."""

    sources: tuple[str, ...]
    """SHA-256."""
    names: tuple[str, ...]
    """Under which the dataset lists it."""
    refused: tuple[str, ...]
    """Codes with which it, or a copy, was refused."""
    clips: tuple[HeldClip, ...] = ()
    refused_clips: tuple[str, ...] = ()
    """Keys of its clips that were refused: they are in ``clip_rejects.parquet`` and the clip cache."""
    parts: tuple[str, ...] = ()
    """Of the manifest."""
    tars: tuple[str, ...] = ()
    latents: tuple[str, ...] = ()
    texts: tuple[HeldText, ...] = ()
    cached: tuple[str, ...] = ()
    """Files of the cache of cut clips."""
    checkpoints: tuple[str, ...] = ()
    """Of trainings whose data hold it."""
    samples: tuple[str, ...] = ()
    """Files that were sampled with one of its captions, or go on from one of its clips."""
    versions: dict[str, str] = field(default_factory=dict)
    """Model version -> how it was trained on it; see ``walt.tracking.lineage``."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Of all its clips, those refused included."""
        return (*(clip.key for clip in self.clips), *self.refused_clips)


def find(paths: Paths, sources: Collection[str]) -> Holdings:
    """Where these sources (hex SHA-256) are in the project's files; model versions are MLflow's to say.

    In memory are the rows of these sources, and one row group of a table at a time.

    Raises:
        CorruptArtifactError: a table differs from its digest.
    """
    wanted = pa.array(sorted(sources), pa.string())
    clips, parts = _clips(paths, wanted)
    refused = _rows(paths.rejects, "sha256", wanted, ("source", "code"))
    refused_clips = _rows(paths.clip_rejects, "source_sha256", wanted, ("key",))
    shards = sorted({clip.shard for clip in clips})
    in_latents = _rows(paths.latents / CLIPS_TABLE, "source_sha256", wanted, ("shard",))
    latents = _tars(paths, "latents", sorted({row["shard"] for row in in_latents}))
    texts = _texts(paths, clips)
    names = dict.fromkeys([clip.source for clip in clips] + [row["source"] for row in refused])
    trainers = (CLIP_TRAINERS if clips else ()) + (LATENT_TRAINERS if in_latents else ())
    return Holdings(
        sources=tuple(sorted(sources)),
        names=tuple(names),
        refused=tuple(sorted({row["code"] for row in refused})),
        clips=tuple(clips),
        refused_clips=tuple(row["key"] for row in refused_clips),
        parts=tuple(parts),
        tars=tuple(_tars(paths, "clips", shards)),
        latents=tuple(latents),
        texts=tuple(texts),
        cached=tuple(_cached(paths, sources)),
        checkpoints=tuple(name for stage in trainers for name in _checkpoints(paths, stage)),
        samples=tuple(_samples(paths, frozenset(text.text for text in texts))),
    )


def _clips(paths: Paths, wanted: pa.Array) -> tuple[list[HeldClip], list[str]]:
    """The sources' clips, and the parts of the manifest that have them."""
    clips, names = list[HeldClip](), list[str]()
    if not has_manifest(paths.manifest):
        return clips, names
    captions = WrittenCaptions(paths.manifest)
    for part in read_parts(paths.manifest):
        rows: list[dict[str, Any]] = []
        columns = _with_hash(paths, part.part)
        for table in read_part(paths.manifest, part, MANIFEST_SCHEMA, columns, measures=True):
            rows += table.filter(pc.is_in(table["source_sha256"], wanted)).to_pylist()
        if rows:
            written = captions.of(part.part)
            clips += [_clip(row, written.get(row["key"])) for row in rows]
            names.append(f"{ARTIFACTS['manifest']}/{part.part}")
    return clips, names


def _with_hash(paths: Paths, part: str) -> tuple[str, ...]:
    """The columns to read: manifests of hand-made projects have no measures."""
    with pq.ParquetFile(paths.manifest / part) as file:
        return (*_COLUMNS, *(["phash"] if "phash" in file.schema_arrow.names else []))


def _clip(row: dict[str, Any], written: WrittenRow | None) -> HeldClip:
    """A clip with all its captions, those that ingest found and those that were written later."""
    texts = [caption["text"] for caption in row["captions"]]
    texts += [caption.text for caption in written.captions] if written else []
    captions = tuple(dict.fromkeys(texts))
    names = ("key", "kind", "split", "source", "source_sha256", "start_seconds", "end_seconds", "shard", "sha256")
    return HeldClip(**{name: row[name] for name in names}, captions=captions, phash=row.get("phash"))


def _rows(table: Path, column: str, wanted: pa.Array, columns: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of a table whose column has one of these values; none where there is no table."""
    if not table.is_file():
        return []
    check_parquet(table)
    found: list[dict[str, Any]] = []
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(1 << 17, columns=list({column, *columns})):
            found += batch.filter(pc.is_in(batch.column(column), wanted)).to_pylist()
    return found


def _tars(paths: Paths, artefact: str, shards: Iterable[int]) -> list[str]:
    """The tars of these numbers, in each size's folder that has them."""
    root, wanted = paths.root / ARTIFACTS[artefact], {shard_name(artefact, number) for number in shards}
    return [
        f"{ARTIFACTS[artefact]}/{index.parent.name}/{record.shard}"
        for index in sorted(root.glob(f"*/{INDEX_NAME}"))
        for record in (read_index(index.parent).records if wanted else ())
        if record.shard in wanted
    ]


def _texts(paths: Paths, clips: Collection[HeldClip]) -> list[HeldText]:
    """The captions of these clips, and which of them other clips have."""
    texts = sorted({text for clip in clips for text in clip.captions})
    if not texts:
        return []
    keys, wanted = pa.array(sorted(clip.key for clip in clips)), pa.array(texts)
    shared: set[str] = set()
    for table in _captions(paths):
        others = table.filter(pc.invert(pc.is_in(table["key"], keys)))
        of_others = pc.unique(pc.struct_field(pc.list_flatten(others["captions"]), "text"))
        shared.update(of_others.filter(pc.is_in(of_others, wanted)).to_pylist())
    index, table = paths.text / INDEX_NAME, paths.text / CAPTIONS_TABLE
    tars = [record.shard for record in read_index(paths.text).records] if index.is_file() else []
    encoded: set[str] = set()
    if tars and table.is_file():
        for row in _rows(table, "key", keys, ("ids",)):
            encoded.update(row["ids"])
    found = ((caption_id(text), text) for text in texts)
    return [
        HeldText(name, text, _tar_of(name, tars) if name in encoded else None, text in shared) for name, text in found
    ]


def _captions(paths: Paths) -> Iterator[pa.Table]:
    """Keys and captions of all clips: as ingest found them, and as they are used where others were written."""
    for part in read_parts(paths.manifest):
        yield from read_part(paths.manifest, part, MANIFEST_SCHEMA, ("key", "captions"), measures=True)
    if (paths.captions / ABOUT).is_file():
        for groups in manifest_parts(paths.manifest, ("key", "captions")):
            yield from groups


def _tar_of(name: str, tars: Iterable[str]) -> str | None:
    """The tar with a caption's embedding: its name has the first binary digits of the captions in it."""
    digits = f"{int(name, 16):0{4 * ID_DIGITS}b}"
    for tar in tars:
        beginning = tar.removeprefix("text-").removesuffix(".tar")
        if tar.startswith("text-") and (beginning == "all" or digits.startswith(beginning)):
            return f"{ARTIFACTS['text']}/{tar}"
    return None


def _cached(paths: Paths, sources: Iterable[str]) -> list[str]:
    """The files of the cache of cut clips, of all clip rules."""
    cache = paths.work("ingest") / "sources"
    found = (file for source in sources for file in cache.glob(f"*/{source[:2]}/{source}*"))
    return sorted(file.relative_to(paths.root).as_posix() for file in found)


def _checkpoints(paths: Paths, stage: str) -> list[str]:
    found = sorted(paths.work(stage).rglob("step-*"))
    return [folder.relative_to(paths.root).as_posix() for folder in found if folder.is_dir()]


def _samples(paths: Paths, captions: frozenset[str]) -> list[str]:
    """The files of samples whose prompt is one of these captions; those that go on from a clip have its caption."""
    if not (paths.samples / SAMPLES).is_file():
        return []
    found: list[str] = []
    for entry in read_json(paths.samples / SAMPLES):
        if captions.isdisjoint(_texts_in(entry["prompt"])):
            continue
        names = [name for key, name in entry.items() if key.endswith("file") and name]
        found += names + [str(Path(name).with_suffix(".png")) for name in names]
    return [f"{ARTIFACTS['samples']}/{name}" for name in found if (paths.samples / name).is_file()]


def _texts_in(value: Any) -> list[str]:
    """All texts in a JSON value."""
    if isinstance(value, str):
        return [value] if value else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in _texts_in(one)]
