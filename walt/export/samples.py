"""What is said of a clip: the same words in every layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from walt.core.sizes import Size
from walt.core.storage import atomic_write, sha256_file
from walt.data.manifest import ManifestRow
from walt.export.survey import OPTIONAL, Group, Survey, captions_of, is_empty
from walt.export.target import FileRecord

Description = dict[str, Any]


def describe(row: ManifestRow, size: Size, classes: tuple[str, ...] | None) -> Description:
    """Everything that the manifest says about a clip and others can use; what it does not say is None.

    Args:
        size: the one that is exported, (height, width) in pixels.
        classes: names by label.
    """
    captions = captions_of(row)
    label = row.label
    return {
        "key": row.key,
        "kind": row.kind,
        "caption": captions[0][1] if captions else None,
        "captions": [text for _, text in captions],
        "caption_names": [name for name, _ in captions],
        "label": label,
        "class_name": classes[label] if classes is not None and label is not None and label < len(classes) else None,
        "height": size[0],
        "width": size[1],
        "num_frames": row.num_frames,
        "source": row.source,
        "source_sha256": row.source_sha256,
        "start_seconds": row.start_seconds,
        "end_seconds": row.end_seconds,
        **{name: None if is_empty(getattr(row, name)) else getattr(row, name) for name in OPTIONAL},
        "measures": {name: None if is_empty(value) else value for name, value in row.measures.items()},
    }


def without_gaps(description: Description, survey: Survey) -> Description:
    """A description without what is unknown for another clip of its kind, so that all of a kind have the same keys and
    types: readers that infer types from the first clips then understand all."""
    kind = description["kind"]
    left_out = {name for name in OPTIONAL if name not in survey.fields[kind]}
    if not survey.labelled(kind):
        left_out |= {"label", "class_name"}
    if description["class_name"] is None:
        left_out.add("class_name")
    if not survey.captioned(kind):
        left_out |= {"caption", "captions", "caption_names"}
    measures = {name: description["measures"][name] for name in survey.measures[kind]}
    if not measures:
        left_out.add("measures")
    texts = {name: description[name] or [""] for name in ("captions", "caption_names")}  # an empty list has no type
    whole = description | texts | {"caption": description["caption"] or "", "measures": measures}
    return {name: value for name, value in whole.items() if name not in left_out}


def members(row: ManifestRow, description: Description, survey: Survey, picture: bytes) -> Iterator[tuple[str, bytes]]:
    """Extension and bytes of a sample's members: the picture file, ``json``, and ``txt`` and ``cls`` where the kind has
    captions and labels: all samples of a kind have the same extensions."""
    kind = row.kind
    yield Group(kind, row.split).extension, picture
    if survey.captioned(kind):
        yield "txt", (description["caption"] or "").encode()
    if survey.labelled(kind):
        yield "cls", str(row.label).encode()
    yield "json", as_json(without_gaps(description, survey)).encode()


def as_json(value: Any) -> str:
    """JSON in one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def write_lines(folder: Path, name: str, lines: Iterator[Description]) -> FileRecord:
    """Write JSON lines atomically, one at a time in memory. Raises StorageError."""
    count = 0
    with atomic_write(folder / name, keep_equal=True) as stream:
        for line in lines:
            stream.write(as_json(line).encode() + b"\n")
            count += 1
    return record_of(folder, name, count)


def record_of(folder: Path, name: str, samples: int) -> FileRecord:
    """The record of a file that was just written."""
    path = folder / name
    return FileRecord(name, path.stat().st_size, sha256_file(path), samples)
