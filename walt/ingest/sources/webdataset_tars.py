"""Existing tars of samples: pictures are inputs, with captions, numbers and labels beside them under the same key.

Only headers and captions are read here; pictures are read in place, never unpacked under their own names. Where a key
ends is a setting: by default at the last dot, so that ``my.video.v1.mp4`` and ``my.video.v2.mp4`` are two samples.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.log import warning
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Entry, Refusal
from walt.ingest.sources.kinds import KeyRule, WebDatasetTars
from walt.ingest.sources.locations import member_location
from walt.ingest.sources.named_splits import split_of
from walt.ingest.sources.tar_captions import LONGEST_TEXT, BadValueError, Sidecars, Spec, parse_json, parse_specs
from walt.ingest.sources.tar_headers import Place, members
from walt.ingest.sources.tar_samples import Sample, convention, plain, split_name

if TYPE_CHECKING:  # workers import this package, and need no tables
    from walt.data.clip_table import Split


@dataclass(frozen=True)
class Reading:
    """How the tars of one dataset are read."""

    captions: tuple[Spec, ...]
    key_ends_at: KeyRule
    video: frozenset[str]
    """Extensions of the members that are inputs; empty: all pictures and videos."""
    number_keys: tuple[str, ...] = ()


def entries(source: WebDatasetTars, dataset: Dataset) -> Iterator[Entry]:
    """List the pictures and videos of all tars as ``TAR::MEMBER``.

    Refusals: ``outside`` (a name with ``..``, or absolute), ``special`` (a link, a device, a sparse file), ``pickle``,
    ``duplicate_member``, ``no_media`` (a caption without a picture), ``bad_label``, ``bad_number``, ``bad_caption``,
    ``missing`` (an index names a member that is not there), those of ``Rules.item``, and ``truncated`` (a whole tar,
    where ``source.damaged`` is ``refuse``).

    Raises:
        ConfigurationError: no tar matches, or is in no split; ``source.caption`` is not a kind of caption; captions
            are there, and none has the key of a video.
        CorruptArtifactError: a tar is cut short or not a tar, where ``source.damaged`` is ``stop``.
    """
    video = (source.video,) if isinstance(source.video, str) else source.video
    key_rule = source.key_ends_at
    reading = Reading(parse_specs(source.caption), key_rule, frozenset(map(str.lower, video)), source.number_keys)
    for pattern in source.tars:
        tars = dataset.folder.matching(pattern)
        if not tars:
            raise ConfigurationError(f"{dataset.folder.location(pattern)}: no such file (source.tars)")
        for tar in tars:
            split = split_of(tar, source.split)
            yield from guarded(tar, source.damaged == "refuse", dataset, reading, split)


def guarded(
    tar: str, refuse: bool, dataset: Dataset, reading: Reading, split: Split | None,
    excluded: frozenset[str] = frozenset(), num_samples: int | None = None,
) -> list[Entry]:  # fmt: skip
    """All entries of one tar, or, where ``refuse``, one refusal of a tar that is damaged.

    Args:
        excluded: keys of samples that are not inputs.
        num_samples: how many samples the dataset's own lists say it has; None: they do not say.

    Raises:
        ConfigurationError, CorruptArtifactError: as ``entries``.
    """
    try:
        with dataset.folder.open(tar) as stream:
            return list(_Tar(tar, stream, dataset, reading).entries(split, excluded, num_samples))
    except CorruptArtifactError as error:
        if not refuse:
            raise
        return [Refusal(tar, "truncated", str(error))]


class _Tar:
    """One tar, open, and the samples in it."""

    def __init__(self, tar: str, stream: IO[bytes], dataset: Dataset, reading: Reading) -> None:
        self._tar, self._stream, self._dataset, self._reading = tar, stream, dataset, reading
        self._where = dataset.folder.location(tar)
        self._index = self._read_index() if any(spec.in_index for spec in reading.captions) else {}

    def entries(self, split: Split | None, excluded: frozenset[str], num_samples: int | None) -> Iterator[Entry]:
        samples: dict[str, Sample] = {}
        places: dict[str, Place] = {}
        keys: set[str] = set()
        for name, refusal, place in members(self._where, self._stream):
            parts = split_name(name, self._reading.key_ends_at)
            if parts:
                keys.add(parts[0])
            sample = samples.setdefault(parts[0], Sample(parts[0])) if parts and not refusal else None
            if refusal is None and (plain(name) in places or (sample and parts and parts[1] in sample.places)):
                refusal = "duplicate_member", "the tar has this name twice"
            if refusal:
                yield Refusal(self._source(name), *refusal)
                continue
            places[plain(name)] = place
            if sample and parts:
                sample.add(parts[1], name, place)
        if num_samples is not None and num_samples != len(keys):
            said = f"has {len(keys)} samples, the dataset's own list says {num_samples}"
            raise CorruptArtifactError(f"{self._where}: {said}")
        self._check_joined(samples)
        yield from self._not_there(places, samples)
        skipped = 0
        for sample in samples.values():
            if sample.key not in excluded:
                wanted = self._wanted(sample)
                skipped += len(sample.media) - len(wanted)
                yield from self._sample_entries(sample, wanted, split)
        if skipped:
            named = ", ".join(sorted(self._reading.video))
            warning(f"{self._where}: {skipped} pictures or videos are not {named}, and left out (source.video)")

    def _wanted(self, sample: Sample) -> list[str]:
        video = self._reading.video
        return [extension for extension in sample.media if not video or extension in video]

    def _sample_entries(self, sample: Sample, wanted: list[str], split: Split | None) -> Iterator[Entry]:
        """The inputs of one sample, or the refusals of captions that describe nothing."""
        if not wanted:
            named = " or ".join(sorted(self._reading.video)) or "picture"
            for extension in dict.fromkeys(spec.extension for spec in self._reading.captions):
                if extension in sample.names:
                    yield Refusal(
                        self._source(sample.names[extension]), "no_media", f"a caption, but no {named} with its key"
                    )
            return
        sidecars = Sidecars(lambda extension: self._read(sample, extension))
        for extension in wanted:
            yield self._item(sample, extension, sidecars, split)

    def _item(self, sample: Sample, extension: str, sidecars: Sidecars, split: Split | None) -> Entry:
        name, place = sample.names[extension], sample.places[extension]
        source, reading, classes = self._source(name), self._reading, self._dataset.classes
        code = "bad_label"
        try:
            label = sidecars.label()
            code = "bad_number"
            numbers = sidecars.numbers(reading.number_keys)
            code = "bad_caption"
            captions = sidecars.captions(reading.captions, self._in_index(name, sample.key))
        except BadValueError as error:
            cause = f"{sample.key}.cls {error}" if code == "bad_label" else str(error)
            return Refusal(source, code, cause)
        if label is not None and classes is not None and label >= len(classes):
            return Refusal(source, "bad_label", f"class {label}, but there are {len(classes)} classes")
        location = member_location(self._where, *place)
        return self._dataset.rules.item(
            source, location, captions, label=label, split=split, name=plain(name), numbers=numbers
        )

    def _read(self, sample: Sample, extension: str) -> bytes | None:
        place = sample.places.get(extension)
        if place is None:
            return None
        if place.size > LONGEST_TEXT:
            raise BadValueError(f".{extension} has {place.size} bytes, {LONGEST_TEXT} are allowed")
        self._stream.seek(place.offset)
        return self._stream.read(place.size)

    def _check_joined(self, samples: dict[str, Sample]) -> None:
        """Raise ConfigurationError where no caption in the tar belongs to a video, and by another rule some would."""
        captions = [spec.extension for spec in self._reading.captions if not spec.in_index]
        for sample in samples.values():
            if any(extension in sample.places for extension in captions) and sample.media:
                return
        names = [name for sample in samples.values() for name in sample.names.values()]
        if said := convention(names, self._reading.captions, self._reading.key_ends_at):
            raise ConfigurationError(f"{self._where}: none of its captions belongs to a video: {said}")

    def _source(self, name: str) -> str:
        return f"{self._tar}::{name}"

    # -------------------------------------------------------------------------------------------------------- index

    def _read_index(self) -> dict[str, object]:
        """The entries of the index beside the tar, by member."""
        name = f"{posixpath.splitext(self._tar)[0]}.json"
        where = self._dataset.folder.location(name)
        if not self._dataset.folder.has(name):
            raise ConfigurationError(f"{where}: no such file (source.caption: index:KEY)")
        with self._dataset.folder.open(name) as stream:
            try:
                found = parse_json(stream.read(), where)
            except BadValueError as error:
                raise CorruptArtifactError(str(error)) from None
        files = found.get("files") if isinstance(found, dict) else None
        if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
            raise CorruptArtifactError(f"{where}: not an index of a tar: a map of files, each with a map, is expected")
        return {plain(member): entry for member, entry in files.items()}

    def _in_index(self, name: str, key: str) -> object:
        return self._index.get(plain(name), self._index.get(key))

    def _not_there(self, places: dict[str, Place], samples: dict[str, Sample]) -> Iterator[Refusal]:
        """Members that the index names and the tar lacks.

        Raises:
            CorruptArtifactError: the index says that a member is elsewhere in the tar.
        """
        for name, entry in self._index.items():
            place = places.get(name)
            if place is None:
                if name not in samples:
                    yield Refusal(self._source(name), "missing", "the index names it, but the tar has no such member")
                continue
            assert isinstance(entry, dict)
            if (entry.get("offset", place.offset), entry.get("length", place.size)) != place:
                said = f"it has {name!r} at {entry.get('offset')!r}, the tar at {place.offset}"
                raise CorruptArtifactError(f"{self._where}: the index beside it is that of another tar: {said}")
