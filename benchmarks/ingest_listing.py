"""What listing costs, against the least that reading the same files can cost.

    python -m benchmarks.ingest_listing [--rows 1000000] [--files 100000] [--rounds 3] [--out FILE]

A table of JSON lines with captions and a score, against ``pyarrow.json`` that reads it into memory; and videos with a
text beside each, against a walk that opens and reads every text. Each contestant runs in a process of its own, in
turns; seconds are of its processor and of the clock, memory is the growth of its peak. The rows of the table name files
that are there (few: many rows name a span of one file), so that each is checked.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import machine, markdown_table
from walt.ingest.sources.adapters import entries
from walt.ingest.sources.caption_places import CaptionFile
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.folders import LocalFolder
from walt.ingest.sources.items import Item, Rules
from walt.ingest.sources.kinds import FileList, PlainFolder

SPANS = 1000
"""Rows per file of the table."""
Figures = tuple[float, float, float]
"""Seconds by the clock, seconds of the processor, growth of the peak in MB."""


def write_table(folder: Path, rows: int) -> None:
    """A table of spans, and the files that it names."""
    folder.mkdir()
    with open(folder / "t.jsonl", "w", encoding="utf-8") as stream:
        for number in range(rows):
            name, start = f"{number // SPANS:05d}.mp4", number % SPANS
            if not start:
                (folder / name).touch()
            caption = f"a caption of usual length about what is seen in the span with the number {number}"
            record = {"path": name, "caption": caption, "start": start, "end": start + 1, "score": number / 7}
            stream.write(json.dumps(record) + "\n")


def write_pairs(folder: Path, files: int) -> None:
    """Videos with a text beside each, a thousand per folder."""
    for number in range(files):
        inner = folder / f"{number // 1000:04d}"
        if not number % 1000:
            inner.mkdir(parents=True)
        (inner / f"{number}.mp4").touch()
        (inner / f"{number}.txt").write_text(f"a caption about the video with the number {number}\n")


def with_pyarrow(folder: Path) -> int:
    """Rows of the table, read into memory by pyarrow."""
    import pyarrow.json

    return int(pyarrow.json.read_json(folder / "t.jsonl").num_rows)


def by_us(folder: Path) -> int:
    """Inputs of the table, one after the other."""
    source = FileList(
        kind="list", tables=("t.jsonl",), path_column="path", caption_columns=("caption",),
        span_columns=("start", "end"), number_columns=("score",), absent="refuse",
    )  # fmt: skip
    return _items(folder, source)


def walk(folder: Path) -> int:
    """Texts that are opened and read."""
    texts = 0
    for above, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".txt"):
                with open(f"{above}/{name}", encoding="utf-8") as stream:
                    texts += bool(stream.read())
    return texts


def pairs_by_us(folder: Path) -> int:
    """Inputs with a text beside them."""
    source = PlainFolder(kind="folder", patterns=("**/*",), captions=(CaptionFile(file="{path}.txt"),))
    return _items(folder, source)


def _items(folder: Path, source: FileList | PlainFolder) -> int:
    dataset = Dataset(LocalFolder(folder), Rules(True, True, 512, 0.05), None)
    return sum(isinstance(entry, Item) for entry in entries(source, dataset))


def measured(work: Callable[[Path], int], folder: Path, expected: int) -> Figures:
    """Run the work in this process, which is fresh."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    found = work(folder)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert found == expected, f"{work.__name__}: {found}, expected {expected}"
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, (after.ru_maxrss - before.ru_maxrss) / 1024


def compare(ours: Callable[[Path], int], theirs: Callable[[Path], int], folder: Path, count: int, rounds: int) -> str:
    """A table of both, which take turns."""
    figures: dict[str, list[Figures]] = {ours.__name__: [], theirs.__name__: []}
    for _ in range(rounds):
        for work in (theirs, ours):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
                figures[work.__name__].append(fresh.submit(measured, work, folder, count).result())
    rows = []
    least = statistics.median(cpu for _, cpu, _ in figures[theirs.__name__])
    for name, values in figures.items():
        clock, cpu, peak = (statistics.median(column) for column in zip(*values, strict=True))
        rows.append([name, f"{clock:.2f}", f"{cpu:.2f}", f"{cpu / least:.1f} x", f"{peak:.0f}"])
    return markdown_table(["", "seconds", "CPU seconds", "against the least", "MB at the peak"], rows)


def main() -> None:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/bench-ingest-listing.md"))
    arguments = parser.parse_args()
    with TemporaryDirectory() as temporary:
        table, pairs = Path(temporary) / "table", Path(temporary) / "pairs"
        write_table(table, arguments.rows)
        write_pairs(pairs, arguments.files)
        text = f"{machine('cpu')}\n\n{arguments.rows} rows of JSON lines:\n\n"
        text += compare(by_us, with_pyarrow, table, arguments.rows, arguments.rounds)
        text += f"\n\n{arguments.files} videos with a text beside each:\n\n"
        text += compare(pairs_by_us, walk, pairs, arguments.files, arguments.rounds)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
