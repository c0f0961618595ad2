"""What opening a dataset costs: seconds, the start at any step, memory.

    python -m benchmarks.loader_opening --before ../main

Latents of 10 000 tars of 30 clips, and the text of as many captions, tiny ones: what is measured is their number. Each
opening is a process of its own. The first one hashes all files and reads all headers, the later ones find stamps
(``walt.core.verified_files``). The start is the first batch of a step in the middle of an epoch. Memory is what Python
and Arrow hold afterwards for each clip, apart from what lies in files that are mapped.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.loader_forms import key
from benchmarks.measure import machine, markdown_table

ROOT = Path(__file__).resolve().parents[1]
BATCH, STEP = 64, 1234


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader_opening", description=__doc__)
    parser.add_argument("--tars", type=int, default=10_000)
    parser.add_argument("--clips", type=int, default=30, help="of each tar")
    parser.add_argument("--openings", type=int, default=3)
    parser.add_argument("--before", type=Path, help="checkout of an earlier version")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, arguments.tars, arguments.clips)
        time.sleep(2.5)  # files that have just changed get no stamp: walt.core.verified_files
        lines = [opening(f"opening {number + 1}", root, ROOT) for number in range(arguments.openings)]
        if arguments.before is not None:
            lines.append(opening("before", root, arguments.before.resolve()))
    print(f"{machine('cpu')}; {arguments.tars} tars of {arguments.clips} clips.\n")
    header = ["", "latents, s", "text, s", "processor, s", "start at a step, s", "latents, bytes/clip", "text", "order"]
    print(markdown_table(header, lines))


def opening(name: str, root: Path, version: Path) -> list[str]:
    """A line of the table, by a process with this version of the project."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WALT_CACHE": str(root / "cache")}
    environment["PYTHONPATH"] = os.pathsep.join([str(version), str(ROOT)])
    command = [sys.executable, __file__, str(root)]
    times, memory = (
        subprocess.run([*command, what], env=environment, check=True, capture_output=True, text=True).stdout.split()
        for what in ("times", "memory")
    )
    return [name, *times, *memory]


def write(root: Path, tars: int, clips: int) -> None:
    """Latents and text of as many clips, each with a caption of its own."""
    from safetensors.numpy import save

    from walt.data.captions import Caption
    from walt.data.clip_table import ClipRow
    from walt.data.clip_table_writer import write_clip_rows
    from walt.data.shards import NULL_KEY, ShardRecord, shard_name, write_index, write_shard
    from walt.data.text_tables import caption_id, write_captions

    latent = {"safetensors": save({"latents": np.ones((1, 2, 1, 1), np.float16)})}
    text = {"safetensors": save({"embedding": np.ones((1, 4), np.float16)})}
    latents, count = root / "latents/32x32", tars * clips
    captions = iter(sorted(caption_id(f"caption {number}") for number in range(count)))
    with patch("os.fsync"):  # nobody will miss it
        records = [
            write_shard(latents / shard_name("latents", tar), ((key(tar * clips + n), latent) for n in range(clips)))
            for tar in range(tars)
        ]
        of_text = list[ShardRecord]()
        while ids := list(islice(captions, 2048)):
            of_text.append(write_shard(root / "text" / f"text-{len(of_text):06d}.tar", ((one, text) for one in ids)))
        of_text.append(write_shard(root / "text/null.tar", [(NULL_KEY, text)]))
    rows = (ClipRow(key(number), "video", "train", number // clips, "0" * 64, 0.0, 17) for number in range(count))
    write_clip_rows(root / "latents", rows)
    write_captions(root / "text", ((key(number), [Caption("", f"caption {number}")]) for number in range(count)), 64)
    write_index(latents, "benchmark", records)
    write_index(root / "text", "benchmark", of_text)


def steps(root: Path) -> Iterator[int]:
    """Open latents and text, and take a batch; after each of the three, the number of clips."""
    from walt.data.epoch_order import batch_keys
    from walt.data.latent_dataset import LatentDataset
    from walt.data.text_dataset import TextDataset

    latents = LatentDataset(root / "latents", (32, 32), "train")
    yield len(latents.video_keys)
    text = TextDataset(root / "text")
    yield len(latents.video_keys)
    keys = batch_keys(0, STEP, BATCH, latents.video_keys)
    latents.latents(keys)
    text.embeddings(keys)
    yield len(latents.video_keys)


def measure_times(root: Path) -> None:
    """Print seconds of the two openings, their seconds of processors, and seconds of the first batch."""
    import torch as _torch  # both are there before the clock runs  # noqa: F401

    cpu, marks = time.process_time(), [time.perf_counter()]
    processor = 0.0
    for place, _count in enumerate(steps(root)):
        marks.append(time.perf_counter())
        if place == 1:
            processor = time.process_time() - cpu
    of_latents, of_text, first = (after - before for before, after in pairwise(marks))
    print(f"{of_latents:.2f} {of_text:.2f} {processor:.2f} {first:.3f}")


def measure_memory(root: Path) -> None:
    """Print bytes per clip that the latents, the text and the order of an epoch hold."""
    import pyarrow as pa

    for _ in islice(steps(root), 2):
        pass  # what libraries make when they are used first
    gc.collect()
    tracemalloc.start()
    held, shares = pa.total_allocated_bytes() + tracemalloc.get_traced_memory()[0], []
    for count in steps(root):
        gc.collect()
        now = pa.total_allocated_bytes() + tracemalloc.get_traced_memory()[0]
        shares.append(f"{(now - held) / count:.0f}")
        held = now
    print(*shares)


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[2] in ("times", "memory"):
        (measure_times if sys.argv[2] == "times" else measure_memory)(Path(sys.argv[1]))
    else:
        main()
