"""What MLflow gets of an evaluation besides its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from shutil import copy
from typing import Any

from walt.core.digests import sha256_json
from walt.core.figures import Figure
from walt.core.paths import Paths
from walt.core.scratch import scratch_folder
from walt.evaluation import metric_names
from walt.sampling.samples import OVERVIEW, Sample
from walt.tracking.runs import Run

_VIDEOS_COMPARED = 8  # in the release's own run
_VIDEOS_TRACKED = 16  # sample videos in the MLflow run; all of them are in results/samples


def track(tracked: Run, figures: Mapping[str, Figure], samples: Sequence[Sample], paths: Paths) -> None:
    """Log the intervals and deviations, ``results/evaluation.json`` and the first samples; the figures are there."""
    intervals = {
        f"{name}/{end}": value
        for name, figure in figures.items()
        for end, value in (("low", figure.low), ("high", figure.high), ("deviation", figure.deviation))
        if not metric_names.is_of_a_band(name) and value is not None and isfinite(value)
    }
    tracked.log_metrics(intervals, 0)
    tracked.log_artifact(paths.evaluation)
    tracked.log_artifact(paths.samples / OVERVIEW, "samples")
    for sample in samples[:_VIDEOS_TRACKED]:
        tracked.log_artifact(sample.path, "samples")
        tracked.log_artifact(sample.path.with_suffix(".png"), "samples")
        if sample.base_path is not None:
            tracked.log_artifact(sample.base_path, "samples/base")


def group(
    tracked: Run,
    written: Mapping[str, Any],
    settings: Mapping[str, Any],
    figures: Mapping[str, Figure],
    samples: Sequence[Sample],
) -> None:
    """One run for the release, with the first samples: to be compared with those of other releases.

    Args:
        written: the content of ``results/evaluation.json``, without its digest.
    """
    with scratch_folder() as scratch:
        for sample in samples[:_VIDEOS_COMPARED]:
            for file in (sample.path, sample.path.with_suffix(".png")):
                copy(file, scratch)
        shown = {
            name: (figure.value, str(figure), sha256_json(dict(figure.conditions))) for name, figure in figures.items()
        }
        tracked.log_release(written["models"], settings, shown, scratch, sha256_json(written))
