"""Folders of videos and captions in the layouts that people keep; the videos are a few bytes that nobody decodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Files = dict[str, Any]
"""Path -> content: text, bytes, a table for Parquet, or what becomes JSON."""
V = b"a video"
TWO = {"a.mp4": V, "b.mp4": V}


def write(folder: Path, files: Files) -> None:
    """Write the files; ``{here}`` in a text is the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content.replace("{here}", str(folder)), encoding="utf-8")
        elif isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_text(json.dumps(content))
