"""What of a folder a choice does not read, and why there is nothing to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from walt.ingest.layouts.choice import Choice
from walt.ingest.layouts.sidecars import Sidecars
from walt.ingest.layouts.special import lance_note
from walt.ingest.layouts.survey import Survey
from walt.ingest.layouts.unused import (
    Unused,
    counted,
    holds_prose,
    is_of_numbered,
    may_hold_captions,
    named,
    other_files,
)

_MOST_SHOWN = 12


def nothing(survey: Survey, why: dict[str, str]) -> str:
    """Why there is nothing to read."""
    where = survey.folder.location("").rstrip("/")
    parts = [f"{name}: {cause}" for name, cause in sorted(why.items())][:3]
    if survey.packed:
        parts.append(f"{named(survey.packed)} must be unpacked first")
    if lance := lance_note(survey.folder):
        parts.append(lance)
    if survey.foreign:
        parts.append(f"{named(survey.foreign)}: not of a kind that is read; write CSV, JSON lines or Parquet")
    if survey.others:
        parts.append(f"passed over: {counted(survey.others)}")
    if survey.others[".dvc"]:
        parts.append("DVC keeps files: `dvc pull` where they are")
    return f"{where}: contains no videos or images" + (f" ({'; '.join(parts)})" if parts else "")


def left(
    survey: Survey, choice: Choice, used: set[str], why: dict[str, str], sidecars: Sidecars | None = None
) -> Choice:
    """Add to a choice what it does not read.

    Args:
        used: names of what it reads.
        why: for other tables, why they cannot be read.
        sidecars: what was found of captions beside files; None: the user has chosen, and no captions can be lost.
    """
    unused, chosen, found = choice.unused, sidecars is None, sidecars or Sidecars()
    for table, cause in sorted(why.items()):
        if table not in used:
            unused.append(Unused([table], cause, not chosen and may_hold_captions(survey, table)))
    if found.reports:
        unused.append(Unused(found.reports, "a downloader's report, with the captions that are beside the files"))
    if found.subtitles:
        unused.append(
            Unused(found.subtitles, "subtitles, whose times are not read, or their words", not choice.captioned)
        )
    if found.settings:
        said = "settings of a program that makes pictures, with its prompts: write texts with captions alone"
        unused.append(Unused(found.settings, said, not choice.captioned))
    for cause, names in _by_value(found.unread):
        unused.append(Unused(names, cause, True))
    for cause, names in _by_value(found.deeper):
        unused.append(Unused(names, f"captions in lists: {cause} (--caption-column says which are meant)", True))
    if shared := sorted(found.shared - used):
        unused.append(Unused(shared, "files of several folders have its name: put it beside its file", True))
    for holds, cause in ((True, "captions of single files, beside what is read"), (False, "no captions in it")):
        names = [
            name for name in (*survey.texts, *survey.tables) if name not in used and found.beside.get(name) is holds
        ]
        if names:
            unused.append(Unused(names, cause, holds))
    if found.others:
        fields = list(dict.fromkeys(field for inside in found.others.values() for field in inside))
        said = f"texts in {', '.join(fields[:_MOST_SHOWN])}, which may be captions (--caption-column)"
        unused.append(Unused([*found.others], said, not choice.captioned))
    said_of = {name for one in unused for name in one.names}
    if tables := [name for name in survey.tables if name not in used and name not in said_of]:
        unused.append(Unused(tables, "a table or JSON file that is not read", not chosen))
    if texts := [name for name in survey.texts if name not in used and name not in said_of]:
        cause = "beside what was named" if chosen else "no video or image has its name"
        holding = [] if chosen or choice.captioned else [name for name in texts if holds_prose(survey, name)]
        unused += (
            [Unused(holding, f"{cause}: give it that, or write a table with path,caption", True)] if holding else []
        )
        numbered = [name for name in texts if not chosen and name not in holding and is_of_numbered(survey, name)]
        how = "files are numbered behind its name: give it the name of one, or write a table with path,caption"
        unused += [Unused(numbered, how, True)] if numbered else []
        others = [name for name in texts if name not in holding and name not in numbered]
        unused += [Unused(others, cause)] if others else []
    choice.unused += other_files(survey, may_lose=not chosen and not choice.captioned, chosen=chosen)
    return choice


def _by_value(causes: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Each cause with the names of which it is."""
    for cause in dict.fromkeys(causes.values()):
        yield cause, [name for name, own in causes.items() if own == cause]
