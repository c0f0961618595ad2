"""A project whose sources, clips and DVC objects are in a bucket, and whose work is done by the services."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from infra.services.object_store import BUCKET, ObjectStore
from infra.services.process import run
from walt.core.config import read_yaml
from walt.core.storage import write_json
from walt.ingest.shapes_files import generate
from walt.ingest.sources.kinds import ShapesGenerator
from walt.project.recipes import load_recipe

_SHAPES = ShapesGenerator(kind="shapes", videos=12, images=8, size=64, num_frames=17, fps=8, seed=0)


def upload_sources(folder: Path, store: ObjectStore) -> None:
    """Put generated videos and stills, and the table of their captions, under ``videos/``."""
    generate(_SHAPES, folder, load_recipe("tiny").compute)
    for file in sorted(folder.rglob("[!.]*.*")):
        store.client("s3").upload_file(str(file), BUCKET, f"videos/{file.relative_to(folder)}")


def make_project(folder: Path, endpoint: str, tracking: str, environment: Mapping[str, str]) -> Path:
    """A new project as a person makes it, of the tiny recipe.

    Args:
        endpoint: of the S3 server.
        tracking: address of the MLflow server.
        environment: with which commands reach them.
    """
    folder.mkdir()
    walt, dvc = [sys.executable, "-m", "walt.cli"], [sys.executable, "-m", "dvc", "remote"]
    run([*walt, "init", "--recipe", "tiny", "--videos", f"s3://{BUCKET}/videos"], environment, folder)
    run([*dvc, "add", "--default", "store", f"s3://{BUCKET}/dvc"], environment, folder)
    run([*dvc, "modify", "store", "endpointurl", endpoint], environment, folder)
    params = read_yaml(folder / "params.yaml")
    params["ingest"] |= {"output": f"s3://{BUCKET}/clips"}
    params["tracking"] |= {"uri": tracking}
    params["compute"] |= {"device": "cpu", "backend": "ray", "workers": 2, "nodes": 2, "devices": 1}
    params |= dict.fromkeys(("aspect", "finetune_aspect", "sr_4x", "train_sr_4x"))  # as the demo: two models less
    params["sr_2x"] |= {"resolution": [32, 32], "latent_grid": [3, 4, 4]}
    params["ingest"] |= {"sizes": [[16, 16], [32, 32]], "clips_per_shard": 4}
    params["train_autoencoder"]["forms"][1]["resolution"] = [32, 32]
    write_json(folder / "params.yaml", params)
    return folder
