"""What is to be done about an artefact that no stage has made yet."""

from __future__ import annotations

from collections.abc import Iterable

from walt.core.paths import ARTIFACTS, Paths
from walt.project.registry import STAGES

_MAY_BE_ABSENT = "captions"
"""Where nobody asked for captions; where somebody did, the error itself names the stage."""


def not_made_yet(names: Iterable[str], paths: Paths) -> str | None:
    """Of the first of these artefacts that is not there: which stage makes it. None: all are there.

    Args:
        names: as in ``walt.core.paths``.
    """
    for name in names:
        if name != _MAY_BE_ABSENT and not (paths.root / ARTIFACTS[name]).exists():
            stage = next(stage.name for stage in STAGES if name in stage.outputs)
            return f"{ARTIFACTS[name]} is what `walt {stage}` makes; `dvc repro {stage}` runs all that this needs"
    return None
