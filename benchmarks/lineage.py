"""``walt lineage`` and ``walt takedown`` on a generated manifest of a million clips; how well copies are known again.

    python -m benchmarks.lineage size --clips 1000000
    python -m benchmarks.lineage copies FOLDER_OF_VIDEOS

``size`` makes a project of tables alone, without tars, and prints seconds and the highest memory of a process of its
own for each question. ``copies`` cuts the videos by the demo's rule, makes copies in disguises, and counts how many are
refused by the fingerprints of their originals (recall), and how many videos by those of others (false alarms).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import imageio_ffmpeg
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from walt.core.digests import sha256_file, sha256_json
from walt.core.own_digest import parquet_writer
from walt.data.clip_table import CLIPS_TABLE, COLUMNS
from walt.data.manifest import MANIFEST_SCHEMA
from walt.data.partitions import PARTS_INDEX, Part, part_name
from walt.ingest.clip_cache import SourceEntry, SourceFile, cut_sources
from walt.ingest.clip_rule import ClipRule
from walt.ingest.taken_down import BITS, TakedownRecord, TakenDown, fingerprint
from walt.media.kinds import kind_of
from walt.media.mp4 import decode_clip
from walt.project.recipes import load_recipe, recipe_text

app = typer.Typer(add_completion=False)
_CLIPS_OF_A_SOURCE, _CLIPS_OF_A_TAR, _CLIPS_OF_A_PART = 4, 200, 1 << 18

DISGUISES: dict[str, tuple[str, ...]] = {
    "re-encoded, crf 35": ("-crf", "35"),
    "half the size": ("-vf", "scale=trunc(iw/4)*2:trunc(ih/4)*2", "-crf", "23"),
    "quarter of the size": ("-vf", "scale=trunc(iw/8)*2:trunc(ih/8)*2", "-crf", "23"),
    "gamma 1.15": ("-vf", "eq=gamma=1.15", "-crf", "23"),
    "15 frames per second": ("-r", "15", "-crf", "23"),
    "start cut by 0.4 s": ("-ss", "0.4", "-crf", "23"),
    "start cut by 1.31 s": ("-ss", "1.31", "-crf", "23"),
    "cropped by 5 %": ("-vf", "crop=trunc(iw*0.475)*2:trunc(ih*0.475)*2", "-crf", "23"),
    "mirrored": ("-vf", "hflip", "-crf", "23"),
}


def _digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def _table(first: int, last: int) -> pa.Table:
    """Rows of a manifest, made by columns: a million rows one by one take minutes."""
    numbers = range(first, last)
    sources = [number // _CLIPS_OF_A_SOURCE for number in numbers]
    starts = [2.125 * (number % _CLIPS_OF_A_SOURCE) for number in numbers]
    digests = [_digest(number) for number in numbers]
    values: dict[str, list[Any]] = {
        "key": [digest[:32] for digest in digests], "kind": ["video"] * len(numbers),
        "split": ["held_out" if source % 20 == 0 else "train" for source in sources],
        "source": [f"videos/{source:07d}.mp4" for source in sources],
        "source_sha256": [_digest(-1 - source) for source in sources], "start_seconds": starts,
        "end_seconds": [start + 2.125 for start in starts], "num_frames": [17] * len(numbers),
        "captions": [[{"name": "", "text": f"what is seen in video {source}"}] for source in sources],
        "caption_truncated": [False] * len(numbers), "shard": [number // _CLIPS_OF_A_TAR for number in numbers],
        "sha256": digests,
    }  # fmt: skip
    columns = [values.get(column.name, [None] * len(numbers)) for column in MANIFEST_SCHEMA]
    return pa.table(columns, schema=MANIFEST_SCHEMA)


def _make(root: Path, clips: int) -> None:
    """The tables of a project."""
    (root / "params.yaml").write_text(recipe_text("demo"), encoding="utf-8")
    (root / "data/manifest").mkdir(parents=True)
    parts, tables = [], []
    for number, start in enumerate(range(0, clips, _CLIPS_OF_A_PART)):
        table = _table(start, min(clips, start + _CLIPS_OF_A_PART))
        file = root / "data/manifest" / part_name(number)
        pq.write_table(table, file, row_group_size=1 << 15, compression="zstd")
        parts.append(Part(file.name, len(table), file.stat().st_size, sha256_file(file)))
        tables.append(table.select(list(COLUMNS)))
    entries = [vars(part) for part in parts]
    index = json.dumps({"parts": entries, "sha256": sha256_json(entries)}, indent=1) + "\n"
    (root / "data/manifest" / PARTS_INDEX).write_text(index)
    of_clips = pa.concat_tables(tables)
    for folder in ("clips", "latents"):
        (root / "data" / folder).mkdir(parents=True)
        with parquet_writer(root / "data" / folder / CLIPS_TABLE, of_clips.schema) as writer:
            writer.write_table(of_clips)


@app.command("size")
def size(clips: Annotated[int, typer.Option(help="In the manifest.")] = 1_000_000) -> None:
    """Seconds and memory of each question."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _make(root, clips)
        print("| question | seconds | MB |\n|---|---|---|")
        for question in ("register a model", "lineage of the model", "lineage of a source", "takedown, dry run"):
            command = [sys.executable, "-m", "benchmarks.lineage", "ask", question, str(root)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            about = json.loads(done.stdout.splitlines()[-1])
            print(f"| {question} | {about['seconds']:.1f} | {about['mb']:.0f} |", flush=True)


@app.command("ask", hidden=True)
def ask(question: str, root: Path) -> None:
    """One question, in this process."""
    start = time.perf_counter()
    _answer(question, root)
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()  # ru_maxrss counts the parent's, too
    memory = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024
    print(json.dumps({"seconds": time.perf_counter() - start, "mb": memory}))


def _answer(question: str, root: Path) -> None:
    from walt.commands.lineage.show import show_model, show_source
    from walt.commands.takedown.take_down import Request, run
    from walt.project.runner import load_params
    from walt.tracking.runs import start_run

    if question == "register a model":
        tracking = load_params(root).tracking.model_copy(update={"system_metrics": False})
        (root / "models/base").mkdir(parents=True)
        (root / "models/base/config.json").write_text("{}")
        with start_run(tracking, root, "train-base", {}, {}) as tracked:
            tracked.register_model(root / "models/base", "base")
    elif question == "lineage of the model":
        show_model("base", root, as_json=False)
    elif question == "lineage of a source":
        show_source(_digest(-1 - 777), root, as_json=False)
    else:
        run(Request(("videos/0000777.mp4",), "a benchmark", dry_run=True), root)


@app.command("copies")
def copies(folder: Path) -> None:
    """Recall and false alarms on real videos."""
    rule = ClipRule.from_config(load_recipe("demo").ingest, stills=False)
    rule = replace(rule, max_clips=8)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and kind_of(path.name) == "video"]
    cut = {path: _cut(rule, path) for path in files}
    originals = {path: (entry, record) for path, found in cut.items() if found for entry, record in [found]}
    print(f"{len(originals)} videos, {sum(len(entry.clips) for entry, _ in originals.values())} clips")
    print("| copy | known again at 4 bits | 6 | 8 | 10 | 12 |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name, arguments in DISGUISES.items():
            print(_row(name, _disguised(rule, originals, arguments, Path(scratch) / "copy.mp4")), flush=True)
    others = [
        (entry, record) for one, (entry, _) in originals.items() for two, (_, record) in originals.items() if one != two
    ]
    print(_row("another video (false alarm)", others))


def _row(name: str, pairs: list[tuple[SourceEntry, TakedownRecord]]) -> str:
    cells = []
    for bits in (BITS - 4, BITS - 2, BITS, BITS + 2, BITS + 4):
        refused = [TakenDown([replace(record, bits=bits)]).why_refused("", entry, 8.0) for entry, record in pairs]
        cells.append(f"{sum(cause is not None for cause in refused)} of {len(pairs)}")
    return f"| {name} | {' | '.join(cells)} |"


def _disguised(
    rule: ClipRule, originals: dict[Path, tuple[SourceEntry, TakedownRecord]], arguments: tuple[str, ...], copy: Path
) -> list[tuple[SourceEntry, TakedownRecord]]:
    """The clips of the copies that can be cut at all, with the records of their originals."""
    found = []
    for path, (_, record) in originals.items():
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-i", str(path), *arguments, "-an"]
        command += ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-t", "20", str(copy)]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            own = _cut(rule, copy)
            found += [(own[0], record)] if own else []
    return found


def _cut(rule: ClipRule, path: Path) -> tuple[SourceEntry, TakedownRecord] | None:
    """A video's clips, and the record of them; None where it has none."""
    source = SourceFile(_digest(hash(str(path))), "video")
    [[(entry, data)]] = list(cut_sources(rule, path, [source]))
    if entry.code or not entry.clips:
        return None
    smallest = [min(clip.members, key=lambda member: member.size[0] * member.size[1]) for clip in entry.clips]
    frames = [decode_clip(data[member.offset : member.offset + member.num_bytes]) for member in smallest]
    stored = zip((clip.start_seconds for clip in entry.clips), frames, strict=True)
    record = TakedownRecord(source.sha256, "", "2026-01-01", rule.fps, frames=fingerprint(stored, rule.fps))
    return entry, record


if __name__ == "__main__":
    app()
