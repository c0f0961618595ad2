"""What each step of ingest costs per item, for the arithmetic of docs/scale.md.

    python -m benchmarks.ingest_costs [--items 20000] [--out results/bench-ingest-costs.md]

Makes its own files. Everything runs in one process and is counted in its CPU seconds, so that neighbours on the
machine disturb little. Listing, hashing, caching, packing and tables are measured on many small items, cutting on a
video of ten seconds and on a photograph-sized image. Memory is that of Python's objects (tracemalloc), except for the
readers of the manifest: each runs in a fresh process, whose growth at its peak is given.
"""

from __future__ import annotations

import argparse
import csv
import gc
import hashlib
import os
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.measure import machine, markdown_table
from walt.core.config import load_section
from walt.core.digests import sha256_file
from walt.data.captions import Caption
from walt.data.clip_table import CLIPS_TABLE, ClipRow, read_clip_rows
from walt.data.clip_table_writer import write_clip_rows
from walt.data.manifest import ManifestRow, iterate_columns, iterate_manifest, read_manifest, write_manifest
from walt.data.shards import ShardReader, write_index, write_shard
from walt.ingest.clip_cache import ClipCache, ClipEntry, ClipMember, SourceEntry, SourceFile, cut_sources
from walt.ingest.clip_rule import ClipRule
from walt.ingest.clip_tars import MOST_PART_ROWS, Source, assign_shards
from walt.ingest.config import Descriptor
from walt.ingest.hidden_edits import edits_since
from walt.ingest.measures import Measures
from walt.ingest.sources.adapters import list_items
from walt.ingest.sources.folders import LocalFolder
from walt.media.images import Limits
from walt.media.kinds import Kind
from walt.media.mp4 import encode_clip
from walt.media.video import SourceFacts
from walt.pages.report_dataset import survey

ROOT = Path(__file__).resolve().parents[1]
CLIPS_PER_VIDEO = 4
CLIP_BYTES = 50_000
MANIFEST_ROWS = 50
"""Times the items: enough for several parts."""
VOLUME = 256
"""MiB of a large file."""
VIDEO_FRAMES, VIDEO_SIZE = 240, (480, 854)
REPEATS: dict[Kind, int] = {"video": 5, "image": 50}
"""Of cutting."""
START_METHOD = "spawn"
"""How processes that read the manifest begin: with nothing in memory yet."""
RULE = ClipRule(
    num_frames=17, fps=8.0, common_sizes=((128, 128),), buckets=(), upscale="allow", max_crop=None,
    max_clips=CLIPS_PER_VIDEO, stride_seconds=None, split=None, crf=8, limits=Limits(16, 1 << 26, 3600), stills=True,
)  # fmt: skip
MEASURES = Measures(
    (5.125,) * 16, (2.125,) * 16, (150.0,) * 17, ("0123456789abcdef",) * 3, ((100.25, 110.5, 90.75),) * 3
)


class Costs:
    """CPU time and memory by step."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []

    @contextmanager
    def cpu(self, step: str, count: int, unit: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.add(step, unit, _seconds((time.process_time() - start) / count))

    def memory(self, step: str, count: int, unit: str, work: Callable[[], object]) -> None:
        """Of what ``work`` returns."""
        tracemalloc.start()
        kept = work()
        gc.collect()
        self.add(step, unit, f"{tracemalloc.get_traced_memory()[0] / count:.0f} bytes")
        tracemalloc.stop()
        del kept

    def add(self, step: str, unit: str, cost: str) -> None:
        self.rows.append((step, unit, cost))
        print(f"{step}: {cost} per {unit}", flush=True)


def _seconds(value: float) -> str:
    return f"{value * 1e6:.1f} us" if value < 1e-3 else f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def many_small_items(costs: Costs, folder: Path, count: int) -> None:
    """Listing, hashing, the sources in memory, their tars."""
    descriptor = load_section(ROOT / "datasets/shapes.yaml", Descriptor)
    videos = folder / "videos"
    for number in range(count):
        path = videos / f"{number % 100:02d}/a-name-of-usual-length-{number:09d}.mp4"
        if number < 100:
            path.parent.mkdir(parents=True)
        path.write_bytes(number.to_bytes(8, "big") * 1250)
    with open(videos / "captions.csv", "w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["path", "caption"])
        names = (str(path.relative_to(videos)) for path in videos.rglob("*.mp4"))
        table.writerows([name, f"a caption of usual length about what is seen in {name}"] for name in names)
    with edits_since(LocalFolder(videos), folder / "record.jsonl"):
        pass
    with (
        costs.cpu("preparing (a look, compared with the record)", count, "source"),
        edits_since(LocalFolder(videos), folder / "record.jsonl"),
    ):
        pass
    costs.memory("listing, in memory", count, "source", lambda: list_items(descriptor, folder, str(videos), 512))
    with costs.cpu("listing", count, "source"):
        items = list_items(descriptor, folder, str(videos), 512).items
    with costs.cpu("hashing a file of 10 kB", count, "source"):
        digests = [sha256_file(item.path) for item in items]

    def hashed() -> dict[str, Source]:
        copies = ["".join(digest) for digest in digests]  # so that they count
        return {d: Source(item, d, None, CLIPS_PER_VIDEO, True) for d, item in zip(copies, items, strict=True)}

    costs.memory("hashed sources besides, in memory", count, "source", hashed)
    sources = list(hashed().values())
    with costs.cpu("choosing tars", count, "source"):
        shards = assign_shards(sources, 1000)
    filled = [sum(source.num_clips for source in shard) for shard in shards.values()]
    costs.add("clips in a tar of at most 1000", "tar", f"{sum(filled) / len(filled):.0f}")


def bytes_by_the_hundred(costs: Costs, folder: Path) -> None:
    """SHA-256 of large files, the cache, tars and their verification."""
    large = folder / "large"
    large.write_bytes(os.urandom(VOLUME << 20))
    with costs.cpu("hashing, by volume", VOLUME, "MiB"):
        sha256_file(large)
    count = 200
    data = os.urandom(CLIP_BYTES)
    sha256 = hashlib.sha256(data).hexdigest()
    cache = ClipCache(folder / "cache", RULE)
    entries = []
    for number in range(count):
        digest = f"{number:064x}"
        members = [ClipMember((128, 128), "mp4", n * len(data), len(data), sha256) for n in range(CLIPS_PER_VIDEO)]
        clips = tuple(
            ClipEntry(f"{number}-{n}", "video", 2.0 * n, 17, (member,), MEASURES) for n, member in enumerate(members)
        )
        facts = SourceFacts(480, 854, 25.0, 10.0)
        entries.append((SourceFile(digest, "video"), SourceEntry(digest, clips, facts)))
    with costs.cpu("caching a source of 4 clips", count, "source"):
        for file, entry in entries:
            cache.put(file, entry, data * CLIPS_PER_VIDEO)
    with costs.cpu("finding a source in the cache", count, "source"):
        for file, _ in entries:
            cache.get(file)
    samples = (
        (clip.key, {"mp4": cache.read(file, entry, clip.key, (128, 128)), "json": b"{}"})
        for file, entry in entries
        for clip in entry.clips
    )
    with costs.cpu("packing clips of 50 kB, with reading and hashing them", count * CLIPS_PER_VIDEO, "clip"):
        record = write_shard(folder / "tars/clips-000000.tar", samples)
    write_index(folder / "tars", "id", [record])
    with costs.cpu("verifying and opening a tar", count * CLIPS_PER_VIDEO, "clip"):
        ShardReader(folder / "tars")
    costs.memory("index of a tar, in memory", count * CLIPS_PER_VIDEO, "clip", lambda: ShardReader(folder / "tars"))


def tables(costs: Costs, folder: Path, count: int) -> None:
    """The manifest."""

    def rows() -> Iterator[ManifestRow]:
        for number in range(count):
            digest = hashlib.sha256(number.to_bytes(8, "big")).hexdigest()
            yield ManifestRow(
                key=digest[:32], kind="video", split="train", source=f"00/a-name-of-usual-length-{number // 4:09d}.mp4",
                source_sha256=digest, start_seconds=2.0, end_seconds=4.0, num_frames=17,
                captions=(Caption("", f"a caption of usual length about what is seen in {number}"),),
                caption_truncated=False,
                label=None, shard=number // 700, sha256=digest,
            )  # fmt: skip

    path, unwritten = folder / "manifest", rows()
    with costs.cpu("writing the manifest", count, "clip"):
        write_manifest(path, ((first, islice(unwritten, MOST_PART_ROWS)) for first in range(0, count, MOST_PART_ROWS)))
    sizes = [file.stat().st_size for file in path.iterdir()]
    costs.add("manifest, on disk", "clip", f"{sum(sizes) / count:.0f} bytes")
    costs.add(f"manifest, its largest part of {len(sizes) - 1}", "part", f"{max(sizes) / 1e6:.0f} MB")
    write_clip_rows(path, (ClipRow.of(row) for row in iterate_manifest(path)))
    costs.add("table of keys, on disk", "clip", f"{(path / CLIPS_TABLE).stat().st_size / count:.0f} bytes")
    for step in READERS:
        with ProcessPoolExecutor(1, get_context(START_METHOD)) as pool:
            seconds, grown = pool.submit(_cost_of_reading, step, path).result()
        costs.add(step, "clip", _seconds(seconds / count))
        costs.add(f"{step}, growth of the process for {count} clips", "process", f"{grown / 1e6:.0f} MB")


READERS: dict[str, Callable[[Path], object]] = {
    "reading the manifest whole, as rows": read_manifest,
    "reading the manifest, one row after the other": lambda folder: deque(iterate_manifest(folder), maxlen=0),
    "reading four columns of the manifest": lambda folder: deque(
        iterate_columns(folder, "key", "captions", "label", "shard"), maxlen=0
    ),
    "counting the manifest for the report": survey,
    "reading the table of keys whole": read_clip_rows,
}


def _cost_of_reading(step: str, folder: Path) -> tuple[float, int]:
    """In a process of its own: CPU seconds, and bytes by which its peak grew."""
    before, start = _peak_memory(), time.process_time()
    READERS[step](folder)
    return time.process_time() - start, _peak_memory() - before


def _peak_memory() -> int:
    """Bytes that were resident at most, of this process alone."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def cutting(costs: Costs, folder: Path) -> None:
    """Decoding, resizing and encoding: a ten-second video of 480p to four clips, an image to one."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 108, 3), dtype=np.uint8)
    scene = np.asarray(Image.fromarray(noise).resize(VIDEO_SIZE[::-1], Image.Resampling.BICUBIC))
    frames = np.stack([np.roll(scene, 3 * number, axis=1) for number in range(VIDEO_FRAMES)])
    video, image = folder / "video.mp4", folder / "image.jpg"
    video.write_bytes(encode_clip(frames, 24.0, 23))
    Image.fromarray(scene).resize((500, 375)).save(image, quality=90)
    cases: list[tuple[Path, Kind]] = [(video, "video"), (image, "image")]
    for path, kind in cases:
        repeats = REPEATS[kind]
        source = SourceFile(sha256_file(path), kind)
        (((entry, _),),) = cut_sources(RULE, path, [source])
        size = sum(member.num_bytes for clip in entry.clips for member in clip.members)
        with costs.cpu(f"cutting (decode, resize, encode) a {kind} to {RULE.sizes[0]}", repeats, kind):
            for _ in range(repeats):
                list(cut_sources(RULE, path, [source]))
        costs.add("stored clips", kind, f"{size} bytes")


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    costs = Costs()
    with TemporaryDirectory() as name:
        folder = Path(name)
        many_small_items(costs, folder, arguments.items)
        bytes_by_the_hundred(costs, folder)
        tables(costs, folder, MANIFEST_ROWS * arguments.items)
        cutting(costs, folder)
    text = f"{machine('cpu')}\n\n{markdown_table(['step', 'per', 'cost'], costs.rows)}\n"
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
