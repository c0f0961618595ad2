"""The conditions of the clips: captions -> T5 embeddings, in tars beside the clips (same shard numbers, keys and
order); classes, in a table.

Each member ``<key>.safetensors`` holds ``embeddings`` (K, L, D) float16 and ``mask`` (K, L) uint8 of the clip's K
captions, in the order of the manifest; ``captions.parquet`` has their names. The tar ``null.tar`` holds the key
``null``: the empty caption, the unconditional side of guidance. Readers take that for a clip without a caption (K = 0).

``labels.parquet`` has the class of each clip that has one. Where ``text`` is null in ``params.yaml``, since no model is
conditioned on text, only the table is made, and ``models/text-encoder`` is left out.

An embedding is a function of encoder, batch size and caption alone: captions are encoded in batches of one fixed shape.
So a tar whose captions did not change keeps its bytes, and a run that was killed continues after its last finished tar.
The manifest is read a part at a time: what is in memory of it does not grow with the dataset.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.core.digests import canonical_json, sha256_json
from walt.core.errors import CorruptArtifactError, RejectLimitError
from walt.core.left_out import leave_out
from walt.core.log import ProgressBar, warning
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.storage import TEMPORARY_SUFFIX, atomic_directory, clean_temporary, read_json, write_json
from walt.data.manifest import count_manifest, iterate_columns, manifest_parts, values_of
from walt.data.shards import (
    INDEX_NAME,
    NULL_KEY,
    Sample,
    ShardRecord,
    shard_name,
    verify_shard,
    write_index,
    write_shard,
)
from walt.data.text_tables import CAPTIONS_TABLE, LABELS_TABLE, write_caption_names, write_labels
from walt.nn.collectives import first_goes_ahead, gather_shares
from walt.nn.device import select_device
from walt.project.code_identity import code_digest
from walt.text.config import TextConfig
from walt.text.encoder import TINY, TextEncoder, open_text_encoder
from walt.text.tiny import build_tiny_encoder

STAGE = "encode-text"
FORM = 2
"""Version of the stored form; part of every identity."""
NULL_SHARD = "null.tar"
_BY_RESULT = (
    "walt/data/captions.py", "walt/data/manifest.py", "walt/data/partitions.py", "walt/data/text_tables.py",
    "walt/text/tiny.py",
)  # fmt: skip
"""Code whose whole effect on a tar is in its identity as a value: the manifest's rows are its entries, the tiny encoder
has a digest. The tables of names and classes are written again each time. Other edited code makes old tars stale."""
Entry = tuple[str, list[str]]
"""A clip's key and the texts of its captions."""
_BATCHES_KEPT = 16  # encoded batches held in memory, for captions that come again in a later shard


class Config(Section):
    """What the registry declares for ``encode-text``."""

    seed: int
    text: TextConfig | None
    compute: ComputeConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Bring ``data/text`` and ``models/text-encoder`` up to date with the manifest.

    Raises:
        RejectLimitError: the manifest has no clips.
        ConfigurationError, StorageError, CorruptArtifactError: the encoder cannot be opened.
    """
    num_clips = count_manifest(paths.manifest)
    if not num_clips:
        raise RejectLimitError(f"{paths.manifest}: no clips")
    with first_goes_ahead():
        if ranks().is_first:
            paths.text.mkdir(parents=True, exist_ok=True)
            clean_temporary(paths.text)
    figures = _encode(config.text, config, num_clips, paths) if config.text else _leave_out(paths)
    if not ranks().is_first:
        return figures
    return {**figures, "classes_of_clips": write_labels(paths.text, iterate_columns(paths.manifest, "key", "label"))}


def _leave_out(paths: Paths) -> dict[str, Any]:
    """Where no model takes text: neither tars nor an encoder."""
    if not ranks().is_first:
        return {}
    _remove_others(paths, set())
    (paths.text / INDEX_NAME).unlink(missing_ok=True)
    return leave_out(paths.text_encoder, "text")


def _encode(text: TextConfig, config: Config, num_clips: int, paths: Paths) -> dict[str, Any]:
    """Encoder and tars; their figures."""
    texts = (caption.text for (captions,) in iterate_columns(paths.manifest, "captions") for caption in captions)
    encoder = prepare_encoder(text, config, paths, texts)
    code = code_digest(__name__, without=_BY_RESULT)
    identity = {
        "form": FORM,
        "encoder": encoder.digest,
        "max_tokens": encoder.max_tokens,
        "batch": text.batch_size,
    }
    # Without the code: where an edit changed no byte of the tars, what is trained on them stays fresh.
    whole = _ListDigest(identity, "plan")
    made: list[tuple[dict[str, Any], dict[str, Any], bool]] = []  # by this rank: its share of the tars
    number, count, unique, lengths = 0, 0, 1, Lengths()
    with ProgressBar(STAGE, total=num_clips + 1, unit="clips") as bar:
        for captions, tars in _plan(paths.manifest):
            book = EmbeddingBook(encoder, captions, text.batch_size)
            unique += len(book) - 1  # the empty caption is in each
            for name, entries in tars:
                if number % ranks().count == ranks().rank:
                    shard_identity = sha256_json({**identity, "code": code, "entries": entries})
                    finished = _finished(paths, name, shard_identity)
                    record, cut = finished or _make(paths, name, entries, book, shard_identity)
                    made.append((asdict(record), asdict(cut), finished is not None))
                number += 1
                count += sum(len(own) for key, own in entries if key != NULL_KEY)
                whole.add([name, entries])
                bar.advance(len(entries))
    of_all = gather_shares(made)
    records = [ShardRecord(**record) for record, _, _ in of_all]
    for _, cut_of_tar, _ in of_all:
        lengths = lengths.with_others(Lengths(**cut_of_tar))
    if ranks().is_first:
        _publish(paths, records, whole.hexdigest(), lengths, count, encoder)
    return {
        "clips": num_clips, "captions": count, "unique": unique, "cut": lengths.cut, "longest_cut": lengths.longest,
        "tars": len(records), "reused": sum(was_there for _, _, was_there in of_all), "encoder": encoder.source,
        "width": encoder.width,
    }  # fmt: skip


def _publish(
    paths: Paths, records: list[ShardRecord], digest: str, lengths: Lengths, count: int, encoder: TextEncoder
) -> None:
    """Write the index and the names of captions, and remove what is not in them."""
    _remove_others(paths, {record.shard for record in records})
    write_caption_names(paths.text, iterate_columns(paths.manifest, "key", "captions"))
    write_index(paths.text, digest, records)
    if lengths.cut:
        warning(
            f"{STAGE}: {lengths.cut} of {count} captions of clips are longer than text.max_tokens {encoder.max_tokens} "
            f"and were cut; the longest has {lengths.longest} tokens"
        )


def _make(
    paths: Paths, name: str, entries: list[Entry], book: EmbeddingBook, identity: str
) -> tuple[ShardRecord, Lengths]:
    """Write a tar, and note what it was made from."""
    record = write_shard(paths.text / name, ((key, book.sample(captions)) for key, captions in entries))
    cut = book.lengths([caption for _, captions in entries for caption in captions])
    write_json(_note(paths, name), {"identity": identity, "record": asdict(record), "lengths": asdict(cut)})
    return record, cut


@dataclass(frozen=True)
class Lengths:
    """Of captions that are longer than the encoder takes, and so are cut."""

    cut: int = 0
    """How many."""
    longest: int = 0
    """Tokens of the longest, with the end mark; 0: none is cut."""

    def with_others(self, others: Lengths) -> Lengths:
        return Lengths(self.cut + others.cut, max(self.longest, others.longest))


class _ListDigest:
    """``sha256_json({**value, name: [...]})`` of a list that is too long for memory; ``name`` must sort last."""

    def __init__(self, value: dict[str, Any], name: str) -> None:
        assert name > max(value)
        self._hash = hashlib.sha256(f'{canonical_json(value)[:-1]},"{name}":['.encode())
        self._separator = ""

    def add(self, entry: object) -> None:
        self._hash.update(f"{self._separator}{canonical_json(entry)}".encode())
        self._separator = ","

    def hexdigest(self) -> str:
        closed = self._hash.copy()
        closed.update(b"]}")
        return closed.hexdigest()


def prepare_encoder(text: TextConfig, config: Config, paths: Paths, captions: Iterable[str]) -> TextEncoder:
    """Publish ``models/text-encoder`` and open it; the tiny encoder is built from the captions. Ranks other than the
    first open what that has published."""
    device = select_device(config.compute.device)
    with first_goes_ahead():
        if not ranks().is_first:
            return open_text_encoder(text.encoder, text.max_tokens, device, paths.text_encoder, paths.root)
        return _publish_encoder(text, config, paths, captions, device)


def _publish_encoder(
    text: TextConfig, config: Config, paths: Paths, captions: Iterable[str], device: str
) -> TextEncoder:
    for left in paths.text_encoder.parent.glob(f"{paths.text_encoder.name}.*{TEMPORARY_SUFFIX}"):
        shutil.rmtree(left)  # of a killed run of this stage; other stages' stay
    with atomic_directory(paths.text_encoder) as folder:
        if text.encoder == TINY:
            build_tiny_encoder(captions, text.tiny, config.seed, folder)
        encoder = open_text_encoder(text.encoder, text.max_tokens, device, folder, paths.root)
        encoder.describe(folder)
    return encoder


class EmbeddingBook:
    """Embeddings by caption, for a part of the manifest. Each distinct caption is encoded once, in batches of one fixed
    shape."""

    def __init__(self, encoder: TextEncoder, captions: Sequence[str], batch_size: int) -> None:
        self._distinct = list(dict.fromkeys(["", *captions]))
        self._place = {caption: index for index, caption in enumerate(self._distinct)}
        self._encoder, self._batch_size = encoder, batch_size
        self._lengths: dict[str, int] = {}  # tokens of the captions that are cut, of the batches so far
        self._batch = lru_cache(maxsize=_BATCHES_KEPT)(self._encode)

    def __len__(self) -> int:
        return len(self._distinct)

    def sample(self, captions: Sequence[str]) -> Sample:
        """The members of a sample of a clip with these captions."""
        pairs = [self._one(caption) for caption in captions or [""]]
        embeddings, mask = (torch.stack(own)[: len(captions)] for own in zip(*pairs, strict=True))
        return {"safetensors": save({"embeddings": embeddings, "mask": mask})}

    def lengths(self, captions: Sequence[str]) -> Lengths:
        """Of those of these captions that are cut."""
        cut = [self._lengths[caption] for caption in captions if caption in self._lengths]
        return Lengths(len(cut), max(cut, default=0))

    def _one(self, caption: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(L, D) float16 and (L,) uint8."""
        number, offset = divmod(self._place[caption], self._batch_size)
        embeddings, mask = self._batch(number)
        return embeddings[offset], mask[offset]

    def _encode(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Batch ``number``: (B, L, D) float16 and (B, L) uint8 on the CPU."""
        captions = self._distinct[number * self._batch_size :][: self._batch_size]
        filler = [""] * (self._batch_size - len(captions))  # one shape: no result depends on how full the batch is
        embeddings, mask = self._encoder.encode(captions + filler)
        half = embeddings.half().cpu()
        if not half.isfinite().all():
            raise CorruptArtifactError(f"text encoder {self._encoder.source}: an embedding does not fit into float16")
        full = [caption for caption, own in zip(captions, mask, strict=False) if own.all()]  # others are not cut
        self._lengths |= {
            caption: tokens
            for caption, tokens in zip(full, self._encoder.num_tokens(full), strict=True)
            if tokens > self._encoder.max_tokens
        }
        return half, mask.to("cpu", torch.uint8)


def _plan(manifest: Path) -> Iterator[tuple[list[str], list[tuple[str, list[Entry]]]]]:
    """For each part of the manifest its captions, and (tar name, entries) for each clip tar; then the same for the
    unconditional tar."""
    columns = ("key", "captions", "shard")
    for groups in manifest_parts(manifest, columns):
        texts: list[str] = []
        shards: dict[int, list[Entry]] = {}
        for key, captions, shard in values_of(groups, columns):
            own = [caption.text for caption in captions]
            texts += own
            shards.setdefault(shard, []).append((key, own))
        yield texts, [(shard_name("text", number), entries) for number, entries in sorted(shards.items())]
    yield [""], [(NULL_SHARD, [(NULL_KEY, [""])])]


def _note(paths: Paths, name: str) -> Path:
    """The file that records what a finished tar was made from."""
    return paths.work(STAGE) / "tars" / f"{name}.json"


def _finished(paths: Paths, name: str, identity: str) -> tuple[ShardRecord, Lengths] | None:
    """The record of a tar that an earlier run finished from the same captions and encoder, and which of them were cut;
    None if it must be made."""
    note = _note(paths, name)
    if not note.is_file():
        return None
    known = read_json(note)
    if known["identity"] != identity:
        return None
    record = ShardRecord(**known["record"])
    try:
        verify_shard(paths.text, record)
    except CorruptArtifactError:
        return None  # removed or damaged since: made again
    return record, Lengths(**known["lengths"])


def _remove_others(paths: Paths, names: set[str]) -> None:
    """Remove tars and notes of clips that are no longer in the manifest."""
    for file in paths.text.iterdir():
        if file.name not in {*names, INDEX_NAME, LABELS_TABLE, *({CAPTIONS_TABLE} if names else ())}:
            file.unlink()
    for note in _note(paths, NULL_SHARD).parent.glob("*.json"):
        if note.name.removesuffix(".json") not in names:
            note.unlink()
