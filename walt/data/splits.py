"""Which sources are held out for evaluation: by the dataset's own lists, or by the hash of their bytes."""

from __future__ import annotations

from walt.core.log import warning
from walt.data.clip_tars import Source


def assign_splits(sources: list[Source]) -> None:
    """Say of each source whether it is held out, which the dataset's own lists decide, or its hash.

    What is held out under one name (a span, a member of a union) is so under all. Where a share so small or sources so
    few leave nothing held out, the first video that a larger share would take is held out, as long as another video is
    left to train on.
    """
    for source in sources:
        source.split = "held_out" if _draw(source.sha256) < source.item.held_out_share else "train"
        source.split = source.item.split or source.split
    kept = {source.sha256 for source in sources if source.split == "held_out"}
    for source in sources:
        source.split = "held_out" if source.sha256 in kept else "train"
    videos = [source for source in sources if source.has_video]
    share = max((source.item.held_out_share for source in sources), default=0.0)
    if any(source.item.split for source in sources):
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
        candidates = [source for source in videos if source.item.held_out_share]
        if len(videos) > 1 and candidates:
            first = min(candidates, key=lambda source: (_draw(source.sha256), source.sha256)).sha256
            for source in videos:
                source.split = "held_out" if source.sha256 == first else "train"
            warning(f"too few sources for a held-out share of {share:g}: one video is held out")
        else:
            warning(f"too few videos for a held-out share of {share:g}: none is held out")


def _draw(sha256: str) -> float:
    """A number in [0, 1) that is evenly spread over the hashes."""
    return int(sha256[-8:], 16) / 2**32
