"""A project with a few stored clips and their manifest, for exports: no stage has to run."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.settings import recipe
from tests.support.tiny_clips import SIZES, picture
from walt.core.paths import Paths
from walt.core.sizes import size_folder
from walt.data.captions import Caption
from walt.data.clip_table import ClipRow
from walt.data.clip_table_writer import write_clip_rows
from walt.data.manifest import ManifestRow, write_manifest
from walt.data.shards import Sample, shard_name, write_index, write_shard
from walt.export.facts import Facts
from walt.export.run import Exported, Request, export
from walt.media.images import png_bytes
from walt.media.mp4 import encode_clip

FACTS = Facts("tiny", "Ramps of grey.", "CC-BY-4.0", "https://example.org/tiny", ("dark", "bright"))
MEASURES: dict[str, type[float | str]] = {"motion": float, "tone": str}


def row(key: str, split: str = "train", shard: int = 0, *, captioned: bool = True, **changes: Any) -> ManifestRow:
    """A clip; its key begins with ``v`` or ``i`` and ends with a digit."""
    video = key.startswith("v")
    fields: dict[str, Any] = {
        "key": key, "kind": "video" if video else "image", "split": split,
        "source": f"{key} ü.{'mp4' if video else 'png'}",
        "source_sha256": "0" * 63 + key[1], "start_seconds": 0.5, "end_seconds": 0.5 + (5 / 8 if video else 0),
        "num_frames": 5 if video else 1, "caption_truncated": False,
        "captions": (Caption("", f'grey "ramp" {key}, größer'),) if captioned else (),
        "label": int(key[1]) % 2, "shard": shard, "sha256": "0" * 64, "source_height": 64, "source_width": 64,
        "source_fps": 24.0 if video else None, "source_seconds": 3.0 if video else None,
        "measures": {"motion": 1.5 if video else None, "tone": "grey"},
    }  # fmt: skip
    return ManifestRow(**fields | changes)


ROWS = (
    row("v0"), row("v1"), row("v2", captioned=False), row("v3", "held_out"), row("i0"), row("i1", "held_out"),
    row("v4", shard=3), row("v5", shard=3), row("v6", "held_out", shard=3), row("i2", shard=3), row("v7", shard=3),
)  # fmt: skip
"""Two tars whose numbers have a gap; one video has no caption."""


def write_project(root: Path, rows: tuple[ManifestRow, ...] = ROWS) -> Paths:
    """Tars, indexes, table and manifest under ``root/data``, a descriptor, and ``params.yaml``."""
    paths = Paths(root)
    for height, width in SIZES:
        folder = paths.clips / size_folder((height, width))
        numbers = sorted({one.shard for one in rows})
        records = [write_shard(folder / shard_name("clips", n), _samples(rows, n, height)) for n in numbers]
        write_index(folder, "tiny clips", records)
    write_clip_rows(paths.clips, map(ClipRow.of, rows))
    write_manifest(paths.manifest, [(0, rows)], MEASURES)
    return paths


def write_params(root: Path) -> None:
    """``params.yaml`` and the descriptor that it names, with the facts of ``FACTS``."""
    descriptor = {
        "name": FACTS.name, "summary": FACTS.summary, "licence": FACTS.licence, "homepage": FACTS.homepage,
        "source": {"kind": "folder", "patterns": ["**/*"]}, "classes": "classes.txt", "caption_required": False,
        "images": True, "held_out": 0.1, "adherence": None, "generator": None,
    }  # fmt: skip
    (root / "tiny.yaml").write_text(json.dumps(descriptor))
    assert FACTS.classes is not None
    (root / "classes.txt").write_text("\n".join(FACTS.classes))
    params = recipe()
    dataset = params.dataset.model_copy(update={"descriptor": "tiny.yaml", "path": "."})
    document = params.model_copy(update={"dataset": dataset}).model_dump(mode="json")
    (root / "params.yaml").write_text(json.dumps(document))


def stored(one: ManifestRow, side: int) -> Sample:
    """What the clip's tar holds."""
    clip = picture(one.key, side)
    member = {"mp4": encode_clip(clip, 8, 0)} if one.kind == "video" else {"png": png_bytes(clip[0])}
    return {**member, "json": b'{"fps": 8.0}'}


def exported(paths: Paths, folder: Path, layout: str, **settings: Any) -> Exported:
    """Export with two clips to a file, unless said otherwise."""
    return export(Request(folder, layout, **{"clips_per_file": 2, **settings}), FACTS, paths)


def files_in(folder: Path) -> dict[str, bytes]:
    """The bytes of all files, by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tar_members(path: Path) -> dict[str, bytes]:
    """Name and bytes of each member, in order."""
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines."""
    return [json.loads(line) for line in io.StringIO(path.read_text(encoding="utf-8"))]


def _samples(rows: tuple[ManifestRow, ...], number: int, side: int) -> Iterator[tuple[str, Sample]]:
    here = [one for one in rows if one.shard == number]
    return ((one.key, stored(one, side)) for one in here if one.sizes is None or size_folder((side, side)) in one.sizes)
