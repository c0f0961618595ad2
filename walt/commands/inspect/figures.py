"""The figures of a dataset, from its listing, its headers and its tables.

Each function gives plain data (the JSON form of ``walt inspect``) and the distributions that are drawn from it. Columns
of the manifest are read generically: a number that ingest records for every clip appears here by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from walt.core.printable import printable
from walt.data.captions import Caption, shown_name
from walt.data.manifest import ManifestRow
from walt.data.shards import ShardIndex
from walt.ingest.clip_filters import columns, units
from walt.ingest.config import Descriptor
from walt.ingest.headers import Header
from walt.ingest.sources.items import Item, Listing, Refusal
from walt.pages.charts import Bars, Distribution, Histogram, leading

Figures = dict[str, Any]

_SAID_OTHERWISE = frozenset({"start_seconds", "end_seconds", "num_frames", "label", "shard"})
"""Numbers of a manifest's row that have figures of their own."""
_CLIP_LENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds: lengths that a person may consider for a clip."""
_EXAMPLES = 3
_NAMED = 10
"""Resolutions, codecs and labels that are listed by name; the others are counted."""


@dataclass(frozen=True)
class Part:
    """One chapter: its figures, and what is drawn from them."""

    figures: Figures
    charts: list[Distribution]


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Least, 5 %, median, mean, 95 %, most. There must be at least one value."""
    array = np.asarray(list(values), dtype=np.float64)
    low, five, middle, most_five, high = np.quantile(array, [0.0, 0.05, 0.5, 0.95, 1.0]).tolist()
    return {"min": low, "p5": five, "median": middle, "mean": float(array.mean()), "p95": most_five, "max": high}


def ranked(names: Iterable[str]) -> list[tuple[str, int]]:
    """(name, how often), the most frequent first, equals by name."""
    return sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0]))


def listed(items: Sequence[Item], refusals: Sequence[Refusal]) -> Part:
    """What the adapter lists, before any file is opened."""
    figures: Figures = {
        "inputs": len(items) + len(refusals),
        "videos": sum(item.kind == "video" for item in items),
        "images": sum(item.kind == "image" for item in items),
        "refused": len(refusals),
    }
    texts, text_charts = captions([item.captions for item in items], sum(item.caption_truncated for item in items))
    classes, class_charts = labels([item.label for item in items])
    of_groups = groups((item.group and printable(item.group), item.source) for item in items)
    figures |= {"captions": texts, "labels": classes, "groups": of_groups}
    return Part(figures, text_charts + class_charts)


def captions(found: Sequence[Sequence[Caption]], truncated: int) -> tuple[Figures, list[Distribution]]:
    """How many, of which name, how many distinct, and how long. ``found`` has the captions of each input or clip."""
    there = [caption for own in found for caption in own]
    several = any(len(own) > 1 for own in found)
    figures: Figures = {
        "with": sum(bool(own) for own in found),
        "without": sum(not own for own in found),
        "names": ranked(shown_name(caption.name) for caption in there),
        "per_clip": quantiles(len(own) for own in found) if several else None,
        "distinct": len({caption.text for caption in there}),
        "truncated": truncated,
        "words": None,
    }
    if not there:
        return figures, []
    words = [len(caption.text.split()) for caption in there]
    return figures | {"words": quantiles(words)}, [Histogram("Caption length", words, "words")]


def labels(numbers: Sequence[int | None]) -> tuple[Figures | None, list[Distribution]]:
    """How many of each class; None where there are no classes."""
    counts = ranked(str(number) for number in numbers if number is not None)
    if not counts:
        return None, []
    figures = {
        "classes": len(counts),
        "without": sum(number is None for number in numbers),
        "largest": counts[:_NAMED],
        "smallest": counts[-_NAMED:],
    }
    return figures, [Bars("Labels", [(f"class {label}", count) for label, count in counts])]


def groups(of_sources: Iterable[tuple[str | None, str]]) -> Figures | None:
    """How many recordings, and those with the most inputs; None where nothing says what is of one recording.

    Args:
        of_sources: group and name of each input, or of each clip.
    """
    pairs = set(of_sources)
    counts = ranked(group for group, _ in pairs if group is not None)
    if not counts:
        return None
    return {
        "groups": len(counts),
        "without": sum(group is None for group, _ in pairs),
        "largest": counts[:_NAMED],
    }


def texts_of(rows: Sequence[ManifestRow]) -> Figures:
    """The most frequent texts in each column of text that the user brings."""
    names = [name for name in (rows[0].measures if rows else ()) if name not in columns()]
    found = {name: [value for row in rows if isinstance(value := row.measures[name], str)] for name in names}
    return {
        name: {"clips": len(values), "distinct": len(set(values)), "largest": ranked(values)[:_NAMED]}
        for name, values in found.items()
        if values
    }


def headers(found: Sequence[Header | Refusal], num_listed: int, num_videos: int, clip_seconds: float) -> Part:
    """What the headers of a sample of the files say.

    Args:
        num_listed, num_videos: of all items, and of the videos among them.
        clip_seconds: length of a clip by the rule in force.
    """
    readable = [header for header in found if isinstance(header, Header)]
    videos = [header for header in readable if header.kind == "video"]
    seconds = [header.seconds for header in videos if header.seconds is not None]
    rates = [header.fps for header in videos if header.fps is not None]
    unusable = rejects(
        [(refusal.source, refusal.code, refusal.cause) for refusal in found if isinstance(refusal, Refusal)]
    )
    sizes = ranked(f"{header.width}x{header.height}" for header in readable)
    codecs = ranked(header.codec for header in readable)
    figures: Figures = {
        "listed": num_listed,
        "opened": len(found),
        "unusable": unusable,
        "resolutions": leading(sizes, _NAMED),
        "codecs": leading(codecs, _NAMED),
        "fps": quantiles(rates) if rates else None,
        "seconds": quantiles(seconds) if seconds else None,
        "clip_seconds": clip_seconds,
        "long_enough": [(length, _share_of(seconds, length)) for length in sorted({clip_seconds, *_CLIP_LENGTHS})]
        if seconds
        else None,
        "estimated_hours": float(np.mean(seconds)) * num_videos / 3600 if seconds else None,
    }
    charts: list[Distribution] = []
    if seconds:
        charts.append(Histogram("Length of the videos", seconds, "seconds"))
    if rates:
        charts.append(Bars("Frame rate", ranked(f"{rate:.4g} fps" for rate in rates)))
    if sizes:
        charts += [Bars("Resolution, as stored", sizes), Bars("Codec", codecs)]
    return Part(figures, charts)


def _share_of(seconds: Sequence[float], least: float) -> float:
    return sum(length >= least for length in seconds) / len(seconds)


def ingested(rows: Sequence[ManifestRow], indexes: Mapping[str, ShardIndex]) -> Part:
    """What the manifest says about the clips, and the indexes of their tars, by size folder."""
    videos = [row for row in rows if row.kind == "video"]
    lengths = [row.end_seconds - row.start_seconds for row in videos]
    clips_per_source = list(Counter(row.source_sha256 for row in rows).values())
    texts, text_charts = captions([row.captions for row in rows], sum(row.caption_truncated for row in rows))
    classes, class_charts = labels([row.label for row in rows])
    sizes = resolutions(rows)
    values = measures(rows)
    figures: Figures = {
        "sources": len(clips_per_source),
        "clips": len(rows),
        "videos": len(videos),
        "images": len(rows) - len(videos),
        "seconds": sum(lengths),
        "splits": {split: _split(rows, split) for split in sorted({row.split for row in rows}, reverse=True)},
        "clips_per_source": quantiles(clips_per_source) if rows else None,
        "frames_per_clip": ranked(str(row.num_frames) for row in rows)[:_NAMED],
        "clip_seconds": quantiles(lengths) if lengths else None,
        "resolutions": leading(sizes, _NAMED) if sizes else None,
        "captions": texts,
        "labels": classes,
        "groups": groups((row.group, row.source) for row in rows),
        "texts": texts_of(rows),
        "measures": {name: quantiles(column) | {"values": len(column)} for name, column in values.items()},
        "stored": {size: _stored(index) for size, index in indexes.items()},
    }
    charts: list[Distribution] = []
    if rows:
        charts.append(Histogram("Clips per source", clips_per_source, "clips"))
    if len(set(lengths)) > 1:
        charts.append(Histogram("Length of the clips", lengths, "seconds"))
    if sizes:
        charts.append(Bars("Resolution of the sources", sizes))
    charts += text_charts + class_charts
    charts += [
        Histogram(name.replace("_", " ").capitalize(), column, units().get(name, "")) for name, column in values.items()
    ]
    return Part(figures, charts)


def members(
    descriptor: Descriptor, found: Listing | Sequence[ManifestRow], refused: Iterable[tuple[str, str, str]]
) -> list[Figures] | None:
    """The inputs of each member of a union, what they gave and why some gave nothing; None for a single source.

    Args:
        found: the listing, before ingest; the clips afterwards.
        refused: (source, code, cause) of inputs.
    """
    if descriptor.source.kind != "union":
        return None
    kinds: Counter[tuple[str, str | None]] = Counter()
    for entry in found.items if isinstance(found, Listing) else found:
        name = descriptor.member_of(entry.source)
        kinds.update([(name, entry.kind), (name, entry.split)])
    codes = [(descriptor.member_of(source), code) for source, code, _ in refused]
    names = found.sources() if isinstance(found, Listing) else {row.source for row in found}
    inputs = Counter(map(descriptor.member_of, names))
    if not isinstance(found, Listing):
        inputs.update(name for name, _ in codes)
    return [
        {
            "name": name, "inputs": inputs[name], "videos": kinds[name, "video"], "images": kinds[name, "image"],
            "held_out": kinds[name, "held_out"], "rejects": ranked(code for member, code in codes if member == name),
        }
        for name in descriptor.members()
    ]  # fmt: skip


def resolutions(rows: Sequence[ManifestRow]) -> list[tuple[str, int]]:
    """Sizes of the sources, each source once, where the manifest has a pair of columns ``...width``, ``...height``."""
    names = {field.name for field in fields(rows[0])} if rows else set()
    for name in sorted(names):
        other = name.removesuffix("width") + "height"
        if name.endswith("width") and other in names:
            sizes = {row.source_sha256: (getattr(row, name), getattr(row, other)) for row in rows}
            return ranked(f"{width}x{height}" for width, height in sizes.values() if width and height)
    return []


def measures(rows: Sequence[ManifestRow]) -> dict[str, list[float]]:
    """Numbers that ingest recorded, by column; where it has none, it is left out. Those of one source count once."""
    found: dict[str, list[float]] = {}
    for field in fields(rows[0]) if rows else ():
        if field.name in _SAID_OTHERWISE or field.name.endswith(("width", "height")):
            continue
        if field.name.startswith("source_"):
            found[field.name] = _finite({row.source_sha256: getattr(row, field.name) for row in rows}.values())
        else:
            found[field.name] = _finite(getattr(row, field.name) for row in rows)
    for name in rows[0].measures if rows else ():
        found[name] = _finite(row.measures[name] for row in rows)
    return {name: column for name, column in found.items() if column}


def _finite(column: Iterable[object]) -> list[float]:
    numbers = (float(value) for value in column if isinstance(value, int | float) and not isinstance(value, bool))
    return [value for value in numbers if np.isfinite(value)]


def rejects(refused: Iterable[tuple[str, str, str]]) -> Figures:
    """code -> count and the first examples, of (source, code, cause); the most frequent code first."""
    by_code: dict[str, list[tuple[str, str]]] = {}
    for source, code, cause in refused:
        by_code.setdefault(code, []).append((printable(source), printable(cause)))
    return {
        code: {
            "count": len(found),
            "examples": [{"source": source, "cause": cause} for source, cause in sorted(found)[:_EXAMPLES]],
        }
        for code, found in sorted(by_code.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    }


def reject_charts(title: str, figures: Figures) -> list[Distribution]:
    """Reject reasons as bars; none where nothing was refused."""
    counts = [(code, entry["count"]) for code, entry in figures.items()]
    return [Bars(title, counts)] if counts else []


def _split(rows: Sequence[ManifestRow], split: str) -> Figures:
    mine = [row for row in rows if row.split == split]
    return {
        "sources": len({row.source_sha256 for row in mine}),
        "clips": len(mine),
        "videos": sum(row.kind == "video" for row in mine),
        "images": sum(row.kind != "video" for row in mine),
        "seconds": sum(row.end_seconds - row.start_seconds for row in mine if row.kind == "video"),
    }


def _stored(index: ShardIndex) -> Figures:
    return {
        "tars": len(index.records),
        "clips": sum(record.count for record in index.records),
        "bytes": sum(record.bytes for record in index.records),
    }
