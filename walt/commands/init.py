"""``walt init``: a project's folder and its parameters from a recipe, pointed at the user's own videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.core.errors import ConfigurationError
from walt.core.log import info
from walt.core.storage import replace_file
from walt.ingest.describe_files import Given
from walt.ingest.layouts.tables import TableColumns
from walt.project.missing_keys import add_missing
from walt.project.new_folder import add_descriptor, is_new, make_project
from walt.project.point_at_dataset import own_dataset, point_at_dataset
from walt.project.recipes import DEFAULT_RECIPE, check_new_params
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
        typer.Option(help="Table of captions, relative to the folder, else to here; by default it is looked for."),
    ] = None,
    path_column: Annotated[
        str | None,
        typer.Option(help="Column with the file's path or URL, or a template: '{id}.mp4', '{id}_{start:06}.mp4'."),
    ] = None,
    caption_column: Annotated[
        list[str] | None, typer.Option(help="Column with captions; may be given again: all are kept.")
    ] = None,
    label_column: Annotated[str | None, typer.Option(help="Column with the class.")] = None,
    span_column: Annotated[
        list[str] | None,
        typer.Option(help="Column of a span's start, and again that of its end; or one with both."),
    ] = None,
    split_column: Annotated[str | None, typer.Option(help="Column that says train, val or test.")] = None,
    group_column: Annotated[
        str | None, typer.Option(help="Column with the recording: one group is on one side of the split.")
    ] = None,
    number_column: Annotated[
        list[str] | None, typer.Option(help="Column with a number to filter by; may be given again.")
    ] = None,
    labels_from_folders: Annotated[
        bool, typer.Option("--labels-from-folders", help="The folders that files are in are their classes.")
    ] = False,
    no_captions: Annotated[
        bool, typer.Option("--no-captions", help="Take the files without captions, whatever is beside them.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Name of the dataset; by default the folder's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a params.yaml that is there.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Add the keys that an older params.yaml lacks; the rest stays as it is.")
    ] = False,
) -> None:
    """Write params.yaml from a recipe, and what else a project needs; with --videos, point at your own videos."""
    root = Path.cwd()
    columns = TableColumns(
        path_column, tuple(caption_column or ()), label_column, tuple(span_column or ()), split_column, group_column,
        tuple(number_column or ()),
    )  # fmt: skip
    given = Given(videos or "", captions, columns, not no_captions, labels_from_folders, name)
    _check(given, update)
    if update:
        if recipe is not None or force or videos is not None:
            raise ConfigurationError("--update only adds keys: give it without --recipe, --force and --videos")
        _update(root)
    else:
        _write(root, recipe, None if videos is None else given, force)


def _check(given: Given, update: bool) -> None:
    """Refuse options that would have no effect. Raises ConfigurationError."""
    if given != Given(given.videos) and (not given.videos or update):
        raise ConfigurationError("--captions, --name and what is said of columns describe --videos: give that as well")
    if not given.use_captions and (given.captions is not None or given.columns.captions):
        raise ConfigurationError("--no-captions takes no captions: give it without --captions and --caption-column")


def _update(root: Path) -> None:
    added = add_missing(root / "params.yaml")
    info(f"added to params.yaml: {', '.join(added)}" if added else "params.yaml has every key")
    load_params(root)  # what else is wrong with it is said here, not by the next command


def _write(root: Path, recipe: str | None, given: Given | None, force: bool) -> None:
    """Write ``params.yaml`` and the descriptor of the user's files, after everything was checked."""
    own = None if given is None else own_dataset(root, given)
    start = None
    if recipe is not None or force or not (root / "params.yaml").is_file():
        start = check_new_params(recipe or DEFAULT_RECIPE, root / "params.yaml", force)
    else:
        info("params.yaml is kept; --recipe NAME --force starts from another")
    if own is not None and given is not None:
        info(f"wrote {point_at_dataset(root, own, start)}; params.yaml now points at it and {given.videos}")
    elif start is not None:
        replace_file(root / "params.yaml", start)
    if is_new(root):
        written = make_project(root, load_params(root).dataset.descriptor)
        info(f"made a project of this folder: {', '.join(written)}")
    elif start is not None and (written := add_descriptor(root, load_params(root).dataset.descriptor)):
        info(f"added {', '.join(written)}")
    info("next: `walt prepare`, then `dvc repro` or `python -m flows.walt`")
