"""Whether the network that will judge the videos can take them: asked before anything is trained for it."""

from __future__ import annotations

from pathlib import Path

from walt.core.paths import Paths
from walt.core.sizes import Size
from walt.core.transformers import SUPER_RESOLUTION_NAMES
from walt.project.params import Params


def check_judged_form(params: Params, root: Path) -> None:
    """Call a learned extractor once, on zeros of the form of the videos that these parameters make.

    Costs nothing where ``evaluate.features`` needs no file.

    Raises:
        ConfigurationError: its file is missing, or it cannot take such clips.
        CorruptArtifactError: its file has another SHA-256.
    """
    if params.evaluate.features == "random_network":
        return
    from walt.evaluation.extractors import check_extractor, make_extractor  # imports torch

    path = params.evaluate.i3d_path
    _, extractor = make_extractor(
        params.evaluate.features, Paths(root).resolve(path) if path else None, params.evaluate.i3d_sha256
    )
    check_extractor(extractor, params.evaluate.features, *judged_form(params))


def judged_form(params: Params) -> tuple[int, Size]:
    """(frames, (height, width) in pixels) of the final videos."""
    models = [
        model
        for name, (model, _) in params.transformers().items()
        if params.sample.cascade or name not in SUPER_RESOLUTION_NAMES
    ]
    return params.ingest.num_frames, models[-1].resolution
