"""Looks for a source in all files of a project: for its bytes and pictures, the keys of its clips, its captions.

Files are read as what they are by their first bytes, whatever their names, since those in DVC's cache have none: in
tars the members are hashed, in Parquet tables every text is read, all others are looked through byte by byte. What is
compressed otherwise (zip, a video's pictures) is only compared as a whole.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from markupsafe import escape

from walt.core.digests import sha256_file
from walt.ingest.taken_down import FOLDER

PASSED_OVER = (".git", ".venv", FOLDER, "work/takedown", "work/lineage")
"""Below the root: git's history is its own (docs/takedown.md); the others name sources by hash, as they should."""
_TAR_MAGIC, _TAR_MAGIC_PLACE = b"ustar", 257
_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Needles:
    """What is looked for."""

    keys: frozenset[str] = frozenset()
    """Of clips, and ids of captions: texts of 32 hexadecimal digits."""
    captions: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    """SHA-256 of their bytes: as text they may be named, in the tables of refused inputs and in MLflow."""
    pictures: frozenset[str] = frozenset()
    """SHA-256 of the picture files of clips, in each size."""
    samples: frozenset[str] = frozenset()
    """SHA-256 of files that were sampled with its captions, or go on from its clips: no text is found in pixels."""

    @property
    def contents(self) -> frozenset[str]:
        """SHA-256 of files and members of tars."""
        return self.sources | self.pictures

    def texts(self) -> dict[str, str]:
        """Text -> what it is, for messages."""
        named = ((self.captions, "caption"), (self.keys, "key"), (self.pictures, "picture's hash"))
        return {text: what for texts, what in named for text in texts}

    def patterns(self) -> dict[bytes, str]:
        """Bytes -> what they are: texts as they are, and as JSON, HTML and CSV write them."""
        found: dict[bytes, str] = {}
        for text, what in self.texts().items():
            as_json = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
            forms = (text, *as_json, str(escape(text)), text.replace('"', '""'))
            found |= dict.fromkeys((form.encode("utf-8", "surrogatepass") for form in forms), what)
        return found


@dataclass
class Searched:
    """What a search found."""

    files: int = 0
    bytes: int = 0
    found: dict[Path, set[str]] = field(default_factory=dict)
    """File -> what of the source it holds: ``bytes``, ``key``, ``caption``, ``sample``."""
    unread: dict[Path, str] = field(default_factory=dict)
    """Files that could not be read, and why."""


def search(root: Path, needles: Needles, more: Iterable[Path] = ()) -> Searched:
    """Look through all files below the root, and below further folders: a cache of DVC and sources that are elsewhere.

    A further folder that is below the root is not read twice.
    """
    result, patterns = Searched(), needles.patterns()
    for path in _files(root, more):
        try:
            size = path.stat().st_size
            what = _look(path, size, needles, patterns)
        except (OSError, pa.ArrowException, tarfile.TarError) as error:
            result.unread[path] = str(error).splitlines()[0] if str(error) else type(error).__name__
            continue
        result.files += 1
        result.bytes += size
        if what:
            result.found[path] = what
    return result


def _files(root: Path, more: Iterable[Path]) -> Iterator[Path]:
    passed = {root / name for name in PASSED_OVER}
    elsewhere = [top for top in more if not top.resolve().is_relative_to(root.resolve())]
    for top in (root, *elsewhere):
        for folder, folders, files in os.walk(top):
            here = Path(folder)
            folders[:] = sorted(name for name in folders if here / name not in {*passed, root})
            yield from (here / name for name in sorted(files) if not (here / name).is_symlink())


def _look(path: Path, size: int, needles: Needles, patterns: dict[bytes, str]) -> set[str]:
    """What a file holds of the source."""
    if not size:
        return set()
    with open(path, "rb") as stream:
        begin = stream.read(_TAR_MAGIC_PLACE + len(_TAR_MAGIC))
        digest = sha256_file(path)
        named = ((needles.contents, "bytes"), (needles.samples, "sample"))
        found = {what for digests, what in named if digest in digests}
        if begin.startswith(_PARQUET_MAGIC):
            return found | set(_in_table(path, needles))
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found |= {what for pattern, what in patterns.items() if content.find(pattern) >= 0}
        if begin[_TAR_MAGIC_PLACE:] == _TAR_MAGIC and needles.contents:
            found |= set(_in_tar(path, needles))
    return found


def _in_tar(path: Path, needles: Needles) -> Iterator[str]:
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None and hashlib.sha256(stream.read()).hexdigest() in needles.contents:
                yield "bytes"
                return


def _in_table(path: Path, needles: Needles) -> Iterator[str]:
    texts = needles.texts()
    values = pa.array(sorted(texts), pa.string())
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1 << 16):
            for column in _texts(batch.columns):
                for text in pc.unique(column.filter(pc.is_in(column, values))).to_pylist():
                    yield texts[text]


def _texts(columns: Iterable[pa.Array]) -> Iterator[pa.Array]:
    """All columns of text, those in lists and structs as well."""
    for column in columns:
        kind = column.type
        if pa.types.is_dictionary(kind):
            yield from _texts([column.dictionary])
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            yield column.cast(pa.string())
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            yield from _texts([column.flatten()])
        elif pa.types.is_struct(kind):
            yield from _texts(column.flatten())
