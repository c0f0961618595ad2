"""A project of which each kind of artefact is there, as the stages leave them: for tests of what becomes of damage."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from tests.support import ingest_project
from tests.support.settings import recipe
from tests.support.text_project import CONFIG as TEXT_CONFIG
from tests.support.text_project import run_encode_text
from tests.support.tiny_models import BASE, drawn
from tests.support.video_project import config as video_config
from tests.support.video_project import write_autoencoder
from walt.autoencoder.io import load_autoencoder
from walt.core.digests import sha256_json
from walt.core.errors import CorruptArtifactError
from walt.core.left_out import leave_out
from walt.core.paths import Paths
from walt.data.clip_dataset import ClipDataset
from walt.data.clip_table import Split
from walt.data.latent_dataset import LatentDataset
from walt.data.manifest import read_clip_rejects, read_manifest, read_rejects
from walt.data.partitions import read_parts
from walt.data.text_dataset import TextDataset
from walt.data.text_tables import read_labels
from walt.data.written_captions import WrittenCaptions, check_written
from walt.project.recorded_outputs import record_outputs
from walt.project.registry import STAGES
from walt.stages import encode_video
from walt.text.encoder import load_text_encoder
from walt.training import checkpoint
from walt.transformer.model import WaltTransformer, load_transformer, save_transformer

SIZES = ((32, 32), (16, 24))
SPLITS: tuple[Split, ...] = ("train", "held_out")
TRAINED = ("train-autoencoder", "train-base")


def make_verified_project(root: Path) -> Paths:
    """Clips, text, latents, an untrained autoencoder and transformer, checkpoints, records of all of it."""
    paths = Paths(root)
    ingest_project.make_project(root)
    data = recipe().model_dump(mode="json")
    data["dataset"] |= {"descriptor": "datasets/test.yaml", "path": "videos"}
    (root / "params.yaml").write_text(json.dumps(data))
    ingest_project.run(root)
    run_encode_text(TEXT_CONFIG, paths)
    write_autoencoder(paths)
    encode_video.run(video_config(), paths)
    save_transformer(paths.base, drawn(WaltTransformer(BASE), 2))
    leave_out(paths.aspect, "aspect")
    for stage in TRAINED:
        torch.manual_seed(0)
        for step in (10, 20):
            parts = {part: {"a": torch.randn(4, 5), "b": torch.arange(step)} for part in ("model", "optimizer")}
            checkpoint.save(paths.work(stage), step, {"code": {}}, parts, {"history": [step]}, seconds=1.5)
    for recorded in STAGES:
        record_outputs(recorded, paths)
    return paths


def files_of(paths: Paths) -> list[Path]:
    """All that was made, in its order."""
    places = (paths.root / "data", paths.root / "models", *(paths.work(stage) for stage in TRAINED))
    found = (file for place in places for file in sorted(place.rglob("*")) if file.is_file())
    return [file for file in found if file.parent.name not in TRAINED]


def what_readers_get(paths: Paths, file: Path) -> str:
    """A digest of all that a stage that reads the file is given. Raises what the stage would."""
    name = str(file.relative_to(paths.root))
    reader = next(reader for beginning, reader in _READERS.items() if name.startswith(beginning))
    return sha256_json(reader(paths))


def _clips(paths: Paths) -> Any:
    datasets = [ClipDataset(paths.clips, size, split) for size in SIZES for split in SPLITS]
    return [
        [key, hashlib.sha256(one.clip(key)).hexdigest()]
        for one in datasets
        for key in (*one.video_keys, *one.image_keys)
    ]


def _captions(paths: Paths) -> Any:
    check_written(paths.manifest)
    written = WrittenCaptions(paths.manifest)
    return [str(written.of(part.part)) for part in read_parts(paths.manifest)]


def _latents(paths: Paths) -> Any:
    datasets = [LatentDataset(paths.latents, size, split) for size in SIZES for split in SPLITS]
    return [[key, one.latents([key]).tolist()] for one in datasets for key in (*one.video_keys, *one.image_keys)]


def _text(paths: Paths) -> Any:
    text = TextDataset(paths.text)
    keys = sorted(row.key for row in read_manifest(paths.manifest))
    embeddings, mask = text.embeddings(keys)
    null, of_null = text.null()
    names = [text.names(key) for key in keys]
    return [names, *(tensor.tolist() for tensor in (embeddings, mask, null, of_null)), read_labels(paths.text)]


def _checkpoints(paths: Paths) -> Any:
    """Read from a copy, since a reader sets a damaged one aside, says so and takes the one before: an error here."""
    found, said = [], list[str]()
    for stage in TRAINED:
        copy = paths.root / "copy" / stage
        shutil.copytree(paths.work(stage), copy)
        with patch.object(checkpoint, "warning", said.append):
            one = checkpoint.load(copy)
        shutil.rmtree(copy)
        if said:
            raise CorruptArtifactError(said[0].replace(str(copy), str(paths.work(stage))))
        assert one is not None
        parts = {part: {key: value.tolist() for key, value in own.items()} for part, own in one.parts.items()}
        found.append([one.step, one.identity, one.state, one.seconds, parts])
    return found


def _weights(model: torch.nn.Module) -> Any:
    return {name: value.tolist() for name, value in model.state_dict().items()}


def _autoencoder(paths: Paths) -> Any:
    model, statistics = load_autoencoder(paths.autoencoder)
    return [model.config.model_dump(mode="json"), _weights(model), statistics.to_json()]


def _base(paths: Paths) -> Any:
    model = load_transformer(paths.base)
    return [model.config.model_dump(mode="json"), _weights(model)]


def _text_encoder(paths: Paths) -> Any:
    encoder = load_text_encoder(paths.text_encoder, "cpu", paths.root)
    return [encoder.source, encoder.max_tokens, [one.tolist() for one in encoder.encode_each(["a red circle", "odd"])]]


_READERS: dict[str, Callable[[Paths], Any]] = {
    "data/clips": _clips,
    "data/manifest": lambda paths: [str(row) for row in read_manifest(paths.manifest)],
    "data/captions": _captions,
    "data/rejects": lambda paths: [str(row) for row in read_rejects(paths.rejects)],
    "data/clip_rejects": lambda paths: [str(row) for row in read_clip_rejects(paths.clip_rejects)],
    "data/text": _text,
    "data/latents": _latents,
    "models/autoencoder": _autoencoder,
    "models/base": _base,
    "models/text-encoder": _text_encoder,
    "work": _checkpoints,
}
"""By the beginning of a file's path under the root."""
