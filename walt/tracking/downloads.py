"""Files that MLflow keeps, as files here."""

from __future__ import annotations

import shutil
from pathlib import Path

_ARRIVING = ".arriving"


def download_into(folder: Path, tracking_uri: str, **what: str) -> None:
    """Fetch all that is directly in a folder of MLflow's into ``folder``, on whose disk there must be room for it once.

    Args:
        folder: is empty. Where it is a temporary one, so is what a killed process leaves in it.
        what: ``artifact_uri``; or ``run_id`` and ``artifact_path``.
    """
    from mlflow.artifacts import download_artifacts

    arriving = folder.absolute() / _ARRIVING
    arriving.mkdir()
    found = download_artifacts(dst_path=str(arriving), tracking_uri=tracking_uri, **what)
    for path in Path(found).iterdir():
        path.rename(folder / path.name)
    shutil.rmtree(arriving)
