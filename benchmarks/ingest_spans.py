"""Many spans of one long video, against decoding the video once.

    python -m benchmarks.ingest_spans [--minutes 10] [--spans 20] [--out results/bench-ingest-spans.md]

Makes its own videos: 20 seconds of a test picture with noise, 854x480 at 30 frames a second, repeated without encoding
again. Ours is what a worker of the stage does at one visit: hashing, decoding, resizing, encoding the clips. Everything
runs in one process on one thread, and is counted in its CPU seconds.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import av
import imageio_ffmpeg

from benchmarks.measure import machine, markdown_table
from walt.ingest.clip_cache import cut_sources
from walt.ingest.clip_rule import ClipRule, ShotSplit
from walt.ingest.hash_and_cut import LocationResult, LocationTask, read_location
from walt.media.images import Limits

ResultT = TypeVar("ResultT")

PART_SECONDS = 20
SPAN_SECONDS = 5.0
VIDEOS = {
    "VP9": ("webm", ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1M"]),
    "H.264": ("mp4", ["-c:v", "libx264"]),
}
"""Container, and ffmpeg's options: with key frames where the encoders set them."""


def main() -> None:
    """Make the videos, measure, print the table, and write it where ``--out`` says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest_spans", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="length of the videos")
    parser.add_argument("--spans", type=int, default=20)
    parser.add_argument("--out", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for codec in VIDEOS:
            path = make_video(Path(scratch), codec, arguments.minutes)
            rows += measure(codec, path, arguments.minutes, arguments.spans)
    header = ["what", "CPU s", "of decoding all"]
    about = (
        f"{arguments.spans} spans of {SPAN_SECONDS:g} s over videos of {arguments.minutes:g} minutes, 854x480, 30 "
        f"frames a second; clips of 17x128x128 at 8 frames a second. {machine('cpu')}."
    )
    text = f"{about}\n\n{markdown_table(header, rows)}\n"
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8")


def make_video(folder: Path, codec: str, minutes: float) -> Path:
    """A long video, encoded in part and repeated."""
    suffix, options = VIDEOS[codec]
    part, whole = folder / f"part.{suffix}", folder / f"whole.{suffix}"
    picture = "testsrc2=size=854x480:rate=30,noise=alls=6:allf=t,format=yuv420p"
    _ffmpeg("-f", "lavfi", "-i", picture, "-t", str(PART_SECONDS), *options, str(part))
    repeats = max(1, round(minutes * 60 / PART_SECONDS))
    _ffmpeg("-stream_loop", str(repeats - 1), "-i", str(part), "-c", "copy", str(whole))
    return whole


def _ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def measure(codec: str, path: Path, minutes: float, count: int) -> list[list[str]]:
    """The rows of one video."""
    whole, frames = _cpu_seconds(lambda: decode(path))
    rows = [[f"{codec}, decoding all {frames} frames", f"{whole:.1f}", "1.00"]]
    step = (minutes * 60 - SPAN_SECONDS) / max(1, count - 1)
    spans = [(round(step * number, 3), round(step * number + SPAN_SECONDS, 3)) for number in range(count)]
    for title, split in (("", None), (", cuts: split", ShotSplit(0.1, 3.0))):
        seconds, found = _cpu_seconds(partial(cut_spans, rule(split), path, spans))
        refused = sum(bool(entry.code) for _, entry, _ in found.results)
        clips = sum(len(entry.clips) for _, entry, _ in found.results)
        title = f"{codec}, {count - refused} of {count} spans, {clips} clips{title}"
        rows.append([title, f"{seconds:.1f}", f"{seconds / whole:.2f}"])
    return rows


def rule(split: ShotSplit | None) -> ClipRule:
    """The clip rule, with or without clips that start at cuts."""
    return ClipRule(
        num_frames=17, fps=8.0, common_sizes=((128, 128),), buckets=(), upscale="allow", max_crop=None, max_clips=4,
        stride_seconds=None, split=split, crf=8, limits=Limits(16, 1 << 26, 600), stills=True,
    )  # fmt: skip


def cut_spans(rule: ClipRule, path: Path, spans: list[tuple[float, float]]) -> LocationResult:
    """What a worker does with all spans of a file."""
    task = LocationTask(str(path), tuple(("video", span) for span in spans))
    return read_location(path.parent, partial(cut_sources, rule), None, task)


def decode(path: Path) -> int:
    """Decode a video from its start to its end; the number of its frames."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def _cpu_seconds(work: Callable[[], ResultT]) -> tuple[float, ResultT]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


if __name__ == "__main__":
    main()
