"""Features of stored clips that were computed before, for the next evaluation on this machine.

One file for each network and way of looking at clips (the *identity*), which lists its clips by the SHA-256 of their
stored bytes: another clip, network, code, device or number of given frames is not found. A file that is not whole is as
none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from walt.core import log
from walt.core.digests import sha256_json
from walt.core.storage import write_bytes

Measured = tuple[Tensor, str]
"""(features (D,) float32, hex digest of the clip's pixels)."""

_KEPT = 8
"""Files; the oldest go."""


@dataclass(frozen=True)
class FeatureCache:
    """The file of one identity."""

    folder: Path
    identity: str
    """Hex digest of all that features depend on besides the clip."""

    @property
    def _path(self) -> Path:
        return self.folder / f"{self.identity}.safetensors"

    def read(self) -> dict[str, Measured]:
        """Content digest -> what was measured; empty where there is no whole file."""
        if not self._path.is_file():
            return {}
        try:
            with safe_open(str(self._path), "pt") as file:
                features, (about, digest) = file.get_tensor("features"), json.loads(file.metadata()["clips"])
                whole = digest == _digest(features, about)
        except (SafetensorError, ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            log.warning(f"{self._path} is damaged: the features are computed again")
            return {}
        return {content: (row, pixels) for (content, pixels), row in zip(about, features, strict=True)}

    def write(self, measured: Mapping[str, Measured]) -> None:
        """Replace the file, and remove the oldest ones of other identities."""
        features = torch.stack([of_clip for of_clip, _ in measured.values()])
        about = [[content, pixels] for content, (_, pixels) in measured.items()]
        # one key: safetensors writes several in an order that is another one each time
        metadata = {"clips": json.dumps([about, _digest(features, about)])}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(self._path, save({"features": features}, metadata))
        files = sorted(self.folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime_ns)
        for file in files[:-_KEPT]:
            file.unlink(missing_ok=True)


def _digest(features: Tensor, about: list[list[str]]) -> str:
    return sha256_json([hashlib.sha256(features.numpy().tobytes()).hexdigest(), about])
