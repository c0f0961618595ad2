"""A dataset of the user's own: its descriptor, and what the other sections of ``params.yaml`` become with it."""

from __future__ import annotations

from pathlib import Path

from walt.core.yaml_files import read_commented, write_yaml
from walt.ingest.config import Descriptor
from walt.ingest.prepare import check_listing, describe_files


def init_dataset(
    root: Path, videos: str, captions: str | None, path_column: str, caption_column: str, name: str | None
) -> str:
    """Describe a user's videos as ``datasets/<name>.yaml`` and point ``params.yaml`` at them.

    Arguments and errors are those of ``walt.ingest.prepare.describe_files``; where something is missing, nothing is
    written.

    Returns:
        The descriptor's path, relative to ``root``.
    """
    descriptor, path = describe_files(root, videos, captions, path_column, caption_column, name)
    check_listing(descriptor, root, path)
    return point_at_dataset(root, descriptor, path)


def point_at_dataset(root: Path, descriptor: Descriptor, path: str) -> str:
    """Write the descriptor as ``datasets/<name>.yaml``, and into ``params.yaml`` what follows from it.

    Comments and the order of keys in ``params.yaml`` stay. Prompts become the captions of held-out clips (``none``
    where there are no captions), and the rule of promotion the Frechet distance, since prompt adherence can be measured
    for generated datasets only.

    Args:
        path: for ``dataset.path``.

    Returns:
        The descriptor's path, relative to ``root``.

    Raises:
        ConfigurationError: ``params.yaml`` cannot be read; nothing is written then.
    """
    params = read_commented(root / "params.yaml")
    file = f"datasets/{descriptor.name}.yaml"
    write_yaml(root / file, descriptor.model_dump())
    params["dataset"].update({"descriptor": file, "path": path})
    params["sample"]["prompts"] = "held_out" if descriptor.caption_required else "none"
    distance = "fvd" if params["evaluate"]["features"] == "i3d" else "frechet_distance/thumbnail"
    params["promotion"].update({"metric": distance, "better": "lower"})
    write_yaml(root / "params.yaml", params)
    return file
