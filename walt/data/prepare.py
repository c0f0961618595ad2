"""Before the first stage: make or check a dataset's source files, and describe a user's own captioned folder."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from walt.core.compute import ComputeConfig
from walt.core.config import load_section, read_yaml
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.core.storage import write_bytes
from walt.data import shapes_files
from walt.data.config import DatasetConfig, Descriptor
from walt.data.sources import captioned_folder

_NULL = "tag:yaml.org,2002:null"


def prepare(dataset: DatasetConfig, compute: ComputeConfig, paths: Paths) -> str:
    """Make the dataset's source files where the descriptor names a generator, else check that they are there.

    Returns:
        One line that says what was done.

    Raises:
        ConfigurationError: the descriptor is wrong, or the folder or its captions table is missing.
    """
    descriptor = load_section(paths.root / dataset.descriptor, Descriptor)
    folder = paths.root / dataset.path
    if descriptor.generator is not None:
        return shapes_files.generate(descriptor.generator, folder, compute)
    if not folder.is_dir():
        raise ConfigurationError(f"dataset.path: {folder}: no such folder")
    if not (folder / descriptor.captions).is_file():
        raise ConfigurationError(f"{folder / descriptor.captions}: no such file ({dataset.descriptor}, key 'captions')")
    return f"{folder}: {descriptor.name} is there"


def init_dataset(root: Path, videos: str, captions: str, path_column: str, caption_column: str, name: str) -> str:
    """Describe a captioned folder as ``datasets/<name>.yaml`` and point ``params.yaml`` at it.

    Comments and the order of keys in ``params.yaml`` stay. Prompts become the captions of held-out clips, and the rule
    of promotion the Frechet distance, since prompt adherence can be measured for generated datasets only.

    Args:
        videos: the folder; a relative one counts from ``root``.
        captions: the CSV, relative to ``videos``.
        name: of the dataset; characters other than letters, digits, ``_`` and ``-`` become ``-``.

    Returns:
        The descriptor's path, relative to ``root``.

    Raises:
        ConfigurationError: the folder, the CSV, a column or ``params.yaml`` is missing.
    """
    folder = root / videos
    if not folder.is_dir():
        raise ConfigurationError(f"{videos}: no such folder")
    name = re.sub(r"[^0-9A-Za-z_-]+", "-", name).strip("-") or "videos"
    descriptor = Descriptor(
        name=name, summary=f"Captioned videos of the folder {folder.name}.", licence="not stated", homepage=None,
        source="captioned_folder", captions=captions, path_column=path_column, caption_column=caption_column,
        caption_required=True, images=True, held_out=0.05, adherence=None, generator=None,
    )  # fmt: skip
    captioned_folder.check_table(folder / captions, path_column, caption_column)
    read_yaml(root / "params.yaml")  # one line for whatever is wrong with it
    _write_yaml(root / "datasets" / f"{name}.yaml", descriptor.model_dump())
    yaml = _round_trip()
    params: Any = yaml.load((root / "params.yaml").read_text(encoding="utf-8"))
    params["dataset"].update({"descriptor": f"datasets/{name}.yaml", "path": videos})
    params["sample"]["prompts"] = "held_out"
    distance = "fvd" if params["evaluate"]["features"] == "i3d" else "frechet_distance/thumbnail"
    params["promotion"].update({"metric": distance, "better": "lower"})
    _write_yaml(root / "params.yaml", params)
    return f"datasets/{name}.yaml"


def _round_trip() -> YAML:
    """A YAML that writes a file as its author wrote it."""
    yaml = YAML()
    yaml.width = 200
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(_NULL, "null"))
    return yaml


def _write_yaml(path: Path, data: Any) -> None:
    buffer = io.BytesIO()
    _round_trip().dump(data, buffer)
    write_bytes(path, buffer.getvalue())
