"""``walt export``: the clips of ``data/`` in a layout that other tools read, or the models as ``diffusers`` loads
them."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from walt.core.config import load_section
from walt.core.errors import ConfigurationError
from walt.core.log import info, warning
from walt.core.paths import Paths
from walt.core.sizes import Size, size_folder
from walt.export.facts import Facts
from walt.ingest.config import Descriptor
from walt.ingest.sources.classes import read_classes
from walt.project.not_made_yet import not_made_yet
from walt.project.runner import load_params


class What(StrEnum):
    """What can be exported."""

    DATA = "data"
    MODEL = "model"


class LayoutName(StrEnum):
    """The names of the layouts."""

    WEBDATASET = "webdataset"
    VIDEOFOLDER = "videofolder"
    ENERGON = "energon"
    LITDATA = "litdata"


def command(
    what: Annotated[
        What, typer.Argument(help="data: the clips, with captions and labels; model: the models, for diffusers.")
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(help="A new folder, or one that `walt export` filled before; not needed with --push."),
    ] = None,
    layout: Annotated[
        LayoutName | None,
        typer.Option("--as", metavar="LAYOUT", help=f"Of data: {', '.join(LayoutName)}."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW", help="Of data: only this size, or all, each in a folder; by default each clip's largest."
        ),
    ] = None,
    playable: Annotated[
        bool, typer.Option(help="Of data: make videos 4:2:0, which every player shows; by default 4:4:4, as stored.")
    ] = False,
    release: Annotated[
        str | None,
        typer.Option(
            metavar="RELEASE",
            help="Of models: those of a release in the registry: champion, 3, walt-base@champion; by default "
            "the project's own.",
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", help="Of models: put them on the Hub, or where HF_ENDPOINT says."),
    ] = None,
    public: Annotated[bool, typer.Option(help="With --push: a new repository is for everybody to see.")] = False,
    licence: Annotated[
        str | None, typer.Option(metavar="ID", help="Of models: the weights' licence, such as cc-by-4.0.")
    ] = None,
) -> None:
    """Write clips for other tools (data --as LAYOUT), or the models as a folder that diffusers loads (model)."""
    if what is What.MODEL:
        _refuse({"as": layout, "size": size, "playable": playable or None}, what)
        from walt.hub.project_models import Request, export_model  # imports torch, which clips do not need

        export_model(Path.cwd(), Request(folder, release, push, licence, public))
        return
    _refuse({"release": release, "push": push, "public": public or None, "licence": licence}, what)
    if folder is None or layout is None:
        raise ConfigurationError("`walt export data` needs a folder, and --as LAYOUT")
    advice = not_made_yet(("manifest", "clips"), Paths(Path.cwd()))
    if advice is not None:
        raise ConfigurationError(f"there are no clips here yet: {advice}")
    run(Path.cwd(), folder, layout.value, size, playable=playable)


def _refuse(options: dict[str, object], what: What) -> None:
    """Raise ConfigurationError for options of the other kind of export."""
    for name, value in options.items():
        if value is not None:
            raise ConfigurationError(f"--{name} is not an option of `walt export {what.value}`")


def run(root: Path, folder: Path, layout: str, size: str | None, *, playable: bool) -> int:
    """Export the clips of the project at ``root``. Returns how many clips were written, counting each size.

    Raises:
        ConfigurationError: ``size`` is not one, or ``folder`` is a URL. The errors of ``walt.export.run.export``.
    """
    from walt.export.run import Request, check, export
    from walt.export.survey import list_sizes

    if re.match(r"\w+:/", str(folder)):
        raise ConfigurationError(f"{folder}: not a folder of this machine; export to one, then upload it")
    paths = Paths(root)
    wanted = _sizes(size, list_sizes(paths.clips))
    requests = [Request(place, layout, one, playable) for one, place in _places(folder, wanted).items()]
    for request in requests:
        check(request, paths)
    facts = _facts(root)
    count = 0
    for request in requests:
        done = export(request, facts, paths)
        count += done.clips
        info(f"{request.folder}: {done.clips} clips in {done.files} files, {done.bytes / 1e6:.1f} MB")
        if done.left_out:
            warning(f"{request.folder}: {done.left_out} clips are not stored in that size, and were left out")
    return count


def _sizes(size: str | None, stored: list[Size]) -> list[Size | None]:
    if size is None:
        return [None]
    if size == "all":
        return list(stored) or [None]
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", size)
    if found is None:
        raise ConfigurationError(f"--size: HxW, such as 128x224, or all, not '{size}'")
    return [(int(found[1]), int(found[2]))]


def _places(folder: Path, sizes: list[Size | None]) -> dict[Size | None, Path]:
    """The folder of each size: several have one each inside ``folder``, which holds nothing else."""
    if len(sizes) == 1:
        return {sizes[0]: folder}
    places: dict[Size | None, Path] = {size: folder / size_folder(size) for size in sizes if size is not None}
    foreign = [path for path in folder.iterdir() if path not in places.values()] if folder.is_dir() else []
    if foreign:
        raise ConfigurationError(f"{folder}: holds {min(foreign).name}; for all sizes choose an empty folder")
    return places


def _facts(root: Path) -> Facts:
    descriptor = load_section(root / load_params(root).dataset.descriptor, Descriptor)
    return Facts(
        descriptor.name, descriptor.summary, descriptor.licence, descriptor.homepage, read_classes(descriptor, root)
    )
