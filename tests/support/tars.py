"""Small tars for the tests."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

TARS: dict[str, Any] = {"kind": "webdataset", "tars": ["*.tar"], "caption": "txt", "damaged": "stop"}
"""A source of kind ``webdataset`` with what is required."""


def write_tar(path: Path, members: dict[str, bytes], *special: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in special:
            archive.addfile(info)
    return path
