"""A new ``params.yaml`` for a dataset of the user's own: its descriptor, and the sections that change with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from walt.core.config import parse_section
from walt.core.errors import ConfigurationError
from walt.core.log import info
from walt.core.printable import printable
from walt.core.storage import replace_file
from walt.core.yaml_files import parse_commented, read_commented, yaml_bytes
from walt.evaluation.config import EvaluateConfig
from walt.evaluation.metric_names import frechet_metric
from walt.ingest.config import Descriptor
from walt.ingest.describe_files import Described, Given, describe_files
from walt.ingest.sources.rows import tables_outside
from walt.ingest.tables.read import is_table

OWN_DATASETS = "datasets/own"
"""Where the descriptors are that ``walt init`` writes: beside those of the project, which have cards and tests."""


def own_dataset(root: Path, given: Given) -> Described:
    """A user's own files, looked at and described; nothing is written, and what was found is said line by line.

    Raises:
        ConfigurationError: as ``describe_files``; or all inputs are refused; or something that is not read may hold
            captions, and the user did not say which table or that none is wanted.
    """
    described = describe_files(root, given)
    for line in described.lines():
        info(line)
    refusals = described.listing.refusals
    if not described.listing.items and all(refusal.code != "missing" for refusal in refusals):  # files may come later
        first, count = refusals[0], len(refusals)
        said = f"none of its {count} inputs can be read; the first: {first.source}: {first.cause} ({first.code})"
        if first.code == "outside" and given.captions is None and is_table(given.videos):
            said += f"; if they are in another folder: --videos FOLDER --captions {given.videos}"
        raise ConfigurationError(f"{printable(given.videos)}: {printable(said)}")
    chosen = given.captions is not None or given.columns.said or not given.use_captions
    if described.choice.may_lose_captions and not chosen:
        names = [name for unused in described.choice.unused if unused.may_hold_captions for name in unused.names]
        said = ", ".join(map(printable, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise ConfigurationError(
            f"captions may be lost: {said} not read; give --captions TABLE, or --no-captions; files with captions in "
            "several layouts are one dataset as a union of them (datasets/union.md)"
        )
    for outside in tables_outside(described.choice.source):
        said = "is outside the folder, where DVC does not look: `walt prepare` reports changes to it"
        info(f"{printable(outside)} {said}")
    return described


def point_at_dataset(root: Path, described: Described, recipe: bytes | None = None) -> str:
    """Write the descriptor as ``datasets/own/<name>.yaml``, and into ``params.yaml`` what follows from it.

    Comments and the order of keys in ``params.yaml`` stay. Prompts become the captions of held-out clips (``none``
    where there are no captions), and the rule of promotion the Frechet distance alone and without a floor, since prompt
    adherence can be measured for generated datasets only. The descriptor is written first, then ``params.yaml``; where
    one of them fails, both stay as they were.

    Args:
        recipe: what ``params.yaml`` starts from; None: from its present content.

    Returns:
        The descriptor's path, relative to ``root``.

    Raises:
        ConfigurationError: ``params.yaml`` cannot be read.
        StorageError: a file cannot be written.
    """
    params = read_commented(root / "params.yaml") if recipe is None else parse_commented(recipe.decode())
    name = described.descriptor.name
    file, classes = f"{OWN_DATASETS}/{name}.yaml", described.choice.classes
    names = f"datasets/classes/own/{name}.txt" if classes else None  # below what DVC watches
    descriptor = described.descriptor.model_copy(update={"classes": names})
    params["dataset"].update({"descriptor": file, "path": described.path})
    params["sample"]["prompts"] = "held_out" if descriptor.caption_required else "none"
    params["evaluate"]["protocol"] = "own"
    evaluate = parse_section(params["evaluate"], EvaluateConfig, "params.yaml: evaluate")
    params["promotion"].update({"metric": frechet_metric(evaluate), "better": "lower", "guards": [], "floor": None})
    contents = {root / file: descriptor_bytes(descriptor), root / "params.yaml": yaml_bytes(params)}
    if names is not None and classes:
        contents = {root / names: "".join(f"{name}\n" for name in classes).encode(), **contents}
    write_all(contents)
    return file


def descriptor_bytes(descriptor: Descriptor) -> bytes:
    """A descriptor as YAML: the keys that every one has, and of its source what is not the default."""
    content = {name: value for name, value in descriptor.model_dump(mode="json").items()
               if name != "group_pattern" or value is not None}  # fmt: skip
    source = descriptor.source
    content["source"] = {"kind": source.kind} | source.model_dump(mode="json", exclude_defaults=True)
    return yaml_bytes(content)


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write files one after the other; where one fails, all are as they were. Raises StorageError."""
    before = {target: target.read_bytes() if target.is_file() else None for target in contents}
    written: list[Path] = []
    try:
        for target, data in contents.items():
            replace_file(target, data)
            written.append(target)
    except BaseException:
        for target in written:
            earlier = before[target]
            if earlier is None:
                target.unlink()
            else:
                replace_file(target, earlier)
        raise
