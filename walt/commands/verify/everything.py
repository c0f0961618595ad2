"""Goes through all stages: what each made is hashed again and looked at, then some latents are decoded for a page.

One file that is wrong does not hide the others: all are named, and the last word is the first of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from walt.commands.verify import stored_files
from walt.commands.verify.decoded_page import write_page
from walt.core.errors import CorruptArtifactError, LockedError, WaltError
from walt.core.left_out import is_left_out
from walt.core.log import info, warning
from walt.core.paths import ARTIFACTS, Paths
from walt.core.storage import lock
from walt.core.verified_files import stamps_ignored
from walt.pages.formats import num_bytes
from walt.project.params import Params
from walt.project.recorded_outputs import check_outputs
from walt.project.registry import STAGES, Stage
from walt.project.runner import load_params


@dataclass(frozen=True)
class Request:
    """The options of the command."""

    clips: int
    """Whose latents are decoded; 0: no page."""
    seed: int
    out: Path


@dataclass
class Found:
    """What was looked at, and what is wrong."""

    files: int = 0
    bytes: int = 0
    wrong: dict[str, WaltError] = field(default_factory=dict)
    """By stage and message."""
    looked_at: list[str] = field(default_factory=list)
    """Stages."""

    def report(self, _: str, num_bytes: int) -> None:
        """Count a file."""
        self.files += 1
        self.bytes += num_bytes

    def add(self, stage: Stage, error: WaltError) -> None:
        """Name a file that is wrong, once."""
        if str(error) not in self.wrong:
            self.wrong[str(error)] = error
            warning(f"{stage.name}: {error}")


def run(request: Request, root: Path) -> Path | None:
    """Check the project at ``root``. Returns the page, None where there is none to make.

    Raises:
        CorruptArtifactError: a file is not what was written; all such files were named before.
        StorageError: something that must be there is not. LockedError: a stage is running; the others are in order.
        ConfigurationError: there is no ``params.yaml``, or it is wrong.
    """
    params, paths, found = load_params(root), Paths(root), Found()
    with stamps_ignored():  # what readers remember of files that they hashed does not count
        for stage in STAGES:
            if any((root / ARTIFACTS[output]).exists() for output in stage.outputs) or stage.resumes:
                _check(stage, paths, found)
    page = None if found.wrong else _page(request, params, paths)
    corrupt = [error for error in found.wrong.values() if isinstance(error, CorruptArtifactError)]
    if corrupt:
        more = f" (and {len(corrupt) - 1} more)" if len(corrupt) > 1 else ""
        raise CorruptArtifactError(f"{corrupt[0]}{more}")
    for error in found.wrong.values():
        raise error
    info(f"{', '.join(found.looked_at) or 'nothing'}: {found.files} files, {num_bytes(found.bytes)}, as written")
    return page


def _check(stage: Stage, paths: Paths, found: Found) -> None:
    """What one stage made, which must not run meanwhile."""
    here = [name for name in stage.outputs if (paths.root / ARTIFACTS[name]).exists()]
    try:
        with lock(paths.work(stage.name) / "lock"):
            before = found.files
            count, wrong = check_outputs(stage, paths)
            found.files += count
            if here and not count:
                warning(f"{stage.name}: neither a record nor dvc.lock: only what an index names is hashed")
            problems = chain(wrong, _contents(stage, here, paths, found.report))
            for error in chain(problems, stored_files.checkpoints_of(paths.work(stage.name), found.report)):
                found.add(stage, error)
            if found.files > before:
                found.looked_at.append(stage.name)
    except LockedError as error:
        found.add(stage, LockedError(f"not looked at, since {stage.name} runs: {error}"))


def _contents(stage: Stage, here: list[str], paths: Paths, report: stored_files.Report) -> stored_files.Problems:
    """What is wrong in a stage's files, whatever their digests say."""
    if not here:
        return iter(())
    if stage.resumes:
        return stored_files.model(paths.root / ARTIFACTS[here[0]], report)
    own = {"ingest": stored_files.ingest, "encode-video": stored_files.encode_video}
    own["encode-text"] = stored_files.encode_text
    return own[stage.name](paths, report) if stage.name in own else iter(())


def _page(request: Request, params: Params, paths: Paths) -> Path | None:
    needed = (paths.clips, paths.manifest, paths.latents, paths.autoencoder)
    if not request.clips or not all(folder.is_dir() and not is_left_out(folder) for folder in needed):
        info(
            "no page: that needs clips, manifest, latents and the autoencoder" if request.clips else "no page, as asked"
        )
        return None
    page = write_page(paths, params, request.out / "verify.html", request.clips, request.seed)
    info(f"wrote {page}: look at what the models are given")
    return page
