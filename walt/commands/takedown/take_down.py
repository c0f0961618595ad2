"""Takes sources down: records them, has the stages leave them out, removes copies, and searches for the rest."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from walt.commands.lineage import of_source
from walt.commands.lineage.given_source import digests_of
from walt.commands.lineage.of_source import Holdings
from walt.commands.lineage.show import open_registry, source_rows, table_of
from walt.commands.takedown.copies import DvcStores, not_searched, remove_from_remotes
from walt.commands.takedown.fingerprints import Pictures, pictures_of
from walt.commands.takedown.search import Needles, Searched, search
from walt.commands.takedown.unfinished import begin, end, known_sources, with_unfinished
from walt.core.digests import sha256_file
from walt.core.errors import WaltError
from walt.core.log import console, info, warning
from walt.core.paths import ARTIFACTS, Paths
from walt.core.printable import printable
from walt.core.remote import is_remote
from walt.core.secrets import all_without_secrets, without_secrets
from walt.core.storage import write_json
from walt.data.shards import INDEX_NAME
from walt.ingest.taken_down import BITS, TakedownRecord, TakenDown, today
from walt.project.params import Params
from walt.project.registry import get_stage
from walt.project.runner import load_params, run_stage
from walt.sampling.samples import OVERVIEW, SAMPLES
from walt.tracking.lineage import TAKEDOWN_TAG, Registry, Version

REPORT = "report.json"
_SCRIPT = "older-versions.sh"
_DERIVED = ("mlartifacts", "results", "samples", "work", ".dvc/cache")
"""Folders whose files are made from others, or are copies: what holds a source there is removed."""
_MADE_AGAIN = (
    *(path for path in ARTIFACTS.values() if path.startswith("data/")),
    *("work/encode-text", "work/encode-video", "work/ingest"),
)
"""Folders of which the stages that a takedown runs write again, or remove, what holds the source."""


@dataclass(frozen=True)
class Request:
    """What a person asks for."""

    given: tuple[str, ...]
    reason: str
    bits: int | None = BITS
    """As in ``TakedownRecord``."""
    dry_run: bool = False
    delete_source: bool = False


def run(request: Request, root: Path) -> Searched:
    """Take the sources down. Returns what the last search found; nothing, unless files of others hold them.

    A run that was stopped is begun again with the same words: what was recorded stays, and the rest is done.

    Raises:
        ConfigurationError: a source is not known.
        WaltError: as ``ingest``, ``encode-text`` and ``encode-video`` raise; the record is written by then.
    """
    root = root.resolve()
    params, paths = load_params(root), Paths(root)
    given = {one: _sources_of(one, paths, params) for one in request.given}
    sources = sorted({digest for digests in given.values() for digest in digests})
    held = of_source.find(paths, sources)
    pictures = pictures_of(paths, held.clips)
    registry = open_registry(root)
    versions = registry.holders(sources)
    console.print(table_of(", ".join(request.given), source_rows(held, {str(v): how for v, how in versions.items()})))
    needles, stores = with_unfinished(paths, sources, _needles(held, pictures, root)), DvcStores.of(root)
    data = source_folder(root, params)
    places = [stores.cache, *([data] if data else [])]
    if request.dry_run:
        found = search(root, needles, places)
        for line in _remove(root, data, found, stores, request, dry=True):
            info(line)
        info(_proposal(versions, params))
        return found
    begin(paths, given, needles)
    for source in sources:
        _record(request, source, pictures.get(source), root)
    for stage in _stages(paths):
        run_stage(get_stage(stage), root)
    _tag(registry, versions, sources)
    done = _remove(root, data, search(root, needles, places), stores, request)
    script = paths.work("takedown") / f"{sources[0][:16]}-{_SCRIPT}"
    elsewhere = list(not_searched(root, params, stores, versions, script))
    if data is None:
        place = without_secrets(params.dataset.path)
        elsewhere.append(f"{place}, where the source files are: they are removed there by whoever keeps them")
    for line in [*done, *(f"not searched: {line}" for line in elsewhere)]:
        info(line)
    left = search(root, needles, places)
    _report(paths, sources, held, versions, done, elsewhere, left)
    for name in held.checkpoints:
        info(f"a checkpoint of a training whose data held it, and which would go on: rm -r {shlex.quote(name)}")
    info(_proposal(versions, params))
    end(paths, sources)
    return left


def _sources_of(given: str, paths: Paths, params: Params) -> list[str]:
    """As ``digests_of``; also those that a takedown which was stopped knew by this name."""
    known = known_sources(paths, given)
    try:
        found = digests_of(given, paths, params.dataset.path)
    except WaltError:
        if not known:
            raise
        found = []  # its file, or its rows in the tables, are gone by now
    return sorted({*known, *found})


def source_folder(root: Path, params: Params) -> Path | None:
    """Where the source files are, often outside of the project; None where that is a server, or not here."""
    folder = (root / params.dataset.path).resolve()
    return None if is_remote(params.dataset.path) or not folder.is_dir() else folder


def _needles(held: Holdings, pictures: Mapping[str, Pictures], root: Path) -> Needles:
    own = [text for text in held.texts if not text.shared]
    samples = [root / name for name in held.samples]
    grids = {file.with_name(OVERVIEW) for file in samples}  # one of several samples: it shows the prompt, too
    return Needles(
        keys=frozenset(held.keys) | {text.id for text in own},
        captions=frozenset(text.text for text in own),
        sources=frozenset(held.sources),
        pictures=frozenset(digest for one in pictures.values() for digest in one.digests),
        samples=frozenset(sha256_file(file) for file in (*samples, *grids) if file.is_file()),
    )


def _record(request: Request, source: str, pictures: Pictures | None, root: Path) -> None:
    """Write the record of a source; one that is there keeps its frames where the tars have none any more."""
    before = next((one for one in TakenDown.read(root).records if one.source_sha256 == source), None)
    frames = pictures.frames if pictures else before.frames if before else ()
    fps = pictures.fps if pictures else before.fps if before else 1.0
    reason = without_secrets(printable(request.reason))
    record = TakedownRecord(source, reason, before.date if before else today(), fps, request.bits, frames=frames)
    info(f"recorded: {record.write(root).relative_to(root)}; commit it, since it keeps the source out")
    if not frames and request.bits is not None:
        warning(f"{record.name}: no clip of it is stored, so only the same bytes are refused")


def _stages(paths: Paths) -> list[str]:
    """The stages whose output holds sources, of those that have run."""
    names = ["ingest"]
    if any(paths.text.glob("*.parquet")):
        names += ["caption", "encode-text"]
    if any(paths.latents.glob(f"*/{INDEX_NAME}")):
        names.append("encode-video")
    return names


def _tag(registry: Registry, versions: Mapping[Version, str], sources: Iterable[str]) -> None:
    """Say on each version which of the sources it was trained on that were taken down."""
    for version in versions:
        before = version.tags.get(TAKEDOWN_TAG, "")
        names = sorted({*filter(None, before.split(",")), *(source[:16] for source in sources)})
        registry.tag(version, TAKEDOWN_TAG, ",".join(names))


def _remove(
    root: Path, data: Path | None, found: Searched, stores: DvcStores, request: Request, dry: bool = False
) -> list[str]:
    """Remove what is made from others, and what shows clips; a line for each file, also for those that stay.

    Args:
        data: the folder of the source files, if it is here.
        dry: remove nothing, and say what would become of each file.
    """
    pages = [file for file in sorted((root / "results").rglob("*.html")) if file.is_file()]
    made_again = [root / name for name in _MADE_AGAIN] if dry else []  # by the stages, which have run before else
    derived = [stores.cache, *(root / name for name in _DERIVED)]
    lines = []
    in_order = sorted(found.found, key=lambda file: file.name == SAMPLES)  # last, since it says which the others are
    for file in dict.fromkeys([*in_order, *pages]):
        what = ", ".join(sorted(found.found.get(file, {"may show its pictures"})))
        name = printable(str(file.relative_to(root) if file.is_relative_to(root) else file))
        is_source = data is not None and file.is_relative_to(data) and "bytes" in found.found.get(file, ())
        if any(file.is_relative_to(folder) for folder in made_again):
            lines.append(f"would be removed or written again without it: {name} ({what})")
        elif any(file.is_relative_to(folder) for folder in derived) or (is_source and request.delete_source):
            if not dry:
                file.unlink()
            lines.append(f"{'would be removed:' if dry else 'removed'} {name} ({what})")
        elif is_source:
            stays = "would stay, since --delete-source is not" if dry else "still there, since --delete-source was not"
            lines.append(f"{stays} given: rm {shlex.quote(name)}")
        else:
            stays = "would stay" if dry else "still there"
            lines.append(f"{stays}, to be edited by whoever keeps it: {name} ({what})")
    return lines if dry else [*lines, *remove_from_remotes(root, stores, stores.objects(found.found))]


def _report(
    paths: Paths,
    sources: list[str],
    held: Holdings,
    versions: Mapping[Version, str],
    done: list[str],
    elsewhere: list[str],
    left: Searched,
) -> None:
    """Keep what was done, and say what the last search found. No caption is in it."""
    root = paths.root
    lines = list(_lines(left, root))
    report = {
        "sources": sources, "date": today(), "clips": [asdict(clip)["key"] for clip in held.clips],
        "rewritten": [*held.tars, *held.parts, *held.latents, *(text.tar for text in held.texts if text.tar)],
        "versions": {str(version): how for version, how in versions.items()}, "removed": done,
        "not_searched": elsewhere,
        "searched": {"files": left.files, "bytes": left.bytes}, "found": lines,
        "unread": {str(path): why for path, why in left.unread.items()},
    }  # fmt: skip
    file = paths.work("takedown") / f"{sources[0][:16]}-{REPORT}"
    write_json(file, all_without_secrets(report))
    searched = f"searched {left.files} files, {left.bytes / 1e6:.1f} MB"
    for line in lines:
        warning(f"still found: {line}")
    for path, why in left.unread.items():
        warning(f"not searched: {printable(str(path))}: {why}")
    info(f"{searched}: {len(lines)} still hold something of it; report: {file.relative_to(root)}")


def _lines(found: Searched, root: Path) -> Iterable[str]:
    for file, what in sorted(found.found.items()):
        name = file.relative_to(root) if file.is_relative_to(root) else file
        yield f"{printable(str(name))} ({', '.join(sorted(what))})"


def _proposal(versions: Mapping[Version, str], params: Params) -> str:
    """What is to be done about the models, in one sentence."""
    alias = params.promotion.alias
    champions = [str(version) for version in versions if alias in version.aliases]
    if champions:
        return (
            f"made with it: {', '.join(champions)}. Remove the checkpoints that are named above, and see that all "
            "initial_weights and frozen in params.yaml are null; then `dvc repro` and `walt promote` train and promote "
            "a release without it."
        )
    return f"no model with the alias {alias} was made with it: none has to be replaced; `dvc repro` trains without it."
