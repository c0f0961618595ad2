"""Before the first stage: makes a dataset's source files, or checks that they are there."""

from __future__ import annotations

from pathlib import Path

from walt.core import remote
from walt.core.compute import ComputeConfig
from walt.core.config import load_section
from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.ingest import shapes_files
from walt.ingest.config import DatasetConfig, Descriptor
from walt.ingest.sources import adapters, union


def prepare(dataset: DatasetConfig, compute: ComputeConfig, paths: Paths) -> str:
    """Make the dataset's source files where the descriptor names a generator, else check that they are there.

    Returns:
        One line that says what was done.

    Raises:
        ConfigurationError: the descriptor is wrong; the folder, a table or a column is missing; or there is no input.
    """
    descriptor = load_section(paths.root / dataset.descriptor, Descriptor)
    done = []
    for name, member in descriptor.members().items():
        if member.generator is None:
            check_listing(descriptor, paths.root, dataset.path, name)
            continue
        folder = union.folder_of(dataset.path, member)
        if remote.is_remote(folder):
            raise ConfigurationError(f"{folder}: generated files are made on this machine, not in a bucket")
        done.append(shapes_files.generate(member.generator, paths.root / folder, compute))
    return "; ".join(done) or f"{dataset.path}: {descriptor.name} is there"


def check_listing(descriptor: Descriptor, root: Path, path: str, member: str = "") -> None:
    """Raise ConfigurationError if tables, columns or classes are wrong, without reading tables to their end."""
    if next(adapters.iterate_member(descriptor, member, root, path, max_caption_characters=1), None) is None:
        where = f"source.members.{member}" if member else f"dataset.path: {path}"
        raise ConfigurationError(f"{where}: contains no input for {member or descriptor.name}")
