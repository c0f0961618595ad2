"""The figures of a protocol: those that compare the samples with real clips, and those of the samples alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from zipfile import BadZipFile

import numpy as np
import torch

from walt.core.digests import sha256_file, sha256_json
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.figures import Figure
from walt.core.ranks import ranks
from walt.data.clip_pixels import pixels
from walt.evaluation.clip_sets import RealClip, classify_clips, measure_clips, measure_stored_clips
from walt.evaluation.config import NetworkName
from walt.evaluation.coverage import NEIGHBOURS, covered
from walt.evaluation.draws import Groups
from walt.evaluation.extractors import Classifier, Extractor
from walt.evaluation.feature_cache import FeatureCache
from walt.evaluation.frechet import Features, Statistics
from walt.evaluation.groups import chosen, condition
from walt.evaluation.kernels import KID, MMD
from walt.evaluation.metric_names import of_network
from walt.evaluation.protocol import Measure, Metric
from walt.evaluation.resampling import (
    frechet_figure,
    frechet_to_statistics_figure,
    inception_score_figure,
    kernel_figure,
    mean_figure,
    over_sets,
    share_figure,
)
from walt.media.images import Clip
from walt.nn.collectives import gather_shares

_FEWEST: dict[Metric, int] = {"mmd": 1, "precision": NEIGHBOURS + 1, "recall": NEIGHBOURS + 1}
"""Clips that both sides must have; two for the others."""


@dataclass(frozen=True)
class Sets:
    """The two sides, and what is known of them."""

    real: Sequence[RealClip]
    generated: Sequence[Callable[[], Clip]]
    prompts: Sequence[str]
    sets: Sequence[Hashable]
    """Of each sample what its set is called; each figure is the mean of the sets."""
    given_frames: int
    """First frames of each clip that are left out of the evaluation."""
    statistics: Mapping[NetworkName, Statistics]
    """By network; to which Frechet distances are taken in place of the real clips."""
    conditions: Mapping[str, str]
    """Of the samples."""
    cache: Path
    """Folder of the real side's features."""
    code: str
    """Digest of the code, for the cache."""
    of_real: Groups = None
    """The recordings of the real clips, where several are of one."""
    groups: Groups = None
    """Of the samples, where several are like each other."""


def read_statistics(path: Path, sha256: str, network: str) -> Statistics:
    """From an .npz file with ``mu`` and ``sigma``, as ADM's evaluations and clean-fid write them.

    Raises:
        ConfigurationError: there is no such file, or not these arrays in it.
        CorruptArtifactError: its SHA-256 differs; it is not opened then.
    """
    setting = f"evaluate.statistics.{network}"
    if not path.is_file():
        raise ConfigurationError(f"{setting}.path: no file '{path}'")
    if sha256_file(path) != sha256:
        raise CorruptArtifactError(f"{path}: its sha256 is not {setting}.sha256")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            mean, covariance = (np.asarray(arrays[name], dtype=np.float64) for name in ("mu", "sigma"))
    except (ValueError, KeyError, OSError, EOFError, TypeError, BadZipFile) as error:  # TypeError: an .npy
        raise ConfigurationError(f"{setting}: '{path}' is not an .npz with mu and sigma: {error}") from error
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ConfigurationError(f"{setting}: mu {mean.shape} and sigma {covariance.shape} do not belong together")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ConfigurationError(f"{setting}: '{path}' has values that are not finite")
    return Statistics(mean, covariance, sha256)


def measure_sets(
    sets: Sets, measures: Sequence[Measure], extractors: Mapping[NetworkName, Extractor]
) -> tuple[dict[str, Figure], list[str]]:
    """(figures, the names of those for which there are too few clips)."""
    figures: dict[str, Figure] = {}
    left_out: list[str] = []
    for measure in measures:
        clips = _MeasuredSets(sets, extractors[measure.network], sets.statistics.get(measure.network))
        for metric in measure.metrics:
            name = of_network(metric, measure.network)
            if clips.fewest(metric) < _FEWEST.get(metric, 2):
                left_out.append(name)
            else:
                figures[name] = clips.figure(metric, measure.splits or 1)
    return figures, left_out


def of_each_set(sets: Sequence[Hashable]) -> list[list[int]]:
    """The places of the samples of each set, given what the set of each is called."""
    places: dict[Hashable, list[int]] = {}
    for place, name in enumerate(sets):
        places.setdefault(name, []).append(place)
    return [*places.values()]


class _MeasuredSets:
    """Both sets as one network sees them; what no metric asks for is not computed."""

    def __init__(self, sets: Sets, extractor: Extractor, statistics: Statistics | None) -> None:
        self.sets, self.extractor, self.statistics = sets, extractor, statistics
        self.sets_of_samples = of_each_set(sets.sets)
        self._real: tuple[Features, str] | None = None
        self._generated: Features | None = None

    def fewest(self, metric: Metric) -> int:
        """Clips of the smaller side that a metric looks at."""
        alone = metric in ("inception_score", "text_similarity") or self._to_statistics(metric)
        samples = min(map(len, self.sets_of_samples))
        return samples if alone else min(len(self.sets.real), samples)

    def figure(self, metric: Metric, splits: int) -> Figure:
        """The metric's value, with its interval and what it was measured on."""
        conditions = {**self.sets.conditions, "extractor": self.extractor.digest}
        of_sets = [(one, chosen(self.sets.groups, one)) for one in self.sets_of_samples]
        if metric == "inception_score":
            assert isinstance(self.extractor, Classifier), "a protocol asks no other network"
            conditions |= condition(self.sets.groups)
            logits = classify_clips(self.sets.generated, self.extractor, self.sets.given_frames)
            return over_sets(
                [inception_score_figure(logits[one], conditions, splits, groups) for one, groups in of_sets]
            )
        if metric == "text_similarity":
            conditions |= condition(self.sets.groups)
            similarities = np.array(self._similarities())
            return over_sets(
                [mean_figure(similarities[one].tolist(), conditions, groups=groups) for one, groups in of_sets]
            )
        return over_sets([self._compared(metric, self.generated[one], conditions, groups) for one, groups in of_sets])

    def _compared(self, metric: Metric, generated: Features, conditions: dict[str, str], groups: Groups) -> Figure:
        """A figure of one set of samples and the real side."""
        if metric == "frechet_distance" and self.statistics is not None:
            conditions = {**conditions, "real clips": self.statistics.digest, **condition(self.sets.groups)}
            return frechet_to_statistics_figure(self.statistics, generated, conditions, groups)
        real, digest = self.real
        of_real = self.sets.of_real
        conditions = {**conditions, "real clips": digest, **condition(of_real, self.sets.groups)}
        if metric == "precision":
            return share_figure(covered(generated, real).tolist(), conditions, groups)
        if metric == "recall":
            return share_figure(covered(real, generated).tolist(), conditions, of_real)
        if metric == "frechet_distance":
            return frechet_figure(real, generated, conditions, of_real, groups)
        return kernel_figure(KID if metric == "kid" else MMD, real, generated, conditions, of_real, groups)

    @property
    def real(self) -> tuple[Features, str]:
        """(features, digest of the clips)."""
        if self._real is None:
            device = next(iter(self.extractor.parameters()), torch.zeros(1)).device.type
            identity = [self.extractor.digest, self.sets.given_frames, self.sets.code, device, torch.__version__]
            cache = FeatureCache(self.sets.cache, sha256_json(identity))
            self._real = measure_stored_clips(self.sets.real, self.extractor, cache, self.sets.given_frames)
        return self._real

    @property
    def generated(self) -> Features:
        """Features of the samples."""
        if self._generated is None:
            self._generated, _ = measure_clips(self.sets.generated, self.extractor, self.sets.given_frames)
        return self._generated

    def _to_statistics(self, metric: Metric) -> bool:
        return metric == "frechet_distance" and self.statistics is not None

    def _similarities(self) -> list[float]:
        from walt.evaluation.pretrained_folders import CLIPFeatures  # imports transformers

        clip = cast(CLIPFeatures, self.extractor)  # a protocol asks no other network
        pairs = list(zip(self.sets.generated, self.sets.prompts, strict=True))
        return gather_shares(
            [
                clip.similarity(pixels([read()[self.sets.given_frames :]])[0], prompt)
                for read, prompt in ranks().share(pairs)
            ]
        )
