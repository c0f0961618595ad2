"""Decides which sources are held out for evaluation: by the dataset's own lists, or by the hash of their bytes."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict

from walt.core.log import warning
from walt.ingest.clip_tars import Source


def assign_splits(sources: list[Source], listed: list[Source]) -> None:
    """Set for each source whether it is held out.

    Each listed input decides about its bytes: by the dataset's own lists, or else by whether their hash, or that of its
    group's name, falls into its held-out share. Held out wins: if one input (a copy, a span, a member of a union,
    another of its group) holds its bytes out, they are held out under every name, and so is all of its group, whatever
    the others say and in whatever order. If the share is so small, or the sources so few, that nothing is held out, the
    first video that a larger share would select is held out, as long as another video is left to train on.

    Args:
        sources: the accepted sources; their ``split`` is set.
        listed: all inputs, including those that were refused as duplicates.
    """
    accepted = {source.sha256 for source in sources}
    named = [source for source in listed if source.sha256 in accepted]
    kept = _with_their_groups({source.sha256 for source in named if _holds_out(source)}, named)
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
            kept = _with_their_groups({first}, named)
            if all(source.sha256 in kept for source in videos):
                warning(f"all videos are of one group: none is held out for a share of {share:g}")
                return
            for source in sources:
                source.split = "held_out" if source.sha256 in kept else "train"
            warning(f"too few sources for a held-out share of {share:g}: one video is held out")
        else:
            warning(f"too few videos for a held-out share of {share:g}: none is held out")


def _holds_out(source: Source) -> bool:
    """Whether one input holds its bytes out."""
    split, group = source.item.split, source.item.group
    drawn = source.sha256 if group is None else hashlib.sha256(os.fsencode(group)).hexdigest()
    return split == "held_out" if split else _draw(drawn) < source.item.held_out_share


def _with_their_groups(kept: set[str], named: list[Source]) -> set[str]:
    """The hashes of ``kept``, and of all bytes that share a group with them, directly or by way of others."""
    groups: dict[str, set[str]] = defaultdict(set)
    members: dict[str, set[str]] = defaultdict(set)
    for source in named:
        if source.item.group is not None:
            groups[source.sha256].add(source.item.group)
            members[source.item.group].add(source.sha256)
    found, left = set(kept), list(kept)
    while left:
        for group in groups.get(left.pop(), ()):
            fresh = members[group] - found
            found |= fresh
            left += fresh
    return found


def _draw(sha256: str) -> float:
    """A number in [0, 1) that is evenly spread over the hashes."""
    return int(sha256[-8:], 16) / 2**32
