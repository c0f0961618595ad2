"""The report's part about the data: figures counted one row group at a time, and which clips it shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from walt.data.captions import shown_name
from walt.data.manifest import ManifestRow, manifest_parts, read_manifest_rows, read_rejects

_REJECTS_SHOWN = 40
_COLUMNS = ("kind", "split", "source_sha256", "start_seconds", "end_seconds", "captions")


@dataclass(frozen=True)
class Survey:
    """The manifest at a glance: 2 bytes per clip, and 16 per caption while they are counted."""

    manifest: Path
    video: NDArray[np.bool_]
    """For each clip, in stored order, whether it is a video; the next array, whether it is held out."""
    held_out: NDArray[np.bool_]
    sources: int
    seconds: float
    """Of all videos."""
    captions: Mapping[str, int]
    """How many have each name."""
    distinct_captions: int
    """By 64 bits of their hash."""

    def spread(self, count: int) -> list[ManifestRow]:
        """At most ``count`` clips, evenly spread over all."""
        return read_manifest_rows(self.manifest, spread(range(len(self.video)), count))

    def spread_held_out(self, count: int) -> list[ManifestRow]:
        """At most ``count`` held-out videos; where there are none, training videos, or likewise for images."""
        wanted = self.video if self.video.any() else np.ones_like(self.video)
        wanted = wanted & self.held_out if (wanted & self.held_out).any() else wanted
        return read_manifest_rows(self.manifest, spread(np.flatnonzero(wanted), count))


def survey(manifest: Path) -> Survey:
    """Read a manifest once. Raises StorageError or CorruptArtifactError."""
    videos, held_out, hashes = [np.zeros(0, bool)], [np.zeros(0, bool)], [np.zeros(0, np.uint64)]
    names: Counter[str] = Counter()
    num_sources, seconds = 0, 0.0
    for groups in manifest_parts(manifest, _COLUMNS):
        sources = set[str]()  # all clips of one are in one part
        for table in groups:
            videos.append(_equal(table, "kind", "video"))
            held_out.append(_equal(table, "split", "held_out"))
            sources.update(table["source_sha256"].unique().to_pylist())
            lengths = table["end_seconds"].to_numpy() - table["start_seconds"].to_numpy()
            seconds += float(lengths[videos[-1]].sum())
            captions = pc.list_flatten(table["captions"])
            hashes.append(np.fromiter(_hashes(pc.struct_field(captions, "text")), np.uint64))
            for counted in pc.struct_field(captions, "name").value_counts():
                names[counted["values"].as_py()] += counted["counts"].as_py()
        num_sources += len(sources)
    return Survey(
        manifest, np.concatenate(videos), np.concatenate(held_out), num_sources, seconds, names, _distinct(hashes)
    )


def _equal(table: pa.Table, column: str, value: str) -> NDArray[np.bool_]:
    equal: NDArray[np.bool_] = pc.equal(table[column], value).to_numpy()
    return equal


def _hashes(captions: pa.ChunkedArray) -> Iterator[int]:
    """64 bits of each distinct caption."""
    for caption in captions.unique().to_pylist():
        yield int.from_bytes(blake2b(caption.encode(), digest_size=8).digest())


def _distinct(hashes: list[NDArray[np.uint64]]) -> int:
    """How many different ones there are. Empties the list: there may be a billion."""
    together = np.concatenate(hashes)
    hashes.clear()
    together.sort()
    return int(np.count_nonzero(together[1:] != together[:-1])) + bool(len(together))


def describe_dataset(clips: Survey, rejects: Path) -> dict[str, Any]:
    """Figures of the data, and the rejects."""
    rejected = read_rejects(rejects)
    num_videos = int(clips.video.sum())
    return {
        "Clips": len(clips.video),
        "Videos": num_videos,
        "Stills": len(clips.video) - num_videos,
        "Sources": clips.sources,
        "Held out": int(clips.held_out.sum()),
        "Minutes of video": round(clips.seconds / 60, 1),
        **_captions(clips),
        "Rejected": len(rejected),
        "rejects": rejected[:_REJECTS_SHOWN],
        "codes": sorted(Counter(reject.code for reject in rejected).items(), key=lambda item: (-item[1], item[0])),
    }


def _captions(clips: Survey) -> dict[str, int]:
    """How many there are, where clips have several or some have none, by name where there are names; and how many
    different ones."""
    found = {f"Captions: {shown_name(name)}": count for name, count in sorted(clips.captions.items())}
    if len(found) == 1:
        found = {"Captions": sum(clips.captions.values())}
    if found.get("Captions") == len(clips.video):
        found = {}
    return found | {"Distinct captions": clips.distinct_captions}


def spread(places: Sequence[int] | NDArray[np.int64], count: int) -> list[int]:
    """At most ``count`` of them, evenly spread over the list."""
    chosen = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    return [int(places[index]) for index in chosen]
