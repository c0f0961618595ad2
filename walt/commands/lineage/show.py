"""Prints a lineage: tables for people, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from walt.commands.lineage import of_model, of_source
from walt.commands.lineage.given_source import digests_of
from walt.core.log import console, harmless
from walt.core.paths import Paths
from walt.core.printable import printable
from walt.core.secrets import all_without_secrets
from walt.project.runner import load_params
from walt.tracking.lineage import Registry

MOST_SHOWN = 20
"""Rows of a kind in a table for people; the JSON has all."""
KEEP = "lineage"
"""Below ``work``: tables of sources that were fetched from MLflow."""


def open_registry(root: Path) -> Registry:
    """The project's model versions. Raises UnreachableError where MLflow does not answer."""
    return Registry(load_params(root).tracking, root, Paths(root).work(KEEP))


def show_model(given: str, root: Path, as_json: bool) -> None:
    """Print what a model version was made of. Raises as ``Registry.find`` and ``of_model.describe``."""
    registry = open_registry(root)
    most = None if as_json else MOST_SHOWN - 1
    about = of_model.describe(registry, registry.find(given, root), Paths(root), most)
    if as_json:
        print(json.dumps(all_without_secrets(about), indent=1, sort_keys=True))
        return
    title = f"{about['model']} version {about['version']}"
    console.print(table_of(title, _model_rows(about)))


def show_source(given: str, root: Path, as_json: bool) -> None:
    """Print all that holds a source. Raises as ``digests_of`` and ``of_source.find``."""
    paths = Paths(root)
    sources = digests_of(given, paths, load_params(root).dataset.path)
    held = of_source.find(paths, sources)
    versions = {str(version): how for version, how in open_registry(root).holders(sources).items()}
    if as_json:
        print(json.dumps(all_without_secrets({**asdict(held), "versions": versions}), indent=1, sort_keys=True))
        return
    console.print(table_of(f"source {given}", source_rows(held, versions)))


def source_rows(held: of_source.Holdings, versions: dict[str, str]) -> list[tuple[str, list[str]]]:
    """What holds a source: kind of thing -> lines."""
    clips = [f"{clip.key} {clip.split}, {clip.start_seconds:g} to {clip.end_seconds:g} s" for clip in held.clips]
    texts = [
        f"{text.text!r} in {text.tar or 'no tar'}" + (", other clips have it too" if text.shared else "")
        for text in held.texts
    ]
    rows = [
        ("SHA-256", held.sources), ("names", held.names), ("refused as", held.refused), ("clips", clips),
        ("refused clips", held.refused_clips), ("manifest", held.parts), ("clip tars", held.tars),
        ("latent tars", held.latents), ("captions", texts), ("clip cache", held.cached),
        ("checkpoints", held.checkpoints), ("samples", held.samples),
        ("model versions", [f"{version}: {how}" for version, how in versions.items()]),
    ]  # fmt: skip
    return [(name, list(lines)) for name, lines in rows]


def _model_rows(about: dict[str, Any]) -> list[tuple[str, list[str]]]:
    rows: list[tuple[str, list[str]]] = [
        ("aliases", about["aliases"]), ("digest", [about["digest"]]), ("files", [about["location"]]),
        ("taken down", [f"{key}: {value}" for key, value in about["tags"].items()]),
        ("note", [about["note"]] if about["note"] else []),
    ]  # fmt: skip
    if about["run"] is None:
        return rows
    sources = [f"{one['name'] or one['sha256']}: {_clips(one['train'] + one['held_out'])}" for one in about["sources"]]
    sources += [f"... {more} more, in `walt lineage --json`"] if (more := about["num_sources"] - len(sources)) else []
    return [
        *rows,
        ("run", [f"{about['run']} ({about['stage']})"]),
        ("code", [f"{key} {value}" for key, value in about["code"].items()]),
        ("settings", [f"{key}: {value}" for key, value in sorted(about["settings"].items())]),
        ("models", [f"{one['model']} version {one['version']}" for one in about["uses"]]),
        ("given", [f"{key}: {value}" for key, value in sorted(about["given"].items())]),
        ("inputs", [_input(one) for one in about["inputs"]]),
        ("tars", [tar for one in about["inputs"] for tar in one["tars"] or ()]),
        ("clips", [f"{about['clips']['train']} to train on, {about['clips']['held_out']} held out"]),
        ("sources", sources),
    ]


def _input(one: dict[str, Any]) -> str:
    where = "as it is now" if one["here_now"] else "in DVC's cache" if one["in_dvc_cache"] else "no longer here"
    return f"{one['path']} {one['md5']}: {where}"


def table_of(title: str, rows: Iterable[tuple[str, list[str]]]) -> Table:
    """A table of kinds and lines. Names of files and captions are shown as they are: never as markup."""
    table = Table(title=harmless(printable(title)), show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, lines in rows:
        if not lines:
            continue
        more = [f"... {len(lines) - MOST_SHOWN} more, in `walt lineage --json`"] if len(lines) > MOST_SHOWN else []
        label = name if len(lines) == 1 else f"{name} ({len(lines)})"
        table.add_row(harmless(label), harmless(printable("\n".join([*lines[:MOST_SHOWN], *more]))))
    return table


def _clips(count: int) -> str:
    return f"{count} clip{'' if count == 1 else 's'}"
