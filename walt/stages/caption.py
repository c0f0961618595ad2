"""Captions for clips that have none: a vision-language model's, and a person's corrections.

``data/captions`` has the captions of each clip that others than ingest described (``walt/data/written_captions.py``);
what reads the manifest reads these. A model's answers are kept for each tar in ``work/caption``: a tar whose clips did
not change is not asked about again, a run that was killed continues after its last finished tar, and a correction
costs nothing but the encoding of its text. Where ``caption`` is null, corrections alone are taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from walt.captioning.config import SHAPES, CaptionConfig
from walt.captioning.corrections import FOLDER as CORRECTIONS
from walt.captioning.corrections import Correction, clean_caption, corrected, read_corrections
from walt.core.compute import ComputeConfig
from walt.core.config import Section
from walt.core.digests import sha256_json
from walt.core.log import ProgressBar, warning
from walt.core.paths import Paths
from walt.core.printable import printable
from walt.core.ranks import ranks
from walt.core.storage import read_json, write_json
from walt.data.captions import Caption
from walt.data.manifest import ManifestRow, count_manifest, manifest_parts_as_ingested, rows_of
from walt.data.shards import shard_name
from walt.data.written_captions import WrittenRow, write_written
from walt.evaluation.describe_shapes import describe_shapes
from walt.media.images import Clip
from walt.nn.collectives import first_goes_ahead, wait_for_all
from walt.nn.device import select_device
from walt.pages.stored_clips import StoredClips
from walt.project.code_identity import code_digest

STAGE = "caption"
_BY_RESULT = ("walt/data/manifest.py", "walt/data/written_captions.py", "walt/captioning/corrections.py")
"""Code that does not change what a model says of a clip."""
Answers = Callable[[Sequence[ManifestRow], Sequence[Clip]], list[str]]
"""What is said of each clip of a batch."""


class Config(Section):
    """What the registry declares for ``caption``."""

    seed: int
    caption: CaptionConfig | None
    compute: ComputeConfig


class Captioner:
    """A model, or a rule, with what identifies its answers."""

    def __init__(self, config: CaptionConfig, seed: int, device: str, root: Path) -> None:
        self.config, self.seed = config, seed
        if config.model == SHAPES:
            self.digest = code_digest(describe_shapes.__module__)
            self._answers: Answers = lambda _rows, clips: [describe_shapes(clip) for clip in clips]
        else:
            # transformers' vision models take seconds to import
            from walt.captioning.vision_language import VisionLanguageModel

            model = VisionLanguageModel(config, device, root)
            self.digest = model.digest
            self._answers = lambda rows, clips: model.answers(clips, _seed(self.seed, rows[0].key))
        settings = config.model_dump(mode="json", exclude={"model", "first", "name", "clips"})
        self.identity = {"model": self.digest, "seed": seed, **settings}

    def describe(self, rows: Sequence[ManifestRow], clips: Sequence[Clip]) -> list[str]:
        """Captions of a batch; empty where nothing was said."""
        return [clean_caption(answer) for answer in self._answers(rows, clips)]

    @property
    def at_once(self) -> int:
        """Clips of a batch: where answers are drawn one, so that they depend on nothing but the clip."""
        return 1 if self.config.temperature > 0 else self.config.batch_size


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Bring ``data/captions`` up to date with the clips, the model and the corrections.

    Raises:
        ConfigurationError: the model cannot be used, or a table of corrections is wrong.
        StorageError, CorruptArtifactError: clips or manifest are missing or damaged.
    """
    corrections = read_corrections(paths.root / CORRECTIONS)
    captioner = None
    if config.caption is not None:
        captioner = Captioner(config.caption, config.seed, select_device(config.compute.device), paths.root)
        _ask(captioner, paths)
    with first_goes_ahead():
        if not ranks().is_first:
            return {}
        return _publish(captioner, corrections, paths)


def _publish(
    captioner: Captioner | None, corrections: Mapping[str, Sequence[Correction]], paths: Paths
) -> dict[str, Any]:
    """Write the table; the stage's figures."""
    counts = {"clips": 0, "captioned": 0, "nothing_said": 0, "corrected": 0, "without": 0}
    unused = set(corrections)
    kept = _Kept(paths)

    def rows(tables: Iterator[pa.Table]) -> list[WrittenRow]:
        found = []
        for row in rows_of(tables):
            text = None if captioner is None else kept.of(row)
            captions = corrected(_with_answer(row.captions, text, captioner), corrections.get(row.key, ()))
            unused.discard(row.key)
            counts["clips"] += 1
            counts["captioned"] += bool(text)
            counts["nothing_said"] += text == ""
            counts["corrected"] += row.key in corrections
            counts["without"] += not captions
            if captions != row.captions:
                found.append(_written(row, captions, text, row.key in corrections, captioner))
        return found

    parts = ((_number(part.part), rows(tables)) for part, tables in manifest_parts_as_ingested(paths.manifest))
    write_written(paths.captions, paths.manifest, parts)
    if unused:
        shown = ", ".join(map(printable, sorted(unused)[:3]))
        warning(f"{STAGE}: {len(unused)} corrections are of clips that are not in the manifest: {shown}")
    return counts


def _with_answer(captions: Sequence[Caption], text: str | None, captioner: Captioner | None) -> tuple[Caption, ...]:
    if not text or captioner is None:
        return tuple(captions)
    answer = Caption(captioner.config.name, text)
    return (answer, *captions) if captioner.config.first == "model" else (*captions, answer)


def _written(
    row: ManifestRow, captions: tuple[Caption, ...], text: str | None, by_a_person: bool, captioner: Captioner | None
) -> WrittenRow:
    if text is None or captioner is None:
        return WrittenRow(row.key, captions, None, by_a_person, None, None, None, None)
    config = captioner.config
    return WrittenRow(
        row.key, captions, text, by_a_person, config.model, captioner.digest, config.prompt, captioner.seed
    )


class _Kept:
    """What was said of clips, from the notes of their tars; one note at a time is in memory."""

    def __init__(self, paths: Paths) -> None:
        self._paths, self._shard, self._texts = paths, -1, dict[str, str]()

    def of(self, row: ManifestRow) -> str | None:
        """Of a clip; None: it was not asked about."""
        if row.shard != self._shard:
            self._shard, self._texts = row.shard, read_json(_note(self._paths, row.shard))["captions"]
        return self._texts.get(row.key)


def _note(paths: Paths, shard: int) -> Path:
    return paths.work(STAGE) / "tars" / f"{shard_name('clips', shard)}.json"


def _ask(captioner: Captioner, paths: Paths) -> None:
    """Have the clips described, tar by tar, each rank its share; what was said is in the tars' notes then."""
    stored = StoredClips(paths.clips)
    code = code_digest(__name__, without=_BY_RESULT)
    every = captioner.config.clips == "all"
    notes = []
    with ProgressBar(STAGE, total=count_manifest(paths.manifest), unit="clips") as bar:
        for shard, rows in _by_shard(paths.manifest):
            wanted = [row for row in rows if every or not row.captions]
            note = _note(paths, shard)
            notes.append(note)
            if shard % ranks().count == ranks().rank:
                clips = [[row.key, row.sha256] for row in wanted]
                identity = sha256_json({**captioner.identity, "code": code, "clips": clips})
                if not _is_finished(note, identity):
                    answers = _describe(captioner, stored, wanted)
                    write_json(note, {"identity": identity, "captions": answers})
            bar.advance(len(rows))
    wait_for_all()
    for left in {*(paths.work(STAGE) / "tars").glob("*.json")} - {*notes}:
        left.unlink(missing_ok=True)


def _by_shard(manifest: Path) -> Iterator[tuple[int, list[ManifestRow]]]:
    """The clips of each tar, in the manifest's order."""
    rows = (row for _, tables in manifest_parts_as_ingested(manifest) for row in rows_of(tables))
    for shard, own in groupby(rows, key=lambda row: row.shard):
        yield shard, list(own)


def _is_finished(note: Path, identity: str) -> bool:
    return note.is_file() and read_json(note)["identity"] == identity


def _describe(captioner: Captioner, stored: StoredClips, rows: Sequence[ManifestRow]) -> dict[str, str]:
    """Captions of clips of one tar, by key."""
    by_key = {row.key: row for row in rows}
    found: dict[str, str] = {}
    batch: list[tuple[ManifestRow, Clip]] = []

    def finish() -> None:
        answers = captioner.describe([row for row, _ in batch], [clip for _, clip in batch]) if batch else []
        found.update(zip((row.key for row, _ in batch), answers, strict=True))
        batch.clear()

    for key, clip in stored.read(rows):
        batch.append((by_key[key], clip))
        if len(batch) == captioner.at_once:
            finish()
    finish()
    return {row.key: found[row.key] for row in rows if row.key in found}


def _seed(seed: int, key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{STAGE}:{seed}:{key}".encode()).digest()[:7], "big")


def _number(part: str) -> int:
    return int(part.removeprefix("part-").removesuffix(".parquet"))
