"""Whether the networks that will judge the videos can take them: asked before anything is trained for it."""

from __future__ import annotations

from pathlib import Path

from walt.core.paths import Paths
from walt.core.sizes import Size
from walt.core.transformers import SUPER_RESOLUTION_NAMES
from walt.evaluation.protocol import networks_of, unjudged_frames
from walt.project.params import Params


def check_judged_form(params: Params, root: Path) -> None:
    """Call each learned network once, on zeros of the form of the videos that these parameters make.

    Costs nothing where the protocol needs no file.

    Raises:
        ConfigurationError: its file is missing, or it cannot take such clips.
        CorruptArtifactError: its file has another SHA-256.
    """
    networks = [network for network in networks_of(params.evaluate) if network != "random_network"]
    if not networks:
        return
    from walt.evaluation.extractors import check_extractor, make_extractor  # imports torch

    num_frames, size = judged_form(params)
    for network in networks:
        extractor = make_extractor(network, params.evaluate.networks, Paths(root))
        check_extractor(extractor, network, num_frames, size)


def judged_form(params: Params) -> tuple[int, Size]:
    """(frames, (height, width) in pixels) of what is judged of the final videos."""
    models = [
        model
        for name, (model, _) in params.transformers().items()
        if params.sample.cascade or name not in SUPER_RESOLUTION_NAMES
    ]
    return params.ingest.num_frames - unjudged_frames(params.evaluate), models[-1].resolution
