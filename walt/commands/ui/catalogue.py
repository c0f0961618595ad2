"""Which models can be chosen, and what can be asked of each, read from their configurations: no weights are loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from walt.autoencoder.config import AutoencoderConfig
from walt.commands.sample.models import ChosenModels, find_models
from walt.commands.ui.orders import ModelList, ModelName, ModelView
from walt.core.errors import ConfigurationError, WaltError
from walt.core.transformers import SUPER_RESOLUTION_NAMES
from walt.nn.pretrained import load_config
from walt.project.runner import load_params
from walt.project.trained_transformers import cascade
from walt.sampling.aspect import possible_aspects
from walt.tracking.addresses import SCHEME, is_registered
from walt.tracking.server import resolve_uri
from walt.transformer.config import TransformerConfig

_KEPT_SECONDS = 15.0
_NO_IMAGE = "the model was not trained for frame prediction: it makes whole videos from prompts"
_NO_DETAIL = "the super-resolution model was not trained for frame prediction: it needs super-resolution off"


class Catalogue:
    """The project's own models, folders that were named at the start, and the releases of the registry."""

    def __init__(self, root: Path, folders: Sequence[str] = ()) -> None:
        self.root, self._folders = root, tuple(folders)
        self._lock = threading.Lock()
        self._listed: tuple[float, ModelList] | None = None

    def list(self) -> ModelList:
        """All that can be chosen. Where the registry does not answer, it says why."""
        with self._lock:
            if self._listed is None or time.monotonic() - self._listed[0] > _KEPT_SECONDS:
                self._listed = (time.monotonic(), self._list())
            return self._listed[1]

    def find(self, address: str) -> ChosenModels:
        """The models at an address; those of the registry are fetched the first time.

        Raises:
            ConfigurationError: it is not one that can be chosen. Others as ``find_models``.
        """
        if address and not is_registered(address) and address not in self._folders:
            raise ConfigurationError(
                f"{address}: not one of the models here; start `walt ui` with --model {address} to offer that folder"
            )
        with self._lock if is_registered(address) else threading.Lock():  # two would fetch into the same folder
            return find_models(self.root, address)

    def _list(self) -> ModelList:
        models = [ModelName(address="", name=name_of(""))]
        models += [ModelName(address=folder, name=name_of(folder)) for folder in self._folders]
        config = load_params(self.root).tracking
        uri = resolve_uri(config.uri, self.root)
        if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
            return ModelList(models=models, problem=None)  # asking would make the database
        from walt.tracking.given_release import list_releases  # MLflow takes seconds to import

        try:
            releases = list_releases(config, self.root)
        except WaltError as error:
            return ModelList(models=models, problem=f"the registry's models are missing: {error}")
        models += [
            ModelName(address=release.address, name=name_of(release.address, release.aliases)) for release in releases
        ]
        return ModelList(models=models, problem=None)


def name_of(address: str, aliases: Sequence[str] = ()) -> str:
    """An address for people."""
    if not address:
        return "This project's models"
    name = address.removeprefix(SCHEME).replace("/", " version ") if is_registered(address) else address
    return f"{name} ({', '.join(aliases)})" if aliases else name


def describe(models: ChosenModels, with_cascade: bool | None = None) -> ModelView:
    """What can be asked of them.

    Args:
        with_cascade: whether super-resolution follows; by default as ``sample.cascade`` says.

    Raises:
        StorageError, CorruptArtifactError, ConfigurationError: a model is missing or wrong.
    """
    models.check_trained()
    params = models.params
    followed = params.sample.cascade if with_cascade is None else with_cascade
    configs = {name: load_config(folder, TransformerConfig) for name, folder in cascade(models.paths).items()}
    base, used = next(iter(configs.values())), [*configs.values()] if followed else [next(iter(configs.values()))]
    factor = load_config(models.paths.autoencoder, AutoencoderConfig).temporal_factor
    height, width = used[-1].resolution
    return ModelView(
        address=models.address,
        name=name_of(models.address),
        conditioning=base.conditioning,
        num_classes=base.num_classes,
        no_image=None if base.frame_prediction else _NO_IMAGE,
        no_video=_no_video(base, used),
        width=width,
        height=height,
        seconds=(1 + factor * (base.latent_grid[0] - 1)) / params.sample.fps,
        aspects=possible_aspects(used),
        super_resolution=any(name in SUPER_RESOLUTION_NAMES for name in configs),
        cascade=followed,
        seed=params.seed,
        steps=params.sample.steps,
        max_steps=params.diffusion.num_steps,
        guidance=params.sample.guidance_scale,
    )


def _no_video(base: TransformerConfig, used: Sequence[TransformerConfig]) -> str | None:
    if not base.frame_prediction:
        return _NO_IMAGE
    if base.latent_grid[0] <= 2:
        return "the model makes too few frames to go on from a video"
    return None if all(config.frame_prediction for config in used) else _NO_DETAIL
