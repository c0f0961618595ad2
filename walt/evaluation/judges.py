"""What a protocol judges by: its networks, opened and tried, its statistics and its real clips."""

from __future__ import annotations

from itertools import islice

from walt.core.paths import Paths
from walt.core.sizes import Size
from walt.evaluation.clip_sets import RealClip, real_clips
from walt.evaluation.config import EvaluateConfig, NetworkName
from walt.evaluation.extractors import Extractor, check_extractor, make_extractor
from walt.evaluation.frechet import Statistics
from walt.evaluation.protocol import SPLITS, load_protocol, networks_of, statistics_of, unjudged_frames
from walt.evaluation.set_figures import read_statistics


def open_extractors(
    config: EvaluateConfig, paths: Paths, num_frames: int, size: Size, device: str
) -> dict[NetworkName, Extractor]:
    """The networks of the protocol, each called once on zeros of what it will judge. Raises as ``make_extractor`` and
    ``check_extractor``.

    Args:
        num_frames: of the samples.
        size: (height, width) in pixels.
    """
    extractors = {}
    for name in networks_of(config):
        extractors[name] = make_extractor(name, config.networks, paths)
        extractors[name].to(device)
        check_extractor(extractors[name], name, num_frames - unjudged_frames(config), size)
    return extractors


def open_statistics(config: EvaluateConfig, paths: Paths) -> dict[NetworkName, Statistics]:
    """Those of the real side by network, where the protocol is measured by them. Raises as ``read_statistics``."""
    files = statistics_of(config).items()
    return {name: read_statistics(paths.resolve(file.path), file.sha256, name) for name, file in files}


def wanted_clips(config: EvaluateConfig, paths: Paths, size: Size, num_frames: int) -> list[RealClip]:
    """The real clips of the protocol, or ``real_clips``, as far as there are so many of that form."""
    of_protocol = load_protocol(config.protocol).real
    found = real_clips(paths.clips, size, num_frames, SPLITS[of_protocol.split])
    return list(islice(found, config.real_clips or of_protocol.clips))
