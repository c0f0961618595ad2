"""The distinct captions of a dataset, which tar each is stored in (a function of the captions alone), and which clips
have it.

A caption's id is a hash of its text. Tars are the leaves of a binary tree over the ids, split where a leaf would have
more than ``MOST`` captions, so a new caption changes one tar. Captions are first written to files by the beginning of
their ids, and then read a file at a time: what is in memory does not grow with the dataset.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.storage import atomic_write, read_json, storage_errors, write_json
from walt.data.text_tables import CAPTIONS_SCHEMA, CAPTIONS_TABLE, TEXT_FORM

if TYPE_CHECKING:
    from walt.data.captions import Caption

MOST = 2048
"""Captions of a tar: 200 MB at 24 tokens of width 2048."""
_OF_A_FILE = 4 << 20
"""Captions that are in memory at a time, on average at most."""
_ID_DIGITS = 32
_CLIPS_PER_GROUP = 1 << 17


def caption_id(text: str) -> str:
    """32 hexadecimal digits that name a caption, the same wherever it occurs."""
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


@dataclass(frozen=True)
class CaptionsOfTar:
    """What a tar holds."""

    name: str
    texts: dict[str, str]
    """By id, in the order of the ids."""
    uses: Counter[str]
    """How many captions of clips each id is."""


class CaptionFiles:
    """All captions of a dataset in a folder of temporary files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, texts: Iterable[str], num_clips: int) -> None:
        """Replace the files by those of these captions.

        Args:
            num_clips: of the dataset, which decides how many files there are.

        Raises:
            StorageError: the disk is full or read-only.
        """
        self.remove()
        bits = (num_clips // _OF_A_FILE).bit_length()
        count = 0
        with storage_errors(self.folder), ExitStack() as stack:
            self.folder.mkdir(parents=True)
            paths = [self._file(number, bits) for number in range(1 << bits)]
            files = [stack.enter_context(open(path, "w", encoding="utf-8")) for path in paths]
            for text in texts:
                name = caption_id(text)
                files[int(name, 16) >> (4 * _ID_DIGITS - bits)].write(f"{json.dumps([name, text])}\n")
                count += 1
        write_json(self.folder / "count.json", {"captions": count, "bits": bits})

    def count(self) -> int:
        """Captions of all clips together."""
        return int(read_json(self.folder / "count.json")["captions"])

    def tars(self) -> Iterator[CaptionsOfTar]:
        """What is in each tar, in the order of the ids."""
        bits = int(read_json(self.folder / "count.json")["bits"])
        for number in range(1 << bits):
            texts, uses = dict[str, str](), Counter[str]()
            with open(self._file(number, bits), encoding="utf-8") as stream:
                for line in stream:
                    name, text = json.loads(line)
                    texts[name] = text
                    uses[name] += 1
            for beginning, ids in _leaves(f"{number:0{bits}b}" if bits else "", sorted(texts)):
                own = {name: texts[name] for name in ids}
                yield CaptionsOfTar(f"text-{beginning or 'all'}.tar", own, Counter({name: uses[name] for name in ids}))

    def remove(self) -> None:
        """Remove the files."""
        with storage_errors(self.folder):
            if self.folder.is_dir():
                shutil.rmtree(self.folder)

    def _file(self, number: int, bits: int) -> Path:
        return self.folder / f"{number:0{max(1, -(-bits // 4))}x}.jsonl"


def write_captions(directory: Path, clips: Iterable[tuple[str, Sequence[Caption]]], max_tokens: int) -> None:
    """Write names and ids of the captions of each clip, atomically.

    Args:
        clips: (key, captions).
        max_tokens: as in ``CaptionTable``.
    """
    rows = (
        (key, [caption.name for caption in captions], [caption_id(caption.text) for caption in captions])
        for key, captions in clips
    )
    schema = CAPTIONS_SCHEMA.with_metadata({"form": str(TEXT_FORM), "max_tokens": str(max_tokens)})
    with (
        atomic_write(directory / CAPTIONS_TABLE, keep_equal=True) as stream,
        pq.ParquetWriter(stream, schema, compression="zstd") as writer,
    ):
        while group := list(islice(rows, _CLIPS_PER_GROUP)):
            writer.write_table(pa.table(list(zip(*group, strict=True)), schema=schema))


def _leaves(beginning: str, ids: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """The leaves of the tree below the ids that begin with these binary digits, which are sorted; none is empty."""
    if len(ids) <= MOST:
        if ids:
            yield beginning, ids
        return
    upper = f"{beginning}1"
    middle = bisect_left(ids, f"{int(upper.ljust(4 * _ID_DIGITS, '0'), 2):0{_ID_DIGITS}x}")
    yield from _leaves(f"{beginning}0", ids[:middle])
    yield from _leaves(upper, ids[middle:])
