"""Decides which sources are held out for evaluation: by the dataset's own lists, or by the hash of their bytes."""

from __future__ import annotations

from walt.core.log import warning
from walt.ingest.clip_tars import Source


def assign_splits(sources: list[Source], listed: list[Source]) -> None:
    """Set for each source whether it is held out.

    Each listed input decides about its bytes: by the dataset's own lists, or else by whether their hash falls into its
    held-out share. Held out wins: if one input (a copy, a span, a member of a union) holds its bytes out, they are held
    out under every name, whatever the others say and in whatever order. If the share is so small, or the sources so
    few, that nothing is held out, the first video that a larger share would select is held out, as long as another
    video is left to train on.

    Args:
        sources: the accepted sources; their ``split`` is set.
        listed: all inputs, including those that were refused as duplicates.
    """
    accepted = {source.sha256 for source in sources}
    named = [source for source in listed if source.sha256 in accepted]
    kept = {source.sha256 for source in named if _holds_out(source)}
    for source in sources:
        source.split = "held_out" if source.sha256 in kept else "train"
    videos = [source for source in sources if source.has_video]
    share = max((source.item.held_out_share for source in named), default=0.0)
    if any(source.item.split for source in named):
        if all(source.split == "held_out" for source in sources):
            warning(
                "every source is held out by the dataset's own lists: there is nothing to train on. Bring files of its "
                "training list, or have the split drawn by hash: `walt init --videos FOLDER`"
            )
    elif all(source.split == "held_out" for source in sources):
        warning("every source would be held out; all are used for training instead")
        for source in sources:
            source.split = "train"
    elif share and not kept:
        shared = {source.sha256 for source in named if source.item.held_out_share}
        candidates = [source for source in videos if source.sha256 in shared]
        if len({source.sha256 for source in videos}) > 1 and candidates:  # spans of one file are one video
            first = min(candidates, key=lambda source: (_draw(source.sha256), source.sha256)).sha256
            for source in sources:
                source.split = "held_out" if source.sha256 == first else "train"
            warning(f"too few sources for a held-out share of {share:g}: one video is held out")
        else:
            warning(f"too few videos for a held-out share of {share:g}: none is held out")


def _holds_out(source: Source) -> bool:
    """Whether one input holds its bytes out."""
    split = source.item.split
    return split == "held_out" if split else _draw(source.sha256) < source.item.held_out_share


def _draw(sha256: str) -> float:
    """A number in [0, 1) that is evenly spread over the hashes."""
    return int(sha256[-8:], 16) / 2**32
