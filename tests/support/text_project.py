"""A project whose manifest was made by hand, for tests of ``encode-text``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.settings import compute_settings
from tests.support.tiny_models import TEXT
from walt.core.paths import Paths
from walt.data.captions import Caption
from walt.data.manifest import ManifestRow, write_manifest
from walt.data.written_captions import write_written
from walt.stages import encode_text
from walt.stages.encode_text import Config

CONFIG = Config(seed=0, text=TEXT, compute=compute_settings(workers=1))
CAPTIONS = ["a red circle", "a green square", None, "a red circle", "a blue circle", "a green circle", "a red square"]


Given = Sequence[str | tuple[Caption, ...] | None]
"""Of each video its caption, which has no name, or None, or all its captions."""


def rows(captions: Given = CAPTIONS, per_shard: int = 3) -> list[ManifestRow]:
    """Of a manifest: videos with these captions."""
    return [
        ManifestRow(
            key=hashlib.sha256(f"{number}".encode()).hexdigest()[:32], kind="video", split="train",
            source=f"{number}.mp4", source_sha256="0" * 64, start_seconds=0.0, end_seconds=2.0, num_frames=17,
            captions=_captions(given), caption_truncated=False, label=None, shard=number // per_shard, sha256="0" * 64,
        )
        for number, given in enumerate(captions)
    ]  # fmt: skip


def make_text_project(root: Path, captions: Given = CAPTIONS) -> Paths:
    """A manifest with these captions under ``root``, three to a shard."""
    write_manifest(root / "data/manifest", [(0, rows(captions))])
    return Paths(root)


def make_described_project(root: Path, captions: Given = CAPTIONS) -> Paths:
    """The same after a ``caption`` that had nothing to say."""
    paths = make_text_project(root, captions)
    write_no_captions(paths)
    return paths


def write_no_captions(paths: Paths) -> None:
    """``data/captions`` as the stage ``caption`` leaves it where it has nothing to say."""
    write_written(paths.captions, paths.manifest, [])


def run_encode_text(config: Config, paths: Paths) -> dict[str, Any]:
    """The stage, after a ``caption`` that had nothing to say."""
    write_no_captions(paths)
    return encode_text.run(config, paths)


def _captions(given: str | tuple[Caption, ...] | None) -> tuple[Caption, ...]:
    if given is None or isinstance(given, str):
        return () if given is None else (Caption("", given),)
    return given
