"""Whether the networks that evaluate the videos can take them: asked before anything is trained for it."""

from __future__ import annotations

from pathlib import Path

from walt.core.paths import Paths
from walt.core.sizes import Size
from walt.core.transformers import SUPER_RESOLUTION_NAMES
from walt.evaluation.config import WITHOUT_FILES
from walt.evaluation.protocol import networks_of
from walt.project.params import Params


def check_evaluated_form(params: Params, root: Path) -> None:
    """Call each learned network once, on zeros of the form of the videos that these parameters make, for all that the
    protocol asks of it, and read the statistics that samples will be compared with.

    Costs nothing where the protocol needs no file.

    Raises:
        ConfigurationError: a file is missing, a network cannot take such clips, or statistics do not belong to it.
        CorruptArtifactError: a file has another SHA-256.
    """
    if set(networks_of(params.evaluate)) <= set(WITHOUT_FILES):
        return
    from walt.evaluation.protocol_inputs import open_extractors, open_statistics  # imports torch

    num_frames, size = made_form(params)
    extractors = open_extractors(params.evaluate, Paths(root), num_frames, size, "cpu")
    open_statistics(params.evaluate, Paths(root), extractors)


def made_form(params: Params) -> tuple[int, Size]:
    """(frames, (height, width) in pixels) of the final videos."""
    models = [
        model
        for name, (model, _) in params.transformers().items()
        if params.sample.cascade or name not in SUPER_RESOLUTION_NAMES
    ]
    return params.ingest.num_frames, models[-1].resolution
