"""``walt init``: a project's parameters from a recipe, pointed at the user's own videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.log import info
from walt.project.dvc_yaml import ONLY_IN_A_CLONE, PIPELINE_FILE
from walt.project.point_at_dataset import init_dataset
from walt.project.recipes import copy_recipe


def command(
    recipe: Annotated[
        str | None,
        typer.Option(help="Parameter file to start from: a name in walt/recipes; demo where there is no params.yaml."),
    ] = None,
    videos: Annotated[
        str | None,
        typer.Option(
            help="Your own: a folder, a glob, a CSV or Parquet list of files, or one file; here or under s3://."
        ),
    ] = None,
    captions: Annotated[
        str | None,
        typer.Option(help="Table of captions, relative to the folder; by default captions.csv, if it is there."),
    ] = None,
    path_column: Annotated[str, typer.Option(help="Column with the file's path or URL.")] = "path",
    caption_column: Annotated[str, typer.Option(help="Column with the caption.")] = "caption",
    name: Annotated[str | None, typer.Option(help="Name of the dataset; by default the folder's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a params.yaml that is there.")] = False,
) -> None:
    """Write params.yaml from a recipe; with --videos, describe your own videos and point at them."""
    root = Path.cwd()
    if recipe is not None or force or not (root / "params.yaml").is_file():
        copy_recipe(recipe or "demo", root / "params.yaml", force)
    else:
        info("params.yaml is kept; --recipe NAME --force starts from another")
    if videos is not None:
        descriptor = init_dataset(root, videos, captions, path_column, caption_column, name)
        info(f"wrote {descriptor}; params.yaml now points at {videos}")
    if (root / PIPELINE_FILE).is_file():
        info("next: `walt prepare`, then `dvc repro` or `python -m flows.walt`")
    else:
        info(f"next: `walt prepare`, then `walt ingest`, or `walt inspect` first ({ONLY_IN_A_CLONE})")
