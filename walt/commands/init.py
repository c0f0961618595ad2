"""``walt init``: a project's parameters from a recipe, pointed at the user's own videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.errors import ConfigurationError
from walt.core.log import info
from walt.core.storage import write_bytes
from walt.project.dvc_yaml import ONLY_IN_A_CLONE, PIPELINE_FILE
from walt.project.missing_keys import add_missing
from walt.project.point_at_dataset import own_dataset, point_at_dataset
from walt.project.recipes import check_new_params
from walt.project.runner import load_params


def command(
    recipe: Annotated[
        str | None,
        typer.Option(help="Parameter file to start from: a name in walt/recipes; demo where there is no params.yaml."),
    ] = None,
    videos: Annotated[
        str | None,
        typer.Option(
            help="Your own files: a folder, a glob, a table that lists files, or one file; here or under s3://."
        ),
    ] = None,
    captions: Annotated[
        str | None,
        typer.Option(help="Table of captions, relative to the folder, else to here; by default its captions.csv."),
    ] = None,
    path_column: Annotated[str, typer.Option(help="Column with the file's path or URL.")] = "path",
    caption_column: Annotated[str, typer.Option(help="Column with the caption.")] = "caption",
    name: Annotated[str | None, typer.Option(help="Name of the dataset; by default the folder's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a params.yaml that is there.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Add the keys that an older params.yaml lacks; the rest stays as it is.")
    ] = False,
) -> None:
    """Write params.yaml from a recipe; with --videos, describe your own videos and point at them."""
    root = Path.cwd()
    if update:
        if recipe is not None or force or videos is not None:
            raise ConfigurationError("--update only adds keys: give it without --recipe, --force and --videos")
        added = add_missing(root / "params.yaml")
        info(f"added to params.yaml: {', '.join(added)}" if added else "params.yaml has every key")
        load_params(root)  # what else is wrong with it is said here, not by the next command
        return
    own = None if videos is None else own_dataset(root, videos, captions, path_column, caption_column, name)
    start = None
    if recipe is not None or force or not (root / "params.yaml").is_file():
        start = check_new_params(recipe or "demo", root / "params.yaml", force)
    else:
        info("params.yaml is kept; --recipe NAME --force starts from another")
    if own is not None:
        info(f"wrote {point_at_dataset(root, *own, start)}; params.yaml now points at it and {videos}")
    elif start is not None:
        write_bytes(root / "params.yaml", start)
    if (root / PIPELINE_FILE).is_file():
        info("next: `walt prepare`, then `dvc repro` or `python -m flows.walt`")
    else:
        info(f"next: `walt prepare`, then `walt ingest`, or `walt inspect` first ({ONLY_IN_A_CLONE})")
