"""Which held-out clips are looked at while a model is trained: the first of those that the evaluation draws."""

from __future__ import annotations

from collections.abc import Sequence

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.log import warning
from walt.core.paths import Paths
from walt.data.clip_draw import draw_order
from walt.evaluation.protocol import load_protocol
from walt.evaluation.protocol_inputs import drawn_clips
from walt.project.params import Params


def looked_at(params: Params, paths: Paths, keys: Sequence[str], most: int) -> list[str]:
    """At most so many of the keys, in the order in which ``evaluate`` draws them: by the protocol's seed, and spread
    over the recordings. So a look's clips are a part of the evaluation's, the same at each look and after a resume.

    Where the manifest does not know the clips, which a training does not need it for, each is drawn by itself, with a
    warning: a look stops no training.
    """
    try:
        drawn = drawn_clips(params.evaluate, paths, keys)
    except (StorageError, CorruptArtifactError) as error:
        warning(f"validation: the clips are drawn without regard to their recordings: {error}")
        drawn = draw_order({key: key for key in keys}, load_protocol(params.evaluate.protocol).real.draw_seed)
    return drawn[:most]
