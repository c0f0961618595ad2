"""Which models make the videos: this project's own, those of another project's folder, or a release in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from walt.core.errors import ConfigurationError, StorageError
from walt.core.left_out import NOTE
from walt.core.paths import ARTIFACTS, Paths, located
from walt.core.storage import write_json
from walt.nn.pretrained import CONFIG
from walt.project.params import Params
from walt.project.runner import load_params
from walt.project.trained_transformers import trained_transformers
from walt.sampling.prompt_to_video import Pipeline
from walt.stages.sample import load_pipeline
from walt.tracking.addresses import is_registered, not_found, parse_address
from walt.tracking.releases import MODEL_ARTIFACTS


@dataclass(frozen=True)
class ChosenModels:
    """Models that belong together, and the settings that they are sampled with."""

    address: str
    """Empty for the project's own, a folder, or ``models:/walt-base/3``: always the same version of the registry."""
    params: Params
    paths: Paths
    """Where the models lie."""
    root: Path
    """What a text encoder's relative folder is relative to."""

    def load(self, cascade: bool | None = None, device: str | None = None) -> Pipeline:
        """Load them.

        Args:
            cascade: whether with the super-resolution models; by default as ``sample.cascade`` says.
            device: by default what ``compute.device`` says.

        Raises:
            ConfigurationError, StorageError, CorruptArtifactError: a model is wrong or missing.
        """
        self.check_trained()
        params = self.params
        settings = params.sample if cascade is None else params.sample.model_copy(update={"cascade": cascade})
        return load_pipeline(
            settings, params.encode_video, params.diffusion, params.compute, self.paths, root=self.root, device=device
        )

    def check_trained(self) -> None:
        """Raise StorageError, which says what to do, where no model has been trained yet."""
        if not any((folder / CONFIG).is_file() for folder in trained_transformers(self.paths).values()):
            raise StorageError(f"{self.root}: no trained models here yet; `dvc repro` trains them")


def find_models(root: Path, address: str | None = None) -> ChosenModels:
    """The models at an address, as ``walt sample --model`` and ``walt ui`` take it.

    Args:
        root: the project; those of the registry are sampled with its settings, and fetched into ``work/models``.
        address: nothing for the project's own; the folder of another project; ``walt-base@champion``, ``base/3`` or
            ``models:/walt-base/3`` for the release of that base model.

    Raises:
        ConfigurationError: there is nothing at the address, or the parameters are wrong; names the address.
        CorruptArtifactError: the registry returns other files than were registered.
        StorageError: MLflow cannot be reached.
    """
    if not address:
        return _of_project(root, "")
    folder = located(root, address)
    if folder.is_dir() and not is_registered(address):
        return _of_project(folder, address)
    params, keep = load_params(root), Paths(root).work("models")
    given = parse_address(address, params.tracking.model_prefix)
    if given is None or not given.is_of_a_version:
        raise ConfigurationError(not_found(address, params.tracking.model_prefix))
    from walt.tracking.given_release import given_release  # MLflow takes seconds to import

    release = given_release(params.tracking, root, address, keep)
    place = keep / release.address.removeprefix("models:/").replace("/", "-release-")
    _furnish(place, release.folders)
    return ChosenModels(release.address, params, Paths(place.resolve()), root.resolve())


def _of_project(folder: Path, address: str) -> ChosenModels:
    root = folder.resolve()
    return ChosenModels(address, load_params(folder), Paths(root), root)


def _furnish(place: Path, folders: Mapping[str, Path]) -> None:
    """Put links to the models where a project has its own; what the release lacks is left out."""
    for name, artifact in MODEL_ARTIFACTS.items():
        path = place / ARTIFACTS[artifact]
        path.parent.mkdir(parents=True, exist_ok=True)
        if name not in folders:
            write_json(path / NOTE, {"left_out": "this release has none"})
        elif not path.is_symlink():
            path.symlink_to(folders[name].resolve())
