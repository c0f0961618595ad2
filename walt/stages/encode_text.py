"""The conditions of the clips: captions -> T5 embeddings, in tars; classes, in a table.

Each distinct caption is encoded and stored once. Its member ``<id>.safetensors`` holds ``embedding`` (n, D) float16 of
its n tokens, without padding; the id is a hash of its text (``walt/data/distinct_captions.py``), and
``captions.parquet`` has for each clip the names and ids of its captions, in the order of the manifest. The tar
``null.tar`` holds the key ``null``: the empty caption, the unconditional side of guidance. Readers take that for a clip
without a caption.

``labels.parquet`` has the class of each clip that has one; where the dataset is a union, ``members.parquet`` has the
member of each clip. Where ``text`` is null in ``params.yaml``, since no model is conditioned on text, only these
tables are made, and ``models/text-encoder`` is left out.

An embedding is a function of encoder and caption alone, whatever is encoded beside it. So a tar whose captions did not
change keeps its bytes, of one that got or lost captions only the new ones are encoded, an incremental run gives those
bytes that a fresh one gives, and a run that was killed continues after its last finished tar. What is in memory does
not grow with the dataset.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.core.digests import canonical_json, sha256_json
from walt.core.errors import ConfigurationError, CorruptArtifactError, RejectLimitError
from walt.core.left_out import leave_out
from walt.core.log import ProgressBar, warning
from walt.core.paths import Paths
from walt.core.ranks import ranks
from walt.core.storage import TEMPORARY_SUFFIX, atomic_directory, clean_temporary
from walt.data.distinct_captions import CaptionFiles, CaptionsOfTar, place_of_tar
from walt.data.manifest import MEMBER, count_manifest, iterate_columns, manifest_columns
from walt.data.shards import (
    INDEX_NAME,
    NULL_KEY,
    ShardRecord,
    write_index,
    write_shard,
)
from walt.data.tar_notes import TarNotes
from walt.data.text_tables import (
    CAPTIONS_TABLE,
    LABELS_TABLE,
    MEMBERS_TABLE,
    TEXT_FORM,
    write_captions,
    write_labels,
    write_members,
)
from walt.data.written_captions import check_written
from walt.nn.collectives import first_goes_ahead, gather_shares
from walt.nn.device import select_device
from walt.project.code_identity import code_digest
from walt.text.config import TextConfig
from walt.text.encoder import TINY, TINY_FOLDER, TextEncoder, checked_description, open_text_encoder
from walt.text.tiny import build_tiny_encoder
from walt.tracking.config import TrackingConfig
from walt.tracking.given_models import forget, given_model

STAGE = "encode-text"
NULL_SHARD = "null.tar"
_AT_ONCE = 512
"""Captions whose embeddings are in memory in float32: 270 MB at 64 tokens of width 2048. More would not be faster: how
many rows a call of the encoder has follows from their length (``TextEncoder.encode_each``)."""
_OF_NONE = CaptionsOfTar(NULL_SHARD, {NULL_KEY: ""}, Counter({NULL_KEY: 1}))
_BY_RESULT = (
    "walt/data/captions.py", "walt/data/distinct_captions.py", "walt/data/manifest.py", "walt/data/partitions.py",
    "walt/data/tar_tree.py", "walt/data/text_tables.py", "walt/text/tiny.py",
)  # fmt: skip
"""Code whose whole effect on a tar is in its identity as a value: the captions are its entries, the tiny encoder has a
digest. The tables of captions and classes are written again each time. Other edited code makes old tars stale."""


class Config(Section):
    """What the registry declares for ``encode-text``."""

    seed: int
    text: TextConfig | None
    compute: ComputeConfig
    tracking: TrackingConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Bring ``data/text`` and ``models/text-encoder`` up to date with the manifest.

    Raises:
        RejectLimitError: the manifest has no clips.
        StorageError: captions were written for another manifest (``walt.stages.caption``).
        ConfigurationError, StorageError, CorruptArtifactError: the encoder cannot be opened.
    """
    num_clips = count_manifest(paths.manifest)
    if not num_clips:
        raise RejectLimitError(f"{paths.manifest}: no clips")
    check_written(paths.manifest)
    with first_goes_ahead():
        if ranks().is_first:
            paths.text.mkdir(parents=True, exist_ok=True)
            clean_temporary(paths.text)
    figures = _encode(config.text, config, num_clips, paths) if config.text else _leave_out(paths)
    if not ranks().is_first:
        return figures
    figures["classes_of_clips"] = write_labels(paths.text, iterate_columns(paths.manifest, "key", "label"))
    if MEMBER in manifest_columns(paths.manifest):
        write_members(paths.text, iterate_columns(paths.manifest, "key", MEMBER))
    return figures


def _leave_out(paths: Paths) -> dict[str, Any]:
    """Where no model takes text: neither tars nor an encoder."""
    if not ranks().is_first:
        return {}
    _remove_others(paths, set())
    (paths.text / INDEX_NAME).unlink(missing_ok=True)
    return leave_out(paths.text_encoder, "text")


def _encode(text: TextConfig, config: Config, num_clips: int, paths: Paths) -> dict[str, Any]:
    """Encoder and tars; their figures."""
    encoder = prepare_encoder(text, config, paths, _texts(paths.manifest))
    captions = CaptionFiles(paths.work(STAGE) / "captions")
    with first_goes_ahead():
        if ranks().is_first:
            captions.write(_texts(paths.manifest), num_clips)
    identity = {"form": TEXT_FORM, "encoder": encoder.digest, "max_tokens": encoder.max_tokens}
    # Without the code: where an edit changed no byte of the tars, what is trained on them stays fresh.
    whole = _ListDigest(identity, "plan")
    made: list[tuple[dict[str, Any], dict[str, Any], int | None]] = []  # by this rank: its share of the tars
    same = {**identity, "code": code_digest(__name__, without=_BY_RESULT)}
    count, unique, unseen, notes = captions.count(), 1, Unseen(), _notes(paths)
    with ProgressBar(STAGE, total=count + 1, unit="captions") as bar:
        for number, tar in enumerate(chain(captions.tars(), [_OF_NONE])):
            if number % ranks().count == ranks().rank:
                own = sha256_json({**same, "captions": list(tar.texts)})
                finished = notes.finished(tar.name, own)
                note, new = (finished, None) if finished else _make(notes, tar, encoder, own, sha256_json(same))
                made.append((note["record"], asdict(_unseen(note, tar.uses)), new))
            unique += len(tar.texts) if tar is not _OF_NONE else 0
            whole.add([tar.name, list(tar.texts)])
            bar.advance(tar.uses.total())
    of_all = gather_shares(made)
    records = [ShardRecord(**record) for record, _, _ in of_all]
    for _, of_tar, _ in of_all:
        unseen = unseen.with_others(Unseen(**of_tar))
    if ranks().is_first:
        _publish(paths, records, whole.hexdigest(), unseen, count, encoder)
        captions.remove()
    return {
        "clips": num_clips, "captions": count, "unique": unique, "cut": unseen.cut, "longest_cut": unseen.longest,
        "with_unknown": unseen.unknown, "tars": len(records), "reused": sum(new is None for _, _, new in of_all),
        "encoded": sum(new or 0 for _, _, new in of_all), "encoder": encoder.source, "width": encoder.width,
    }  # fmt: skip


def _texts(manifest: Path) -> Iterator[str]:
    """The captions of all clips."""
    return (caption.text for (captions,) in iterate_columns(manifest, "captions") for caption in captions)


def _publish(
    paths: Paths, records: list[ShardRecord], digest: str, unseen: Unseen, count: int, encoder: TextEncoder
) -> None:
    """Write the index and the table of captions, and remove what is not in them."""
    _remove_others(paths, {record.shard for record in records})
    write_captions(paths.text, iterate_columns(paths.manifest, "key", "captions"), encoder.max_tokens)
    write_index(paths.text, digest, records)
    if unseen.cut:
        warning(
            f"{STAGE}: {unseen.cut} of {count} captions of clips are longer than text.max_tokens {encoder.max_tokens} "
            f"and were cut; the longest has {unseen.longest} tokens"
        )
    if unseen.unknown:
        warning(
            f"{STAGE}: {unseen.unknown} of {count} captions of clips hold characters that the text encoder's "
            "vocabulary lacks, and which it does not tell from each other"
        )


def _make(
    notes: TarNotes, tar: CaptionsOfTar, encoder: TextEncoder, identity: str, same: str
) -> tuple[dict[str, Any], int]:
    """Write a tar, and note what it was made from. Returns the note, with the tokens of the captions that were cut and
    the names of those with unknown tokens, and how many captions were encoded.

    Args:
        same: identity of what an earlier embedding was made with that may be taken over.
    """
    earlier = notes.earlier(tar.name, same)
    samples = earlier.read([name for name in tar.texts if earlier.has(name, name)])
    # of like length together, which wastes least
    ids = sorted(tar.texts.keys() - samples.keys(), key=lambda name: (len(tar.texts[name]), name))
    for first in range(0, len(ids), _AT_ONCE):
        some = ids[first : first + _AT_ONCE]
        made = dict(zip(some, _half(encoder, [tar.texts[name] for name in some]), strict=True))
        samples |= {name: {"safetensors": save({"embedding": embedding})} for name, embedding in made.items()}
    readings = dict(zip(tar.texts, encoder.readings([*tar.texts.values()]), strict=True))
    cut = {name: reading.tokens for name, reading in readings.items() if reading.tokens > encoder.max_tokens}
    unseen = {"cut": cut, "unknown": [name for name, reading in readings.items() if reading.unknown]}
    record = write_shard(notes.directory / tar.name, ((name, samples[name]) for name in tar.texts))
    return notes.write(record, identity, same, {name: name for name in tar.texts}, unseen), len(ids)


def _half(encoder: TextEncoder, captions: Sequence[str]) -> Iterator[Tensor]:
    """Of each caption its embeddings, (tokens, D) float16."""
    for embedding in encoder.encode_each(captions):
        assert embedding.shape[1:] == (encoder.width,), embedding.shape
        half = embedding.half()
        if not half.isfinite().all():
            raise CorruptArtifactError(f"text encoder {encoder.source}: an embedding does not fit into float16")
        yield half.contiguous()


@dataclass(frozen=True)
class Unseen:
    """Of captions that the encoder does not see whole."""

    cut: int = 0
    """How many are longer than it takes."""
    longest: int = 0
    """Tokens of the longest, with the end mark; 0: none is cut."""
    unknown: int = 0
    """How many hold what its vocabulary lacks."""

    def with_others(self, others: Unseen) -> Unseen:
        return Unseen(self.cut + others.cut, max(self.longest, others.longest), self.unknown + others.unknown)


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
        if text.encoder == TINY and text.tiny.frozen is not None:
            _copy_frozen(text.tiny.frozen, config, paths, folder)
        elif text.encoder == TINY:
            build_tiny_encoder(captions, text.tiny, config.seed, folder)
        encoder = open_text_encoder(text.encoder, text.max_tokens, device, folder, paths.root)
        encoder.describe(folder)
    return encoder


def _copy_frozen(address: str, config: Config, paths: Paths, folder: Path) -> None:
    """Copy a tiny encoder that was published before into ``folder``. Raises ConfigurationError where it is none."""
    given = given_model(config.tracking, paths.root, address, paths.work(STAGE))
    if given.folder.resolve() == paths.text_encoder.resolve():
        raise ConfigurationError(
            f"text.tiny.frozen is {address}, which this stage replaces: name a copy, or a version in the registry"
        )
    if checked_description(given.folder, paths.root)["source"] != TINY:
        raise ConfigurationError(f"text.tiny.frozen: {address} is not a tiny encoder that encode-text published")
    shutil.copytree(given.folder / TINY_FOLDER, folder / TINY_FOLDER)
    forget(paths.work(STAGE))


def _unseen(note: Mapping[str, Any], uses: Counter[str]) -> Unseen:
    """Of the captions of clips, given how often each of a tar is one, and the tar's note."""
    cut, unknown = note["cut"], note["unknown"]
    return Unseen(sum(uses[name] for name in cut), max(cut.values(), default=0), sum(uses[name] for name in unknown))


def _notes(paths: Paths) -> TarNotes:
    """What each finished tar was made from."""
    return TarNotes(paths.text, paths.work(STAGE) / "tars", place_of_tar)


def _remove_others(paths: Paths, names: set[str]) -> None:
    """Remove tars and notes of captions that no clip has any more, and tables that are not written again."""
    tables = [INDEX_NAME, LABELS_TABLE, *([CAPTIONS_TABLE] if names else [])]
    tables += [MEMBERS_TABLE] if MEMBER in manifest_columns(paths.manifest) else []
    for file in paths.text.iterdir():
        if file.name not in {*names, *tables}:
            file.unlink()
    _notes(paths).keep_only(names)
