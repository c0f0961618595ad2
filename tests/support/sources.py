"""Listing a dataset in a test: a descriptor around one source, and what its adapter finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from walt.core.config import parse_section
from walt.ingest.config import Descriptor
from walt.ingest.sources.adapters import list_items
from walt.ingest.sources.items import Item, Listing

LIST: dict[str, Any] = {
    "kind": "list", "tables": ["t.csv"], "path_column": "path", "caption_columns": ["caption"], "label_column": None,
    "span_columns": None, "videos": "", "absent": "refuse",
}  # fmt: skip
"""Videos in one table, with their captions."""


def describe(source: dict[str, Any], **changes: Any) -> Descriptor:
    """A descriptor, parsed as a file would be."""
    fields = {
        "name": "d", "summary": "s", "licence": "l", "homepage": None, "source": source, "classes": None,
        "caption_required": True, "images": True, "held_out": 0.0, "adherence": None, "generator": None,
    }  # fmt: skip
    return parse_section(fields | changes, Descriptor, "d.yaml")


def member(source: dict[str, Any], path: str, **changes: Any) -> dict[str, Any]:
    """A member of a union, as its descriptor has it."""
    fields = {
        "path": path, "source": source, "classes": None, "caption_required": True, "images": True, "held_out": 0.0,
        "generator": None,
    }  # fmt: skip
    return fields | changes


def union(**members: dict[str, Any]) -> dict[str, Any]:
    """Keys of a descriptor for ``describe`` and ``list_source``."""
    source = {"kind": "union", "members": members}
    return {"source": source, "caption_required": None, "images": None, "held_out": None}


def list_source(root: Path, source: dict[str, Any], path: str = ".", characters: int = 60, **changes: Any) -> Listing:
    """All inputs of the dataset at ``root / path``, or at a URL."""
    return list_items(describe(source, **changes), root, path, characters)


def touch(root: Path, *names: str) -> None:
    """Files of one byte."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def codes(listing: Listing) -> dict[str, str]:
    """Code of each refusal; each source is refused once."""
    found = {refusal.source: refusal.code for refusal in listing.refusals}
    assert len(found) == len(listing.refusals)
    return found


def by_source(listing: Listing) -> dict[str, Item]:
    """Items by name; each is there once."""
    found = {item.source: item for item in listing.items}
    assert len(found) == len(listing.items)
    return found
