"""Prompts of stored clips: captions and classes of held-out ones, of clips that are drawn where fewer are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from operator import itemgetter
from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.core.log import warning
from walt.core.sizes import Size, size_folder
from walt.data.caption_choice import stated
from walt.data.captions import Caption
from walt.data.clip_draw import draw_order, recording
from walt.data.clip_table import stored_in
from walt.data.manifest import iterate_columns
from walt.sampling.prompt_inputs import Prompt


def captions(manifest: Path, split: str, count: int, wanted: str | None, seed: int) -> list[str]:
    """Stated captions of a split's videos, each once, in the order in which their clips are drawn: ``count`` or fewer.

    Args:
        wanted: name of the caption that is taken of a clip; None, and where it has none of that name: its first.
    """
    rows = iterate_columns(manifest, "key", "group", "source_sha256", "captions", "split", "kind")
    recordings = {key: recording(group, source) for key, group, source, said, of, kind in rows
            if said and (of, kind) == (split, "video")}  # fmt: skip
    places = {key: place for place, key in enumerate(draw_order(recordings, seed))}
    found: dict[str, tuple[int, Sequence[Caption]]] = {}
    for key, said in iterate_columns(manifest, "key", "captions"):
        if key not in places:
            continue
        text = said[stated([caption.name for caption in said], wanted)].text
        if text not in found or places[key] < found[text][0]:
            found[text] = (places[key], said)
        if len(found) > 2 * count:  # there may be a million; a text that is not among the first now is never again
            found = dict(nsmallest(count, found.items(), key=lambda one: one[1][0]))
    drawn = nsmallest(count, found.values(), key=itemgetter(0))
    return _stated([said for _, said in drawn], wanted)


def classes(manifest: Path, count: int, seed: int) -> list[Prompt]:
    """The classes of held-out videos, or images, in the order in which the clips are drawn; None of one without a
    class. Raises ConfigurationError where nothing is held out."""
    known: dict[str, dict[str, str]] = {"video": {}, "image": {}}
    labels: dict[str, Prompt] = {}
    for key, kind, split, label, group, source in iterate_columns(
        manifest, "key", "kind", "split", "label", "group", "source_sha256"
    ):
        if split == "held_out":
            known[kind][key], labels[key] = recording(group, source), label
    if not labels:
        raise ConfigurationError("sample.prompts is held_out, but nothing is held out: give a list, or classes")
    return [labels[key] for key in draw_order(known["video"] or known["image"], seed)[:count]]


def clips_of_beginnings(manifest: Path, sizes: Sequence[Size], seed: int) -> list[str]:
    """Keys of the clips that give first frames, held-out videos that are stored in each of these sizes, in the order in
    which they are drawn."""
    rows = iterate_columns(manifest, "key", "kind", "split", "sizes", "group", "source_sha256")
    recordings = {
        key: recording(group, source)
        for key, kind, split, stored, group, source in rows
        if (kind, split) == ("video", "held_out") and all(stored_in(stored, size) for size in sizes)
    }
    return draw_order(recordings, seed)


def said_of_beginnings(
    manifest: Path, num_classes: int | None, count: int, sizes: Sequence[Size], wanted: str | None, seed: int
) -> list[Prompt]:
    """Classes or captions of the clips that give first frames, in the order in which these are drawn: (count,) or
    fewer. Raises ConfigurationError where there is no such clip."""
    drawn = clips_of_beginnings(manifest, sizes, seed)[:count]
    if not drawn:
        raise ConfigurationError(f"sample.prompts is held_out, but {none_held_out(sizes)}: give a list, or classes")
    places = {key: place for place, key in enumerate(drawn)}
    said = [row for row in iterate_columns(manifest, "key", "captions", "label") if row[0] in places]
    said.sort(key=lambda row: places[row[0]])
    if num_classes is not None:
        return [label for _, _, label in said]
    return [*_stated([captions for _, captions, _ in said], wanted)]


def none_held_out(sizes: Sequence[Size]) -> str:
    """That no clip can give first frames, for a message."""
    return f"no video that is stored in {' and '.join(map(size_folder, sizes))} is held out"


def _stated(of_clips: Sequence[Sequence[Caption]], wanted: str | None) -> list[str]:
    """The text of each clip's stated caption; empty where it has no caption."""
    names = [[caption.name for caption in captions] for captions in of_clips]
    others = sum(wanted not in own for own in names if own) if wanted is not None else 0
    if others:
        warning(f"sample.caption: {others} of the clips have no caption '{wanted}': the first of each is the prompt")
    return [
        captions[stated(own, wanted)].text if captions else "" for captions, own in zip(of_clips, names, strict=True)
    ]
