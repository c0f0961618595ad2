"""A project without its source files, such as a training machine after ``dvc pull``: what is missing, what to do.

Only ingest reads source files. The stages after it need its clips and tables.
"""

from __future__ import annotations

from dataclasses import dataclass

from walt.core.paths import Paths
from walt.core.printable import printable
from walt.core.remote import is_remote
from walt.data.manifest import has_manifest
from walt.ingest.config import Descriptor
from walt.ingest.sources.union import folder_of
from walt.project.dvc_yaml import PIPELINE_FILE
from walt.project.registry import STAGES, get_stage


@dataclass(frozen=True)
class MissingSources:
    """A folder of source files that is not on this machine."""

    found: str
    """The key that names the folder, the folder, and that it is not there."""
    advice: str
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.found}; {self.advice}"


def missing_sources(descriptor: Descriptor, path: str, paths: Paths) -> MissingSources | None:
    """The first folder of the dataset that is missing here; None where all are there.

    Folders that ``walt prepare`` fills and those on servers are not checked.

    Args:
        path: the dataset's folder, as in ``dataset.path``.
    """
    for name, member in descriptor.members().items():
        folder = folder_of(path, member)
        if member.generator is None and not is_remote(folder) and not (paths.root / folder).is_dir():
            key = f"source.members.{name}.path" if name else "dataset.path"
            found = f"{key}: {printable(str(paths.root / folder))}: no such folder"
            return MissingSources(found, f"put the source files there, or {without_sources(paths)}")
    return None


def without_sources(paths: Paths) -> str:
    """How to continue without source files: from the clips that are here, or from those that another machine made."""
    first = [stage.name for stage in STAGES if stage.inputs and set(stage.inputs) <= set(get_stage("ingest").outputs)]
    has_pipeline = (paths.root / PIPELINE_FILE).is_file()
    run = (
        f"`dvc repro --downstream {' '.join(first)}`" if has_pipeline else f"`walt {first[0]}` and the stages after it"
    )
    if has_manifest(paths.manifest):
        return f"continue without them: {run} works from the clips in {paths.clips.relative_to(paths.root)}"
    bring = "`dvc pull` or `walt fetch URL`" if has_pipeline else "`walt fetch URL`"
    return f"continue without them: {bring} brings the clips that another machine made, and {run} works from those"
