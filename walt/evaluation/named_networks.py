"""The networks that see clips, by the names that protocols and ``evaluate.networks`` call them by."""

from __future__ import annotations

from collections.abc import Mapping

from walt.core.errors import ConfigurationError
from walt.core.paths import Paths
from walt.evaluation.config import NetworkFile, NetworkName
from walt.evaluation.extractors import Extractor
from walt.evaluation.motion import Motion
from walt.evaluation.random_network import RandomNetwork
from walt.evaluation.torchscript_networks import C3DFeatures, I3DFeatures, InceptionFeatures, TorchScriptFeatures

_OF_FILES: dict[NetworkName, type[TorchScriptFeatures]] = {
    "i3d": I3DFeatures,
    "c3d": C3DFeatures,
    "inception": InceptionFeatures,
}


def make_extractor(name: NetworkName, networks: Mapping[NetworkName, NetworkFile], project: Paths) -> Extractor:
    """The network of that name.

    Args:
        networks: ``evaluate.networks``; their paths are relative to the project.

    Raises:
        ConfigurationError: the network is not among them, or its file is missing.
        CorruptArtifactError: its file has another SHA-256; then it is not opened.
    """
    if name == "random_network":
        return RandomNetwork()
    if name == "motion":
        return Motion()
    if name not in networks:
        raise ConfigurationError(f"{name} is asked for: evaluate.networks.{name} is needed, with path and sha256")
    path, sha256 = project.resolve(networks[name].path), networks[name].sha256
    settings = (f"evaluate.networks.{name}.path", f"evaluate.networks.{name}.sha256")
    if name in _OF_FILES:
        return _OF_FILES[name](path, sha256, settings)
    from walt.evaluation.pretrained_folders import CLIPFeatures, VideoMAEFeatures  # imports transformers

    return (CLIPFeatures if name == "clip" else VideoMAEFeatures)(path, sha256, settings)
