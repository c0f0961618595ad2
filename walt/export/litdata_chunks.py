"""Chunks that ``litdata.StreamingDataset`` reads, made without litdata: its writer's files hold the time of day.

A chunk is the number of its items, the offsets of their beginnings and of the last one's end, and the items; an item is
the sizes of its leaves and their bytes. All numbers are uint32, little-endian.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator

from walt.export.samples import Description, as_json
from walt.export.target import FileRecord

CHUNK_BYTES = 64 << 20
"""A chunk is closed before it would become larger, unless a single item is."""


def sample(key: str, caption: str, description: Description, picture: bytes) -> bytes:
    """An item with the leaves ``key``, ``caption``, ``json`` and the picture file."""
    leaves = (key.encode(), caption.encode(), as_json(description).encode(), picture)
    return struct.pack("<4I", *map(len, leaves)) + b"".join(leaves)


def chunks(items: Iterable[bytes], most_bytes: int = CHUNK_BYTES) -> Iterator[list[bytes]]:
    """The items of each chunk."""
    held: list[bytes] = []
    size = 0
    for item in items:
        if held and size + len(item) > most_bytes:
            yield held
            held, size = [], 0
        held.append(item)
        size += len(item)
    if held:
        yield held


def chunk(items: list[bytes]) -> bytes:
    """The bytes of a chunk."""
    offsets = [4 * (len(items) + 2)]
    for item in items:
        offsets.append(offsets[-1] + len(item))
    return struct.pack(f"<{len(items) + 2}I", len(items), *offsets) + b"".join(items)


def index(records: Iterable[FileRecord], extension: str) -> bytes:
    """``index.json`` of a folder of chunks.

    Args:
        extension: name of the leaf with the picture file.
    """
    names = ["key", "caption", "json", extension]
    leaf: dict[str, object] = {"type": None, "context": None, "children_spec": []}
    spec = [1, {"type": "builtins.dict", "context": json.dumps(names), "children_spec": [leaf] * len(names)}]
    config = {
        "chunk_bytes": CHUNK_BYTES,
        "chunk_size": None,
        "compression": None,
        "data_format": ["str", "str", "str", "bytes"],
        "data_spec": json.dumps(spec),
        "encryption": None,
        "item_loader": "PyTreeLoader",
    }
    listed = [
        {
            "chunk_bytes": record.bytes,
            "chunk_size": record.samples,
            "dim": None,
            "filename": record.name.rpartition("/")[2],
        }
        for record in records
    ]
    return (json.dumps({"chunks": listed, "config": config, "updated_at": "0"}, sort_keys=True) + "\n").encode()
