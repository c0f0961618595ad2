"""The distinct captions of a dataset, and which tar each is stored in: a function of the captions alone.

Tars are the leaves of a binary tree over the ids, split where a leaf would have more than ``MOST`` captions, so a new
caption changes one tar. Captions are first written to files by the beginning of their ids, and then read a file at a
time: what is in memory does not grow with the dataset.
"""

from __future__ import annotations

import json
import shutil
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from walt.core.storage import read_json, storage_errors, write_json
from walt.data.tar_tree import place_of
from walt.data.text_tables import ID_DIGITS, caption_id

MOST = 2048
"""Captions of a tar: 200 MB at 24 tokens of width 2048."""
_OF_A_FILE = 4 << 20
"""Captions that are in memory at a time, on average at most."""


_PREFIX = "text-"


def place_of_tar(name: str) -> int | None:
    """Of the tar with a name in the tree (``walt.data.tar_tree``); None: it is none of these."""
    beginning = name.removeprefix(_PREFIX).removesuffix(".tar")
    return place_of("" if beginning == "all" else beginning) if name.startswith(_PREFIX) else None


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
                files[int(name, 16) >> (4 * ID_DIGITS - bits)].write(f"{json.dumps([name, text])}\n")
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
                yield CaptionsOfTar(
                    f"{_PREFIX}{beginning or 'all'}.tar", own, Counter({name: uses[name] for name in ids})
                )

    def remove(self) -> None:
        """Remove the files."""
        with storage_errors(self.folder):
            if self.folder.is_dir():
                shutil.rmtree(self.folder)

    def _file(self, number: int, bits: int) -> Path:
        return self.folder / f"{number:0{max(1, -(-bits // 4))}x}.jsonl"


def _leaves(beginning: str, ids: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """The leaves of the tree below the ids that begin with these binary digits, which are sorted; none is empty."""
    if len(ids) <= MOST:
        if ids:
            yield beginning, ids
        return
    upper = f"{beginning}1"
    middle = bisect_left(ids, f"{int(upper.ljust(4 * ID_DIGITS, '0'), 2):0{ID_DIGITS}x}")
    yield from _leaves(f"{beginning}0", ids[:middle])
    yield from _leaves(upper, ids[middle:])
