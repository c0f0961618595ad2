"""safetensors files with metadata whose bytes depend on tensors and metadata alone.

safetensors writes several entries of metadata in another order each time (``findings/safetensors_metadata_order.sh``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor

_LENGTH = 8
"""Bytes of the header's length at the beginning of a file, and what a header's length is a multiple of."""


def tensor_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file. ``format`` is ``pt``, as transformers and diffusers expect."""
    data = save(dict(tensors))
    length = int.from_bytes(data[:_LENGTH], "little")
    header = json.loads(data[_LENGTH : _LENGTH + length])
    about = {"format": "pt", **dict(sorted(metadata.items()))}
    text = json.dumps({"__metadata__": about, **header}, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH)
    return len(text).to_bytes(_LENGTH, "little") + text + data[_LENGTH + length :]
