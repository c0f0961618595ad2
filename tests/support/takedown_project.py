"""A project of generated videos with clips, text, latents, models, samples and DVC's cache: for takedowns."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from tests.support import ingest_project
from tests.support.disguises import write_scene
from tests.support.lineage_project import MODELS, register
from tests.support.settings import compute_settings, recipe
from tests.support.text_project import CONFIG as TEXT_CONFIG
from tests.support.tiny_models import BASE, drawn
from tests.support.tracking import CONFIG
from tests.support.video_project import config as video_config
from tests.support.video_project import write_autoencoder
from walt.core.paths import Paths
from walt.project.registry import get_stage
from walt.project.runner import run_stage
from walt.transformer.model import WaltTransformer, save_transformer

STAGES = ("ingest", "caption", "encode-text", "encode-video")


def caption_of(number: int) -> str:
    """Of the video with this number."""
    return f'scene {number}: "patches" & <b>colours</b>'


def make_takedown_project(root: Path, count: int) -> Paths:
    """``videos/0.mp4`` ... and all that the pipeline makes of them; the models are untrained."""
    paths = Paths(root)
    (root / "datasets").mkdir(parents=True)
    (root / "datasets/test.yaml").write_text(ingest_project.DESCRIPTOR)
    (root / "videos").mkdir()
    for number in range(count):
        write_scene(root / f"videos/{number}.mp4", number)
    ingest_project.add(root, {f"{number}.mp4": caption_of(number) for number in range(count)})
    data = recipe().model_dump(mode="json")
    data["dataset"] |= {"descriptor": "datasets/test.yaml", "path": "videos"}
    data["ingest"] |= {"clips_per_shard": 8, "reject_limit": 0.9, "screen": ingest_project.SCREEN}
    data["compute"] = compute_settings(workers=1, backend="inline").model_dump(mode="json")
    data["text"] = TEXT_CONFIG.text.model_dump(mode="json") if TEXT_CONFIG.text else None
    data["encode_video"] = video_config().encode_video.model_dump(mode="json")
    data["tracking"] = CONFIG.model_dump(mode="json")
    (root / "params.yaml").write_text(json.dumps(data))
    write_autoencoder(paths)
    for stage in STAGES:
        run_stage(get_stage(stage), root)
    save_transformer(paths.base, drawn(WaltTransformer(BASE), 2))
    register(paths, *MODELS)
    return paths


def copy_to_store(root: Path, store: Path) -> None:
    """Put all of ``data/`` into a store as DVC keeps it: read-only files by their MD5."""
    for file in sorted((root / "data").rglob("*")):
        if file.is_file():
            digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
            target = store / "files/md5" / digest[:2] / digest[2:]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
            target.chmod(0o444)
