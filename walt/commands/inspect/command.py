"""The options of ``walt inspect``; the work is in ``collect.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from walt.core.log import console, info


def command(
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="A descriptor: its name in datasets, or its path; by default that of params.yaml. Or files: a "
            "folder, a glob, a list, a video or an image."
        ),
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Folder of its files, or s3://; by default that of params.yaml.")
    ] = None,
    clips: Annotated[int, typer.Option(min=0, help="Clips on the contact sheet.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Which clips and headers are drawn.")] = 0,
    sample: Annotated[
        int | None, typer.Option(min=0, help="Files whose headers are read; by default 200, and none after ingest.")
    ] = None,
    path_column: Annotated[
        str | None, typer.Option(help="Of a list, or of captions.csv, without a descriptor; by default path.")
    ] = None,
    caption_column: Annotated[str | None, typer.Option(help="The same; by default caption.")] = None,
    captions: Annotated[
        bool, typer.Option("--captions", help="A contact sheet of captions, and a table in which to correct them.")
    ] = False,
    rejects: Annotated[str | None, typer.Option(metavar="CODE", help="List the inputs refused with this code.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the page and the pictures.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document with plain numbers.")] = False,
) -> None:
    """Show what a dataset holds: counts, durations, reject reasons, a contact sheet. Before ingest, of its files."""
    # decoders and matplotlib take seconds to import, and --help does not need them
    from walt.commands.inspect.collect import Request, rejected, run
    from walt.commands.inspect.figure_tables import headline, rejects_table, tables, to_rich

    if captions:
        from walt.commands.inspect.captions_sheet import captions_sheet

        info("wrote " + ", ".join(map(str, captions_sheet(Path.cwd(), out, clips, seed))))
        return
    request = Request(dataset, path, clips, seed, sample, out, as_json, path_column, caption_column)
    if rejects is not None:
        found = rejected(request, rejects, Path.cwd())
        if as_json:
            print(json.dumps(found, indent=2))
        else:
            console.print(to_rich(rejects_table(rejects, found)), soft_wrap=False)
        return
    document = run(request, Path.cwd())
    if as_json:
        print(json.dumps(document, indent=2))
        return
    info(f"{document['dataset']['name']}: " + "; ".join(f"{value} {label}" for value, label in headline(document)))
    for line in document["dataset"]["looked"]:
        info(line)
    for table in tables(document):
        console.print(to_rich(table), soft_wrap=False)
    info("wrote " + ", ".join(document["files"].values()))
