"""The path of each artefact under the project's root, in one table, so that no path is written twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from walt.core.transformers import TRANSFORMERS

ARTIFACTS: dict[str, str] = {
    "clips": "data/clips",  # <HxW>/clips-000000.tar, shards.parquet
    "manifest": "data/manifest",  # part-000000.parquet: one row per clip, with caption and label; _index.json
    "captions": "data/captions",  # part-000000.parquet: clips that were described after ingest; about.json
    "rejects": "data/rejects.parquet",  # one row per refused input
    "clip_rejects": "data/clip_rejects.parquet",  # one row per refused clip
    "autoencoder": "models/autoencoder",  # model.safetensors, config.json, statistics, metrics
    "text_encoder": "models/text-encoder",  # encoder.json, and the weights where they were made here
    "text": "data/text",  # text-all.tar, null.tar, shards.parquet, captions.parquet, labels.parquet ...
    "latents": "data/latents",  # <HxW>/latents-000000.tar, shards.parquet
    # model.safetensors, config.json, metrics; a model that is null in params.yaml is left out (walt.core.left_out)
    **{transformer.name: transformer.folder for transformer in TRANSFORMERS},
    "samples": "results/samples",  # mp4, png grids, samples.json
    "evaluation": "results/evaluation.json",
    "metrics": "results/metrics.json",  # its numbers alone, flat: what `dvc metrics` shows
    "report": "results/report.html",
}


def located(root: Path, given: str) -> Path:
    """Where a file or folder is that a person named: below ``root``, absolute, or with ``~``.

    What follows a ``~`` and is no user, or a user without a home folder (a container may have such), stays as it is, as
    in a shell.
    """
    try:
        return root / Path(given).expanduser()
    except RuntimeError:  # so it says that it knows no home folder
        return root / given


@dataclass(frozen=True)
class Paths:
    """The artefacts of a project as absolute paths: ``paths.clips``, ``paths.base`` ..."""

    root: Path

    def __getattr__(self, name: str) -> Path:
        if name not in ARTIFACTS:
            raise AttributeError(f"no artefact is named '{name}'; the names are {', '.join(ARTIFACTS)}")
        return self.root / ARTIFACTS[name]

    def work(self, stage: str) -> Path:
        """Folder of the files that a stage needs to resume (checkpoints, partial results). Not versioned by DVC."""
        return self.root / "work" / stage

    @property
    def flow_lock(self) -> Path:
        """Held by the flow run that works in the project."""
        return self.root / "work" / "flow.lock"

    def resolve(self, path: str) -> Path:
        """A path from a configuration file, taken relative to the project's root."""
        return (self.root / path).resolve()
