"""What the stored form of clips loses and costs, over the real clips.

    python -m benchmarks.stored_form --crf 8 12 16 20

PSNR is that of RGB pictures after decoding against the decoded source at the stored size.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.ingest_workers import FPS, LIMITS, NUM_FRAMES
from benchmarks.measure import markdown_table
from walt.media.images import Clip, SourceError
from walt.media.mp4 import decode_clip, encode_clip
from walt.media.video import SUFFIXES, read_clips

REAL = Path(__file__).resolve().parents[1].parent / "shared/data/clips"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stored_form", description=__doc__)
    parser.add_argument("--crf", type=int, nargs="+", default=[8, 12, 14, 16, 18, 20])
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--videos", type=Path, default=REAL, help="folder of videos, searched with all its subfolders")
    arguments = parser.parse_args()
    clips = list(read_all(arguments.videos, arguments.side))
    rows = [measure(clips, crf) for crf in arguments.crf]
    shape = f"{NUM_FRAMES}x{arguments.side}x{arguments.side}"
    print(f"{len(clips)} clips of {shape} at {FPS} frames per second.\n")
    header = ["crf", "PSNR median", "PSNR worst", "KB median", "KB largest", "above 60 KB", "ms to encode", "to decode"]
    print(markdown_table(header, rows))


def read_all(folder: Path, side: int) -> Iterator[Clip]:
    """Up to four clips of each video that has one."""
    for path in sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES):
        try:
            clips = read_clips(path, num_frames=NUM_FRAMES, fps=FPS, sizes=[(side, side)], max_clips=4, limits=LIMITS)
        except SourceError as error:
            print(f"{path.name}: {error}")
            continue
        yield from (clip.frames[side, side] for clip in clips)


def measure(clips: list[Clip], crf: int) -> list[str]:
    """A line of the table."""
    start = time.process_time()
    stored = [encode_clip(clip, FPS, crf) for clip in clips]
    encoded = time.process_time()
    back = [decode_clip(data) for data in stored]
    decoded = time.process_time()
    quality = [psnr(one, other) for one, other in zip(back, clips, strict=True)]
    sizes = [len(data) / 1000 for data in stored]
    return [
        str(crf), f"{statistics.median(quality):.1f}", f"{min(quality):.1f}", f"{statistics.median(sizes):.0f}",
        f"{max(sizes):.0f}", f"{sum(size > 60 for size in sizes)}", f"{(encoded - start) / len(clips) * 1000:.1f}",
        f"{(decoded - encoded) / len(clips) * 1000:.1f}",
    ]  # fmt: skip


def psnr(one: Clip, other: Clip) -> float:
    """In dB."""
    return float(10 * np.log10(255**2 / max(float(np.mean((one.astype(np.float64) - other) ** 2)), 1e-9)))


if __name__ == "__main__":
    main()
