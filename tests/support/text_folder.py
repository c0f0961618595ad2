"""Stored text, written by hand, for tests of what reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from walt.data.captions import Caption
from walt.data.distinct_captions import caption_id, write_captions
from walt.data.shards import NULL_KEY, Sample, write_index, write_shard


def text_sample(embedding: Tensor) -> Sample:
    """The members of a caption's sample. Args: embedding: (tokens, D)."""
    return {"safetensors": save({"embedding": embedding.half().contiguous()})}


def write_text(
    folder: Path,
    clips: Mapping[str, Sequence[Caption]],
    embeddings: Mapping[str, Tensor],
    null: Tensor,
    max_tokens: int,
) -> Path:
    """``data/text`` as encode-text leaves it.

    Args:
        clips: captions by the key of a clip.
        embeddings: (tokens, D) by the text of a caption.
        null: (tokens, D) of the empty caption.
    """
    samples = [(caption_id(text), text_sample(embedding)) for text, embedding in embeddings.items()]
    record = write_shard(folder / "text-all.tar", [*samples, (NULL_KEY, text_sample(null))])
    write_captions(folder, clips.items(), max_tokens)
    write_index(folder, "by hand", [record])
    return folder
