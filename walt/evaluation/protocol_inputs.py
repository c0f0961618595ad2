"""What a protocol evaluates with: its networks, opened and tried, its statistics and its real clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice

import torch

from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.core.sizes import Size
from walt.data.clip_draw import draw_order
from walt.evaluation.clip_sets import RealClip, real_clips
from walt.evaluation.config import EvaluateConfig, NetworkName
from walt.evaluation.extractors import Extractor, check_extractor
from walt.evaluation.frechet import Statistics
from walt.evaluation.groups import recordings
from walt.evaluation.named_networks import make_extractor
from walt.evaluation.protocol import SPLITS, frames_left_out, load_protocol, measures_of, networks_of, statistics_of
from walt.evaluation.set_figures import read_statistics

_FORM = "ingest.num_frames and the resolution of the last model that samples are the form of the videos"


def open_extractors(
    config: EvaluateConfig, paths: Paths, num_frames: int, size: Size, device: str
) -> dict[NetworkName, Extractor]:
    """The networks of the protocol, each called once on zeros of what it will measure, for all that it will be asked.
    Raises as ``make_extractor`` and ``check_extractor``, and where a text is to be read and there is no tokenizer.

    Args:
        num_frames: of the samples.
        size: (height, width) in pixels.
    """
    extractors: dict[NetworkName, Extractor] = {}
    evaluated = num_frames - frames_left_out(config)
    for name in networks_of(config):
        asked = {metric for measure in measures_of(config) if measure.network == name for metric in measure.metrics}
        extractor = extractors[name] = make_extractor(name, config.networks, paths)
        extractor.to(device)
        try:
            check_extractor(extractor, name, evaluated, size, classes="inception_score" in asked)
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}; {_FORM}") from error
        if "text_similarity" in asked:
            from walt.evaluation.pretrained_folders import CLIPFeatures  # imports transformers

            assert isinstance(extractor, CLIPFeatures), "a protocol asks no other network"
            extractor.similarity(torch.zeros(3, evaluated, *size), "a text")
    return extractors


def open_statistics(
    config: EvaluateConfig, paths: Paths, extractors: Mapping[NetworkName, Extractor]
) -> dict[NetworkName, Statistics]:
    """Those of the real side by network, where the protocol is measured by them.

    Raises:
        ConfigurationError, CorruptArtifactError: as ``read_statistics``, or they are of another number of features.
    """
    found = {}
    for name, file in statistics_of(config).items():
        found[name] = read_statistics(paths.resolve(file.path), file.sha256, name)
        if len(found[name].mean) != extractors[name].num_features:
            said = f"{len(found[name].mean)} features, the network has {extractors[name].num_features}"
            raise ConfigurationError(f"evaluate.statistics.{name} is of {said}")
    return found


def wanted_clips(config: EvaluateConfig, paths: Paths, size: Size, num_frames: int) -> list[RealClip]:
    """The real clips of the protocol, or ``real_clips``, as far as there are so many of that form; where there are
    more, they are drawn. Raises as ``recordings``."""
    of_protocol = load_protocol(config.protocol).real
    order = partial(drawn_clips, config, paths)
    found = real_clips(paths.clips, size, num_frames, SPLITS[of_protocol.split], order)
    return list(islice(found, config.real_clips or of_protocol.clips))


def drawn_clips(config: EvaluateConfig, paths: Paths, keys: Sequence[str]) -> list[str]:
    """Clips in the order in which the protocol draws them, which does not depend on that of ``keys``. Raises as
    ``recordings``."""
    return draw_order(recordings(paths.manifest, keys), load_protocol(config.protocol).real.draw_seed)
