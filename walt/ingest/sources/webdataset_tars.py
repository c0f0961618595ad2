"""Existing tars of samples: pictures are inputs, with captions and labels beside them under the same key.

Only headers and captions are read here; pictures are read in place, never unpacked under their own names. A key is the
member's name without its last extension, so that ``my.video.v1.mp4`` and ``my.video.v2.mp4`` are two samples, or, where
the source says so, what is before the first dot of its last part, as WebDataset and energon have it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.log import warning
from walt.data.captions import Caption
from walt.ingest.sources import energon_splits
from walt.ingest.sources.caption_files import text_of
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.file_list import split_of
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.items import Entry, Refusal
from walt.ingest.sources.kinds import WebDatasetTars
from walt.ingest.sources.locations import member_location
from walt.ingest.sources.tar_members import Place, members
from walt.ingest.tables.cells import BadValue, convert
from walt.ingest.tables.fields import getter
from walt.media.kinds import is_media

LONGEST_TEXT = 1 << 20
LONGEST_INDEX = 1 << 30
INDEX = "index"
"""Extension of captions that are not in the tar but in the JSON file beside it: ``shard_0.json`` with ``files``."""


def entries(source: WebDatasetTars, dataset: Dataset) -> Iterator[Entry]:
    """List the pictures and videos of all tars as ``TAR::MEMBER``.

    Refusals: ``outside`` (a name with ``..``, or absolute), ``special`` (a link, a device, a sparse file), ``pickle``,
    ``duplicate_member``, ``no_media`` (a caption without a picture), ``bad_label``, ``bad_caption`` (with what it is
    instead), those of ``Rules.item``, and ``truncated`` (a whole tar, where ``source.damaged`` is ``refuse``).

    Raises:
        ConfigurationError: no tar matches, or ``source.caption`` is not a kind of caption.
        CorruptArtifactError: a tar is cut short or not a tar, where ``source.damaged`` is ``stop``.
    """
    wanted = [Wanted.of(text) for text in ((source.caption,) if isinstance(source.caption, str) else source.caption)]
    splits = energon_splits.read(dataset.folder, source.energon) if source.energon else energon_splits.Splits()
    for pattern in source.tars:
        tars = dataset.folder.matching(pattern)
        if not tars:
            raise ConfigurationError(f"{dataset.folder.location(pattern)}: no such file (source.tars)")
        for tar in tars:
            if splits.leaves_out(tar):
                continue
            try:
                found = list(_tar_entries(tar, source, dataset, wanted, splits))
            except CorruptArtifactError as error:
                if source.damaged == "stop":
                    raise
                found = [Refusal(tar, "truncated", str(error))]
            yield from found


@dataclass(frozen=True)
class Wanted:
    """Where a sample's caption is: a member of this extension, and for JSON the field in it."""

    extension: str
    field: str

    @classmethod
    def of(cls, text: str) -> Wanted:
        """``txt``, ``json:caption``, ``info.json:model.long``, ``index:captions``. Raises ConfigurationError."""
        extension, _, name = text.partition(":")
        if not extension or (extension == INDEX or extension.endswith("json")) != bool(name):
            said = f"an extension such as 'txt', or one of JSON and a field such as 'json:caption', not '{text}'"
            raise ConfigurationError(f"source.caption: {said}")
        return cls(extension.lstrip(".").lower(), name)

    @property
    def name(self) -> str:
        """The caption's name."""
        return self.field.replace("*.", "") or self.extension


@dataclass
class _Sample:
    """The members of one key, by extension."""

    places: dict[str, Place] = field(default_factory=dict)
    media: list[str] = field(default_factory=list)
    """Names of its pictures and videos."""


def key_and_extension(name: str, ends_at: str) -> tuple[str, str]:
    """``sub/a.b.MP4`` -> (``sub/a.b``, ``mp4``) by the last dot, (``sub/a``, ``b.mp4``) by the first."""
    folder, slash, last = name.rpartition("/")
    stem, _, extension = last.partition(".") if ends_at == "first_dot" else last.rpartition(".")
    return f"{folder}{slash}{stem}", extension.lower()


def _tar_entries(
    tar: str, source: WebDatasetTars, dataset: Dataset, wanted: list[Wanted], splits: energon_splits.Splits
) -> Iterator[Entry]:
    where = dataset.folder.location(tar)
    with dataset.folder.open(tar) as stream:
        samples: dict[str, _Sample] = {}
        seen: dict[str, Place] = {}
        for name, refusal, place in members(where, stream):
            if refusal or name in seen:
                code, cause = refusal or ("duplicate_member", "the tar has this name twice")
                yield Refusal(f"{tar}::{name}", code, cause)
                continue
            seen[name] = place
            key, extension = key_and_extension(name, source.key_ends_at)
            sample = samples.setdefault(key, _Sample())
            sample.places[extension] = place
            if is_media(name) and source.video in (None, extension):
                sample.media.append(name)
        index = _index(dataset.folder, tar) if any(one.extension == INDEX for one in wanted) else {}
        reader = _Reader(tar, where, stream, source, dataset, wanted, index)
        lonely = []
        for key, sample in samples.items():
            if splits.excludes(tar, key):
                continue
            if not sample.media and any(one.extension in sample.places for one in wanted):
                lonely.append(key)
            for name in sample.media:
                yield reader.entry(name, seen[name], sample, splits.split(tar))
        yield from _lonely(tar, source, wanted, samples, lonely)


def _lonely(
    tar: str, source: WebDatasetTars, wanted: list[Wanted], samples: dict[str, _Sample], keys: list[str]
) -> Iterator[Refusal]:
    """The refusals of captions without a picture; where another rule for keys would join them, that is said."""
    ends = source.key_ends_at.replace("_", " ")
    for key in keys:
        for one in wanted:
            if one.extension in samples[key].places:
                cause = f"a caption, but no picture with the key {key!r}: a key ends at the {ends} of a name"
                yield Refusal(f"{tar}::{key}.{one.extension}", "no_media", cause)
    bare = next((key for key, sample in samples.items() if sample.media and key not in keys), None)
    if keys and bare is not None and bare.partition(".")[0] == keys[0].partition(".")[0]:
        other = "first_dot" if source.key_ends_at == "last_dot" else "last_dot"
        said = f"'{keys[0]}' has a caption and no picture, '{bare}' a picture: a key ends at the {ends} of a name"
        warning(f"{tar}: {said}; source.key_ends_at: {other} may join them")


@dataclass(frozen=True)
class _Reader:
    """Makes entries of a tar that is open."""

    tar: str
    where: str
    stream: IO[bytes]
    source: WebDatasetTars
    dataset: Dataset
    wanted: list[Wanted]
    index: Mapping[str, Any]

    def entry(self, name: str, place: Place, sample: _Sample, split: Any) -> Entry:
        """The input of a picture or video."""
        full = f"{self.tar}::{name}"
        label = _label(self.stream, sample.places.get("cls"))
        if label == _BAD_LABEL:
            return Refusal(full, "bad_label", "its .cls does not hold a class number")
        if label is not None and self.dataset.classes is not None and label >= len(self.dataset.classes):
            return Refusal(full, "bad_label", f"class {label}, but there are {len(self.dataset.classes)} classes")
        captions: list[Caption] = []
        for one in self.wanted:
            found = self._captions(one, name, sample)
            if isinstance(found, BadValue):
                return Refusal(full, "bad_caption", found.cause)
            captions += found
        numbers = self._numbers(sample)
        if isinstance(numbers, BadValue):
            return Refusal(full, "bad_row", numbers.cause)
        if split is None and self.source.split == "name":
            split = split_of(self.tar)
        location = member_location(self.where, place.offset, place.size)
        return self.dataset.rules.item(full, location, captions, label=label, split=split, numbers=numbers)

    def _captions(self, one: Wanted, name: str, sample: _Sample) -> list[Caption] | BadValue:
        if one.extension == INDEX:
            record: Any = self.index.get(name)
        elif one.extension not in sample.places:
            return []
        else:
            data = _read(self.stream, sample.places[one.extension])
            if data is None:
                return BadValue(f"its .{one.extension} is longer than {LONGEST_TEXT >> 20} MB")
            text = text_of(data)
            if not one.field:
                return [Caption(one.name, text)]
            record = _json(text)
            if record is None:
                return BadValue(f"its .{one.extension} is not valid JSON")
        if record is not None and not isinstance(record, dict):
            return BadValue(f"its .{one.extension} is not a JSON object")
        texts = convert(getter(one.field)(record or {}), "texts")
        if isinstance(texts, BadValue):
            return BadValue(f"{one.extension}, {one.field}: {texts.cause}")
        return [Caption(one.name, text) for text in texts or ()]

    def _numbers(self, sample: _Sample) -> dict[str, float | None] | BadValue | None:
        if not self.source.number_fields:
            return None
        place = sample.places.get("json")
        record = _json((_read(self.stream, place) or b"").decode("utf-8", "surrogateescape")) if place else None
        cells = {
            name: convert(getter(name)(record if isinstance(record, dict) else {}), "number")
            for name in self.source.number_fields
        }
        bad = next((f"{name}: {cell.cause}" for name, cell in cells.items() if isinstance(cell, BadValue)), None)
        return BadValue(bad) if bad else cells


def _index(folder: Folder, tar: str) -> Mapping[str, Any]:
    """What the JSON file beside a tar says of its members, by name. Raises ConfigurationError."""
    name = f"{tar.removesuffix('.tar')}.json"
    data = folder.read(name, LONGEST_INDEX)
    found = None if data is None else _json(data.decode("utf-8", "surrogateescape"))
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, dict):
        raise ConfigurationError(
            f"{folder.location(name)}: no JSON object with 'files' (source.caption names the index)"
        )
    return files


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_BAD_LABEL = -1


def _read(stream: IO[bytes], place: Place) -> bytes | None:
    """A small member's bytes; None if it is too large to be text."""
    if place.size > LONGEST_TEXT:
        return None
    stream.seek(place.offset)
    return stream.read(place.size)


def _label(stream: IO[bytes], place: Place | None) -> int | None:
    if place is None:
        return None
    text = (_read(stream, place) or b"").decode("ascii", "replace").strip()
    return int(text) if text.isdecimal() and len(text) < 10 else _BAD_LABEL
