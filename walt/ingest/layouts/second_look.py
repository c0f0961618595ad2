"""What is changed of a choice once its inputs are listed: rows and files that are not meant to be inputs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from walt.ingest.layouts.choice import Choice
from walt.ingest.layouts.companions import companions
from walt.ingest.layouts.other_columns import further_columns, named_there
from walt.ingest.layouts.same_captions import beside_is_the_same, without_copies
from walt.ingest.layouts.unused import Unused
from walt.ingest.sources.adapters import entries
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.items import Listing
from walt.ingest.sources.kinds import FileList, LineFiles, PlainFolder


def second_look(choice: Choice, listing: Listing, dataset: Dataset) -> tuple[Choice, Listing]:
    """The choice, with notes of what was changed, and its inputs."""
    for look in (beside_is_the_same, _without_copies, _without_absent, _without_further, _without_companions):
        choice, listing = look(choice, listing, dataset)
    return choice, listing


def _without_absent(choice: Choice, listing: Listing, dataset: Dataset) -> tuple[Choice, Listing]:
    """Where most rows have no file here, a part of a larger dataset is meant: such rows are not inputs."""
    source = choice.source
    missing = sum(refusal.code == "missing" for refusal in listing.refusals)
    if missing <= len(listing.items) or not listing.items or not isinstance(source, FileList | LineFiles):
        return choice, listing
    source = source.model_copy(update={"absent": "skip"})
    notes = [*choice.notes, f"{missing} rows have no file here: they are left out (absent: skip)"]
    return replace(choice, source=source, notes=notes), Listing.collect(entries(source, dataset))


def _without_copies(choice: Choice, listing: Listing, dataset: Dataset) -> tuple[Choice, Listing]:
    """Where rows of one table repeat those of another, tables that are wholly in another one are not read."""
    source = choice.source
    repeated = any(refusal.code == "duplicate_row" for refusal in listing.refusals)
    if not repeated or not isinstance(source, FileList):
        return choice, listing
    source, copies = without_copies(dataset.folder, source)
    if not copies:
        return choice, listing
    unused = [*choice.unused, *(Unused([name], f"all of it is in {whole}") for name, whole in copies.items())]
    return replace(choice, source=source, unused=unused), Listing.collect(entries(source, dataset))


def _without_further(choice: Choice, listing: Listing, dataset: Dataset) -> tuple[Choice, Listing]:
    """Files that stand in other columns of a list's rows are no inputs, where those are all that no row is of."""
    source = choice.source
    if not isinstance(source, FileList) or source.unlisted != "take" or not _without_caption(listing):
        return choice, listing
    further = further_columns(dataset.folder, source)
    if not further:
        return choice, listing
    source = source.model_copy(update={"unlisted": "ignore"})
    listed = Listing.collect(entries(source, dataset))
    columns = named_there(dataset.folder, further, _without_caption(listing) - _without_caption(listed))
    if not columns:
        return choice, listing
    said = ", ".join(f"{name} ({count})" for name, count in columns.items())
    notes = [*choice.notes, f"files that other columns name are not inputs: {said}"]
    return replace(choice, source=source, notes=notes), listed


def _without_companions(choice: Choice, listing: Listing, dataset: Dataset) -> tuple[Choice, Listing]:
    """Masks, controls and the like that are named after the videos with captions are no inputs without captions."""
    source = choice.source
    alone = _without_caption(listing)
    if not alone or not isinstance(source, PlainFolder | FileList):
        return choice, listing
    whole = dataset.folder.location("")
    named = (item.path.removeprefix(whole).lstrip("/") for item in listing.items)
    globs = companions(alone, named)
    if isinstance(source, PlainFolder):
        update: dict[str, object] = {"exclude": tuple(sorted(globs))}
    else:
        update = {"unlisted": "ignore"}
        globs = globs if globs.total() == alone.total() and source.unlisted == "take" else Counter()
    if not globs:
        return choice, listing
    source = source.model_copy(update=update)
    said = ", ".join(f"{glob} ({count})" for glob, count in sorted(globs.items()))
    notes = [*choice.notes, f"files that belong to others are not inputs: {said}"]
    return replace(choice, source=source, notes=notes), Listing.collect(entries(source, dataset))


def _without_caption(listing: Listing) -> Counter[str]:
    return Counter(refusal.source for refusal in listing.refusals if refusal.code == "no_caption")
