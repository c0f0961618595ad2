"""The figures of ``walt inspect`` as tables, for the terminal and the page, in units that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from walt.ingest.clip_filters import units
from walt.pages.formats import duration, num_bytes, number, one_line, share

_QUANTILES = ("min", "p5", "median", "mean", "p95", "max")
_QUANTILE_TITLES = ("least", "5 %", "median", "mean", "95 %", "most")


@dataclass(frozen=True)
class TableData:
    """One table."""

    title: str
    header: tuple[str, ...]
    align: str
    """One letter per column: l(eft) or r(ight)."""
    rows: Sequence[tuple[str, ...]]
    note: str = ""


def headline(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(value, what it is): the few figures at the top."""
    made, listed, headers = document["ingested"], document["listed"], document["headers"]
    refused = sum(entry["count"] for entry in document["rejects"].values())
    if made:
        held_out = made["splits"].get("held_out", {"clips": 0})["clips"]
        largest = list(made["stored"].items())[-1:]
        return [
            (number(made["sources"]), "sources accepted"),
            (f"{number(refused)}", f"inputs rejected, {share(refused, made['sources'] + refused)}"),
            (number(made["clips"]), f"clips: {number(made['videos'])} videos, {number(made['images'])} stills"),
            (duration(made["seconds"]), "of video clips"),
            (number(held_out), f"of the clips held out, {share(held_out, made['clips'])}"),
            *((num_bytes(stored["bytes"]), f"in the largest size, {size}") for size, stored in largest),
        ]
    figures = [
        (number(listed["videos"]), "videos listed"),
        (number(listed["images"]), "stills listed"),
        (number(refused), f"inputs refused, {share(refused, listed['inputs'])}"),
    ]
    if headers["estimated_hours"] is not None:
        figures.append((duration(3600 * headers["estimated_hours"]), "of video, from a sample's headers"))
        long_enough = share(dict(headers["long_enough"])[headers["clip_seconds"]], 1)
        figures.append((long_enough, f"of videos hold a clip of {duration(headers['clip_seconds'])}"))
    return figures


def tables(document: Mapping[str, Any]) -> Iterator[TableData]:
    """All tables of the document, the most important first."""
    made, listed, headers = document["ingested"], document["listed"], document["headers"]
    if made:
        yield _splits(made["splits"])
    if document["members"]:
        yield _members(document["members"], "clips" if made else "files")
    if listed:
        yield _listed(listed)
    if headers:
        opened = f"{number(headers['opened'])} of {number(headers['listed'])} files were opened"
        for title, counts in (("Resolutions, as stored", headers["resolutions"]), ("Codecs", headers["codecs"])):
            if counts:
                yield _ranking(title, counts, opened)
        if headers["long_enough"]:
            rows = [
                (
                    duration(seconds) + (" (the present rule)" if seconds == headers["clip_seconds"] else ""),
                    share(part, 1),
                )
                for seconds, part in headers["long_enough"]
            ]
            yield TableData(
                "A clip of this length", ("", "fits into"), "lr", rows, "share of the videos that were opened"
            )
        if headers["unusable"]:
            yield _rejects("Unusable by their headers", headers["unusable"], headers["opened"])
    if made and made["captions"]["with"]:
        yield _captions(made["captions"], made["clips"], document["encoded"])
    spread = _spreads(document)
    if spread:
        yield TableData("Distributions", ("", *_QUANTILE_TITLES), "lrrrrrr", spread)
    if made and made["resolutions"]:
        yield _ranking("Resolutions of the sources", made["resolutions"])
    if made and made["stored"]:
        yield _stored(made["stored"])
    for part in (listed, made):
        if part and part["labels"]:
            yield _labels(part["labels"])
        if part and part["groups"]:
            yield _groups(part["groups"])
    for name, found in (made["texts"] if made else {}).items():
        title = f"{name}: {number(found['distinct'])} different texts"
        yield TableData(title, ("", "clips"), "lr", [(one_line(text), number(n)) for text, n in found["largest"]])
    if document["rejects"]:
        inputs = listed["inputs"] if not made else made["sources"] + _count(document["rejects"])
        yield _rejects("Rejected inputs", document["rejects"], inputs)
    if document["clip_rejects"]:
        clips = (made["clips"] if made else 0) + _count(document["clip_rejects"])
        yield _rejects("Refused clips", document["clip_rejects"], clips)


def _count(rejects: Mapping[str, Any]) -> int:
    return sum(entry["count"] for entry in rejects.values())


def _splits(splits: Mapping[str, Any]) -> TableData:
    rows = [
        (
            name.replace("_", " "), number(split["sources"]), number(split["clips"]), number(split["videos"]),
            number(split["images"]), duration(split["seconds"]),
        )
        for name, split in splits.items()
    ]  # fmt: skip
    return TableData("Clips by split", ("split", "sources", "clips", "videos", "stills", "of video"), "lrrrrr", rows)


def _members(members: Sequence[Mapping[str, Any]], what: str) -> TableData:
    rows = [
        (
            member["name"], *(number(member[key]) for key in ("inputs", "videos", "images", "held_out")),
            ", ".join(f"{number(count)} {code}" for code, count in member["rejects"]),
        )
        for member in members
    ]  # fmt: skip
    header = ("member", "inputs", "videos", "stills", "held out", "rejected")
    return TableData("Members of the union", header, "lrrrrl", rows, f"videos, stills and held out: {what}")


def _listed(listed: Mapping[str, Any]) -> TableData:
    texts, inputs = listed["captions"], listed["inputs"]
    items = listed["videos"] + listed["images"]
    rows = [
        *(
            (label, number(listed[what]), share(listed[what], inputs))
            for what, label in (("videos", "videos"), ("images", "stills"), ("refused", "refused"))
        ),
        ("with a caption", number(texts["with"]), share(texts["with"], items)),
        ("different captions", number(texts["distinct"]), share(texts["distinct"], items)),
        ("captions cut", number(texts["truncated"]), share(texts["truncated"], items)),
        *_by_name(texts),
    ]
    return TableData(f"{number(inputs)} inputs listed", ("", "count", "share"), "lrr", rows)


def _captions(texts: Mapping[str, Any], clips: int, encoded: Mapping[str, Any] | None) -> TableData:
    total = sum(count for _, count in texts["names"])
    rows = [
        ("clips with a caption", number(texts["with"]), share(texts["with"], clips)),
        ("clips with one cut by ingest.max_caption_characters", number(texts["truncated"]),
         share(texts["truncated"], clips)),
        *_by_name(texts),
        ("different captions", number(texts["distinct"]), share(texts["distinct"], total)),
    ]  # fmt: skip
    note = ""
    if encoded is not None:
        rows.append(("cut by text.max_tokens", number(encoded["cut"]), share(encoded["cut"], encoded["captions"])))
        unknown = encoded["with_unknown"]
        rows.append(("with unknown characters", number(unknown), share(unknown, encoded["captions"])))
        note = f"the longest has {number(encoded['longest_cut'])} tokens" if encoded["cut"] else ""
    return TableData("Captions", ("", "count", "share"), "lrr", rows, note)


def _by_name(texts: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each kind of caption, where there are several, or several of one kind."""
    total = sum(count for _, count in texts["names"])
    if total == texts["with"] and len(texts["names"]) < 2:
        return []
    return [(f"captions: {name}", number(count), share(count, total)) for name, count in texts["names"]]


def _spreads(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row of quantiles for each thing that has some."""
    made, listed, headers = document["ingested"] or {}, document["listed"] or {}, document["headers"] or {}
    found = {
        "video length (s)": headers.get("seconds"),
        "frame rate (fps)": headers.get("fps"),
        "clips per source": made.get("clips_per_source"),
        "clip length (s)": made.get("clip_seconds"),
        "captions per clip": (made or listed)["captions"]["per_clip"],
        "caption length (words)": (made or listed)["captions"]["words"],
        **{_with_unit(name): spread for name, spread in made.get("measures", {}).items()},
    }
    return [
        (what, *(number(spread[name]) for name in _QUANTILES)) for what, spread in found.items() if spread is not None
    ]


def _with_unit(name: str) -> str:
    unit = units().get(name)
    return name.replace("_", " ") + (f" ({unit})" if unit else "")


def _ranking(title: str, counts: Sequence[tuple[str, int]], note: str = "") -> TableData:
    total = sum(count for _, count in counts)
    rows = [(name, number(count), share(count, total)) for name, count in counts]
    return TableData(title, ("", "count", "share"), "lrr", rows, note)


def _stored(stored: Mapping[str, Any]) -> TableData:
    rows = [
        (
            size, number(folder["tars"]), number(folder["clips"]), num_bytes(folder["bytes"]),
            num_bytes(folder["bytes"] / folder["clips"]) if folder["clips"] else "",
        )
        for size, folder in stored.items()
    ]  # fmt: skip
    return TableData("Stored", ("size", "tars", "clips", "bytes", "per clip"), "lrrrr", rows)


def _labels(labels: Mapping[str, Any]) -> TableData:
    few = [pair for pair in labels["smallest"] if pair not in labels["largest"]]
    rows = [(f"class {label}", number(count)) for label, count in labels["largest"]]
    if labels["classes"] > len(labels["largest"]) + len(few):
        rows.append((f"{number(labels['classes'] - len(rows) - len(few))} classes between", ""))
    rows += [(f"class {label}", number(count)) for label, count in few]
    note = f"{number(labels['without'])} without a label" if labels["without"] else ""
    return TableData(f"{number(labels['classes'])} classes", ("", "count"), "lr", rows, note)


def _groups(groups: Mapping[str, Any]) -> TableData:
    rows = [(one_line(name), number(count)) for name, count in groups["largest"]]
    if more := groups["groups"] - len(rows):
        rows.append((f"{number(more)} smaller groups", ""))
    note = "inputs of one group are on one side of the split"
    note += f"; {number(groups['without'])} inputs are in none" if groups["without"] else ""
    return TableData(f"{number(groups['groups'])} groups", ("", "inputs"), "lr", rows, note)


def _rejects(title: str, rejects: Mapping[str, Any], inputs: int) -> TableData:
    rows = [
        (
            code, number(entry["count"]), share(entry["count"], inputs),
            one_line(entry["examples"][0]["source"]), one_line(entry["examples"][0]["cause"]),
        )
        for code, entry in rejects.items()
    ]  # fmt: skip
    note = "all of a code: walt inspect --rejects CODE" if not title.startswith("Unusable") else ""
    return TableData(title, ("code", "count", "share", "for example", "cause"), "lrrll", rows, note)


def rejects_table(code: str, found: Sequence[Mapping[str, str | None]]) -> TableData:
    """All inputs of one code."""
    rows = [(one_line(row["source"] or ""), one_line(row["cause"] or "")) for row in found]
    return TableData(f"{code}: {number(len(rows))}", ("source", "cause"), "ll", rows)


def to_rich(data: TableData) -> Table:
    """For the terminal."""
    table = Table(title=f"[bold]{escape(data.title)}[/]", title_justify="left", title_style="", box=SIMPLE)
    table.caption, table.caption_justify = data.note and escape(data.note), "left"
    for name, align in zip(data.header, data.align, strict=True):
        table.add_column(
            escape(name), justify="right" if align == "r" else "left", overflow="fold", no_wrap=align == "r"
        )
    for row in data.rows:
        table.add_row(*map(escape, row))
    return table
