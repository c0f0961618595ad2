"""``walt export model`` and ``walt import``: which models of a project go out and where to, and what comes in."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from walt.core.errors import ConfigurationError, StorageError
from walt.core.log import info, warning
from walt.core.paths import Paths
from walt.core.printable import printable
from walt.hub import endpoint
from walt.hub.card import CardFacts, card
from walt.hub.exporting import Exported, check_target, export_models
from walt.hub.importing import Imported, import_models
from walt.project.runner import load_params
from walt.tracking.addresses import release_address
from walt.tracking.given_release import given_release
from walt.tracking.imported import register_imported
from walt.tracking.releases import release_folders

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass(frozen=True)
class Request:
    """The options of ``walt export model``."""

    folder: Path | None = None
    release: str | None = None
    """An alias, or a version of the base model; None: the project's own models."""
    push: str | None = None
    """OWNER/NAME at the endpoint."""
    licence: str | None = None
    public: bool = False
    """Whether a repository that is made for it can be seen by everybody."""


def export_model(root: Path, request: Request) -> Exported:
    """Write the models of the project at ``root`` as a folder for diffusers, and push it where that is asked for.

    Raises:
        ConfigurationError: nothing to do, options that are wrong, or the folder holds other files.
        StorageError, CorruptArtifactError: a model is missing or damaged, or the endpoint cannot be reached.
    """
    if request.folder is None and request.push is None:
        raise ConfigurationError("walt export model needs a folder, or --push OWNER/NAME")
    if request.folder is not None and re.match(r"\w+:/", str(request.folder)):
        raise ConfigurationError(f"{request.folder}: not a folder of this machine; export to one, or use --push")
    if request.licence is not None and not _LICENCE.fullmatch(request.licence):
        raise ConfigurationError(f"--licence: '{request.licence}' is not a name as the Hub has them, such as cc-by-4.0")
    if request.push is not None:
        endpoint.check_name(request.push, "--push")
    params, work = load_params(root), Paths(root).work("export-model")
    target = request.folder if request.folder is not None else work / "folder"
    check_target(target)
    name = request.push or target.resolve().name
    if request.release is None:
        folders = release_folders(Paths(root))
    else:
        address = release_address(request.release, params.tracking.model_prefix)
        folders = dict(given_release(params.tracking, root, address, work / "fetched").folders)
    described = partial(card, CardFacts(name, request.licence), params, root)
    exported = export_models(folders, params, root, target, described)
    megabytes = sum(file.stat().st_size for file in target.rglob("*") if file.is_file()) / 1e6
    info(f"{request.folder or request.push}: {', '.join(exported.components)}; {megabytes:.1f} MB")
    if request.push is not None:
        info(f"{request.push}: {endpoint.push(target, request.push, public=request.public)}")
    shutil.rmtree(work, ignore_errors=True)
    return exported


def import_model(root: Path, source: str, *, replace: bool = False) -> Imported:
    """Take a folder that `walt export model` wrote into the project at ``root``, and register its models.

    Args:
        source: the folder, or OWNER/NAME at the endpoint.
        replace: whether models that are there may be replaced.

    Raises:
        As ``walt.hub.importing.import_models``. StorageError: the endpoint cannot be reached.
    """
    params = load_params(root)
    folder, commit = Path(source), None
    work = Paths(root).work("import")
    if not folder.exists() and endpoint.is_name(source):
        folder = work / "fetched"
        shutil.rmtree(folder, ignore_errors=True)
        commit = endpoint.fetch(source, folder)
    imported = import_models(folder, printable(source), params, root, replace=replace)
    shutil.rmtree(work, ignore_errors=True)
    origin = imported.origin if commit is None else {**imported.origin, "commit": commit}
    for difference in imported.differences:
        warning(f"{difference}: samples differ from those of the folder, unless params.yaml says the same")
    try:
        versions = register_imported(params.tracking, root, imported.folders, origin)
    except StorageError as error:
        warning(f"not registered with MLflow: {error}; the same command again registers them, and where they are from")
        versions = {}
    for name, folder in imported.folders.items():
        version = f", version {versions[name]}" if name in versions else ""
        info(f"{printable(str(folder))}{version}")
    return imported
