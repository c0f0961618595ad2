"""``walt inspect``: what a dataset holds, in figures and pictures: its files before ingest, its clips afterwards.

Before ingest nothing is decoded except a few first pictures: the adapter lists, and headers of a sample are read, so
that a person can choose a clip rule. Afterwards the figures come from the manifest, the rejects table and a few stored
clips.
Nothing under ``data/`` is written. The same dataset, seed and counts give the same figures and pictures.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from walt.commands.inspect import figures
from walt.commands.inspect.inspect_page import write_page
from walt.core.config import load_section
from walt.core.errors import ConfigurationError
from walt.core.log import ProgressBar
from walt.core.paths import Paths
from walt.core.printable import printable
from walt.core.remote import is_remote
from walt.core.storage import read_json
from walt.core.suggestions import did_you_mean
from walt.data.captions import Caption, shown
from walt.data.manifest import ManifestRow, RejectRow, has_manifest, read_clip_rejects, read_manifest, read_rejects
from walt.ingest.config import Descriptor
from walt.ingest.describe_files import Described, Given, describe_files, is_files
from walt.ingest.headers import Header, choose, read_headers
from walt.ingest.layouts.tables import TableColumns
from walt.ingest.sources.adapters import list_items
from walt.ingest.sources.items import Listing, Refusal
from walt.media.images import Limits
from walt.pages.contact_sheet import Tile, first_middle_last
from walt.pages.formats import duration, one_line
from walt.pages.stored_clips import StoredClips
from walt.project.missing_sources import without_sources
from walt.project.params import Params
from walt.project.point_at_dataset import OWN_DATASETS
from walt.project.recipes import DEFAULT_RECIPE, load_recipe
from walt.project.runner import PARAMS_FILE, load_params

_YAML = (".yaml", ".yml")
_HEADERS = 200
_PICTURE_HEIGHT = 128


@dataclass(frozen=True)
class Request:
    """The arguments of the command."""

    dataset: str | None
    """A descriptor's path, or its name in ``datasets/own`` or ``datasets``; or files without one: a folder, a glob, a
    list, a video or an image; None: the one that ``params.yaml`` names."""
    path: str | None
    """Folder of the source files, relative to the project, or an ``s3://`` prefix; None: that of ``params.yaml``."""
    clips: int
    """Clips on the contact sheet."""
    seed: int
    sample: int | None
    """Files whose headers are read; None: 200 before ingest, none afterwards."""
    out: Path
    """Folder of the page and the pictures."""
    quiet: bool
    """No progress on the terminal."""
    path_column: str | None = None
    """Of the list or the captions of files without a descriptor; None: ``path``."""
    caption_column: str | None = None
    """None: ``caption``."""


@dataclass(frozen=True)
class Dataset:
    """The dataset to inspect, and which of its artefacts exist."""

    descriptor: Descriptor
    file: Path | None
    """The descriptor's; None: it was made for files that have none."""
    folder: str | None
    """Of the source files, as ``dataset.path``; None where they are not there anymore."""
    rows: list[ManifestRow] | None
    """None where it was not ingested."""
    rejects: list[RejectRow] | None
    """None where there is no table of them."""
    clip_rejects: list[RejectRow]
    """Clips that were refused, of sources that may have others; ``source`` says where in the file."""
    params: Params
    paths: Paths
    looked: tuple[str, ...] = ()
    """What was found in files without a descriptor, and what in them is not read, a line each."""


def run(request: Request, root: Path) -> dict[str, Any]:
    """Collect the figures, draw the pictures, and write the page. Returns the JSON form.

    Raises:
        ConfigurationError: there is no such descriptor, or neither source files nor clips.
        CorruptArtifactError: a table or a tar that is needed is damaged.
    """
    dataset = find(request, root)
    parts: dict[str, figures.Part | None] = {"listed": None, "headers": None, "ingested": None}
    refused = [(row.source, row.code, row.cause) for row in dataset.rejects or ()]
    tiles: list[Tile] = []
    if dataset.rows is None or request.sample:
        listing = _listing(dataset)
        parts["listed"] = figures.listed(listing.items, listing.refusals)
        parts["headers"], tiles = _look_at_sources(request, dataset, listing)
        if dataset.rejects is None:
            refused = [(refusal.source, refusal.code, refusal.cause) for refusal in listing.refusals]
        members = figures.members(dataset.descriptor, listing, refused)
    if dataset.rows is not None:
        stored = StoredClips(dataset.paths.clips)
        parts["ingested"] = figures.ingested(dataset.rows, stored.indexes)
        tiles = clip_tiles(choose_rows(dataset.rows, request.clips, request.seed), stored)
        members = figures.members(dataset.descriptor, dataset.rows, refused)
    rejects = figures.rejects(refused)
    clip_rejects = figures.rejects((row.source, row.code, row.cause) for row in dataset.clip_rejects)
    document: dict[str, Any] = {
        "dataset": {
            "name": dataset.descriptor.name, "summary": dataset.descriptor.summary,
            "licence": dataset.descriptor.licence, "descriptor": dataset.file and str(dataset.file),
            "folder": None if dataset.folder is None else printable(dataset.folder), "looked": list(dataset.looked),
        },
        **{name: part and part.figures for name, part in parts.items()},
        "encoded": None if dataset.rows is None else _encoded(dataset.rows, dataset.paths),
        "members": members,
        "rejects": rejects,
        "clip_rejects": clip_rejects,
    }  # fmt: skip
    charts = [chart for part in parts.values() if part for chart in part.charts]
    charts += figures.reject_charts("Rejected inputs", rejects) + figures.reject_charts("Refused clips", clip_rejects)
    document["files"] = write_page(request.out, request.seed, document, charts, tiles)
    return document


def _encoded(rows: Sequence[ManifestRow], paths: Paths) -> figures.Figures | None:
    """What encode-text found of these captions; None where it has not run since they changed."""
    file = paths.work("encode-text") / "result.json"
    found = read_json(file) if file.is_file() else {}
    if found.get("captions") != sum(len(row.captions) for row in rows) or "with_unknown" not in found:
        return None
    return {name: found[name] for name in ("captions", "cut", "longest_cut", "with_unknown")}


def rejected(request: Request, code: str, root: Path) -> list[dict[str, str | None]]:
    """The inputs, or clips, that were refused with this code: source, sha256, code and cause, sorted by source.

    Raises:
        ConfigurationError: none was; the message names the codes that there are.
    """
    dataset = find(request, root)
    table = dataset.rejects
    if table is None:
        table = [RejectRow(printable(r.source), None, "list", r.code, r.cause) for r in _listing(dataset).refusals]
    table = [*table, *dataset.clip_rejects]
    found = [row for row in table if row.code == code]
    if not found:
        codes = sorted({row.code for row in table})
        known = ", ".join(codes) or "none"
        raise ConfigurationError(
            f"--rejects: no input was refused with '{code}'{did_you_mean(code, codes)} (codes: {known})"
        )
    keys = ("source", "sha256", "code", "cause")
    return sorted(({key: getattr(row, key) for key in keys} for row in found), key=lambda row: str(row["source"]))


def find(request: Request, root: Path) -> Dataset:
    """The descriptor, its files and its tables. Raises ConfigurationError (see ``run``)."""
    dataset, path = request.dataset, request.path
    params, note = _params(request, root)
    paths = Paths(root)
    configured = paths.resolve(params.dataset.descriptor)
    file = configured if dataset is None else _descriptor_file(dataset, paths)
    if dataset is not None and path is None and not _is_descriptor(file):
        if is_files(root, dataset):
            described = _describe(request, dataset, root)
            looked = (*note, *described.lines())
            return Dataset(described.descriptor, None, described.path, None, None, [], params, paths, looked)
        if paths.resolve(dataset).is_file():
            raise ConfigurationError(f"{printable(dataset)}: not a descriptor, folder, glob, list, video or image")
    if columns := _columns(request):
        raise ConfigurationError(f"{next(iter(columns))}: only for files without a descriptor, which names its columns")
    descriptor = load_section(file, Descriptor)
    ours = file == configured and path is None
    if path is None and not ours:
        raise ConfigurationError(
            f"--path: where are the files of '{descriptor.name}'? (params.yaml points at {params.dataset.descriptor})"
        )
    folder = params.dataset.path if path is None else path
    # only the dataset of the parameters was ingested: of another one only its files are known
    rows = read_manifest(paths.manifest) if ours and has_manifest(paths.manifest) else None
    rejects = read_rejects(paths.rejects) if ours and paths.rejects.is_file() else None
    clip_rejects = _read_clip_rejects(paths.clip_rejects) if ours else []
    there = is_remote(folder) or paths.resolve(folder).is_dir()
    if rows is None and not there:
        key = "dataset.path" if path is None else "--path"
        said = f"{key}: {paths.resolve(folder)}: no such folder"
        if ours:
            made = any(member.generator for member in descriptor.members().values())
            said += f", and nothing was ingested (no {paths.manifest.relative_to(root)}); "
            said += "`walt prepare` makes the files" if made else without_sources(paths)
        raise ConfigurationError(said)
    return Dataset(descriptor, file, folder if there else None, rows, rejects, clip_rejects, params, paths)


def _params(request: Request, root: Path) -> tuple[Params, tuple[str, ...]]:
    """The project's. Where none was made yet, files without a descriptor are looked at with the values that
    ``walt init`` writes by default, and a line says so. Raises ConfigurationError."""
    files = request.dataset is not None and request.path is None and is_files(root, request.dataset)
    if files and not (root / PARAMS_FILE).is_file():
        return load_recipe(DEFAULT_RECIPE), (f"no {PARAMS_FILE} here: with the values of the recipe {DEFAULT_RECIPE}",)
    return load_params(root), ()


def _describe(request: Request, files: str, root: Path) -> Described:
    """Files without a descriptor, with the requested columns. Raises ConfigurationError."""
    captions = () if request.caption_column is None else (request.caption_column,)
    return describe_files(root, Given(files, None, TableColumns(request.path_column, captions)))


def _columns(request: Request) -> dict[str, str]:
    """The requested columns, by option."""
    columns = {"--path-column": request.path_column, "--caption-column": request.caption_column}
    return {option: name for option, name in columns.items() if name is not None}


def _read_clip_rejects(path: Path) -> list[RejectRow]:
    """Refused clips, where ingest has got that far. Raises CorruptArtifactError."""
    rows = read_clip_rejects(path) if path.is_file() else []
    return [RejectRow(f"{row.source} at {row.start_seconds:g} s", None, row.stage, row.code, row.cause) for row in rows]


def _is_descriptor(file: Path) -> bool:
    return file.suffix in _YAML and file.is_file()


def _descriptor_file(dataset: str, paths: Paths) -> Path:
    if dataset.endswith(_YAML) or os.sep in dataset:
        return paths.resolve(dataset)
    own = paths.resolve(f"{OWN_DATASETS}/{dataset}.yaml")
    return own if own.is_file() else paths.resolve(f"datasets/{dataset}.yaml")


def _listing(dataset: Dataset) -> Listing:
    if dataset.folder is None:
        raise ConfigurationError(
            f"dataset.path: {dataset.params.dataset.path}: no such folder, so --sample cannot read its files; "
            "put them there, or leave it out to see what was ingested"
        )
    longest = dataset.params.ingest.max_caption_characters
    listing = list_items(dataset.descriptor, dataset.paths.root, dataset.folder, longest)
    if dataset.rows is None and not listing.items and not listing.refusals:
        raise ConfigurationError(f"{printable(dataset.folder)}: contains no input for {dataset.descriptor.name}")
    return listing


def _look_at_sources(request: Request, dataset: Dataset, listing: Listing) -> tuple[figures.Part, list[Tile]]:
    """Headers of a sample, and a tile for some of them."""
    ingest = dataset.params.ingest
    chosen = choose(listing.items, _HEADERS if request.sample is None else request.sample, request.seed)
    found: list[Header | Refusal] = []
    bar = None if request.quiet or not chosen else ProgressBar("inspect: headers", total=len(chosen), unit="files")
    with bar or nullcontext():
        for header in read_headers(
            chosen, Limits(ingest.min_side, ingest.max_pixels, ingest.max_seconds), dataset.params.compute,
            pictures=min(request.clips, len(chosen)), picture_height=_PICTURE_HEIGHT,
            timeout_seconds=ingest.timeout_seconds, memory_mb=ingest.memory_mb,
        ):  # fmt: skip
            found.append(header)
            if bar:
                bar.advance()
    captions = {item.source: item.captions for item in chosen}
    tiles = [
        Tile([header.picture], _said(captions[header.source]), _header_note(header))
        for header in found
        if isinstance(header, Header) and header.picture is not None
    ]
    videos = sum(item.kind == "video" for item in listing.items)
    return figures.headers(found, len(listing.items), videos, ingest.num_frames / ingest.fps), tiles


def _said(captions: Sequence[Caption]) -> str:
    return one_line(shown(captions))


def _header_note(header: Header) -> str:
    facts = [f"{header.width}x{header.height}"]
    facts += [duration(header.seconds)] if header.seconds is not None else []
    facts += [f"{header.fps:.4g} fps"] if header.fps is not None else []
    return " · ".join([*facts, header.codec, one_line(Path(header.source).name)])


def choose_rows(rows: Sequence[ManifestRow], count: int, seed: int) -> list[ManifestRow]:
    """At most ``count`` clips, drawn evenly, of as many sources as there are, in the order of the manifest."""
    order = random.Random(seed).sample(range(len(rows)), len(rows))
    seen: dict[str, int] = {}
    turns = []  # for each clip its position among those of its source
    for place in order:
        seen[rows[place].source_sha256] = turn = seen.get(rows[place].source_sha256, -1) + 1
        turns.append(turn)
    drawn = sorted(range(len(order)), key=lambda index: turns[index])[:count]
    return [rows[place] for place in sorted(order[index] for index in drawn)]


def clip_tiles(rows: Sequence[ManifestRow], clips: StoredClips) -> list[Tile]:
    """A tile for each clip that is stored, with three frames of it."""
    pictures = {key: first_middle_last(clip) for key, clip in clips.read(rows)}
    return [Tile(pictures[row.key], _said(row.captions), _clip_note(row)) for row in rows if row.key in pictures]


def _clip_note(row: ManifestRow) -> str:
    facts = [row.split.replace("_", " ")]
    facts += ["still"] if row.kind != "video" else []
    facts += [f"{row.start_seconds:.3g} to {row.end_seconds:.3g} s"] if row.kind == "video" else []
    facts += [f"class {row.label}"] if row.label is not None else []
    return " · ".join([*facts, one_line(Path(row.source).name)])
