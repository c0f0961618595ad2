"""What takes more disk than a week ago: sizes by kind, a record for each day on which ``walt status`` was called."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter

from walt.core.errors import CorruptArtifactError, StorageError
from walt.core.storage import read_json, write_json

FILE = "work/status/disk.json"
_COMPARED = timedelta(days=7)


class Seen(BaseModel):
    """Sizes on a day."""

    day: date
    sizes: dict[str, Annotated[int, Field(ge=0)]]
    """Kind -> bytes on disk, when ``walt status`` was first called on this day."""


_HISTORY = TypeAdapter(list[Seen])


def grown_since(root: Path, sizes: Mapping[str, int], today: date) -> tuple[Seen | None, str]:
    """What the sizes are to be compared with, and keep those of today if they are the first of this day.

    Args:
        sizes: kind -> bytes on disk now.
        today: records of later days are dropped: the clock was wrong.

    Returns:
        The newest record that is at least a week old, else the oldest one; None: this is the first. And why the record
        could not be read or kept, in one line; empty: it was.
    """
    try:
        history, said = _read(root / FILE), ""
    except CorruptArtifactError as error:
        history, said = [], f"begun again: {error}"
    history = sorted((one for one in history if one.day <= today), key=lambda one: one.day)
    old = [one for one in history if one.day <= today - _COMPARED]
    kept = [*old[-1:], *history[len(old) :]]
    if not kept or kept[-1].day < today:
        now = [*kept, Seen(day=today, sizes=dict(sizes))]
        try:
            write_json(root / FILE, _HISTORY.dump_python(now, mode="json"))
        except StorageError as error:
            said = str(error)
    return (kept[0] if kept else None), said


def _read(file: Path) -> list[Seen]:
    if not file.is_file():
        return []
    try:
        return _HISTORY.validate_python(read_json(file))
    except ValueError as error:  # no JSON, or not of this form
        raise CorruptArtifactError(f"{file}: not a record of sizes") from error
