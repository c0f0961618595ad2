"""A new ``params.yaml`` for a dataset of the user's own: its descriptor, and the sections that change with it."""

from __future__ import annotations

from pathlib import Path

from walt.core.log import info
from walt.core.paths import printable
from walt.core.storage import write_bytes
from walt.core.yaml_files import parse_commented, read_commented, yaml_bytes
from walt.ingest.config import Descriptor
from walt.ingest.describe_files import describe_files
from walt.ingest.prepare import check_listing
from walt.ingest.sources.captioned_folder import table_outside
from walt.ingest.sources.kinds import CaptionedFolder

OWN_DATASETS = "datasets/own"
"""Where the descriptors are that ``walt init`` writes: beside those of the project, which have cards and tests."""


def own_dataset(
    root: Path, videos: str, captions: str | None, path_column: str, caption_column: str, name: str | None
) -> tuple[Descriptor, str]:
    """The descriptor of a user's own videos and the value of ``dataset.path``, all checked; nothing is written.

    Arguments and errors are those of ``walt.ingest.describe_files.describe_files``, and ConfigurationError where the
    table or a column is missing, or there is no input.
    """
    descriptor, path = describe_files(root, videos, captions, path_column, caption_column, name)
    check_listing(descriptor, root, path)
    source = descriptor.source
    if isinstance(source, CaptionedFolder) and table_outside(source):
        said = "is outside the folder, where DVC does not look: `walt prepare` reports changes to it"
        info(f"{printable(source.captions)} {said}")
    return descriptor, path


def point_at_dataset(root: Path, descriptor: Descriptor, path: str, recipe: bytes | None = None) -> str:
    """Write the descriptor as ``datasets/own/<name>.yaml``, and into ``params.yaml`` what follows from it.

    Comments and the order of keys in ``params.yaml`` stay. Prompts become the captions of held-out clips (``none``
    where there are no captions), and the rule of promotion the Frechet distance, since prompt adherence can be measured
    for generated datasets only. The descriptor is written first, then ``params.yaml``; where one of them
    fails, both stay as they were.

    Args:
        path: for ``dataset.path``.
        recipe: what ``params.yaml`` starts from; None: from its present content.

    Returns:
        The descriptor's path, relative to ``root``.

    Raises:
        ConfigurationError: ``params.yaml`` cannot be read.
        StorageError: a file cannot be written.
    """
    params = read_commented(root / "params.yaml") if recipe is None else parse_commented(recipe.decode())
    file = f"{OWN_DATASETS}/{descriptor.name}.yaml"
    params["dataset"].update({"descriptor": file, "path": path})
    params["sample"]["prompts"] = "held_out" if descriptor.caption_required else "none"
    distance = "fvd" if params["evaluate"]["features"] == "i3d" else "frechet_distance/thumbnail"
    params["promotion"].update({"metric": distance, "better": "lower"})
    content, target = yaml_bytes(params), root / file
    before = target.read_bytes() if target.is_file() else None
    write_bytes(target, yaml_bytes(descriptor.model_dump()))
    try:
        write_bytes(root / "params.yaml", content)
    except BaseException:
        if before is None:
            target.unlink()
        else:
            write_bytes(target, before)
        raise
    return file
