"""Which clips, and which samples, a bootstrap draws together, since they are alike (``walt.evaluation.draws``).

Stored clips are of one recording where the manifest gives them one group, or else one source. Samples are of one group
where they begin as clips of one recording do, or have the same text. Classes, and prompts that a protocol lists, are no
draw from a larger set: every evaluation has the same ones, and the samples of each differ by their noise alone. The
same holds for samples of a single prompt.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from walt.core.digests import sha256_json
from walt.core.errors import CorruptArtifactError
from walt.data.clip_draw import recording
from walt.data.manifest import manifest_parts
from walt.evaluation.draws import Groups, independent, together

DRAWN = "drawn together"
"""The condition that says which clips and samples are; figures where none are do not have it."""

_COLUMNS = ("key", "group", "source_sha256")


def recordings(manifest: Path, keys: Collection[str]) -> dict[str, str]:
    """Of each of these clips the name of its recording: the group of its source, or the source's SHA-256.

    Raises:
        StorageError: there is no manifest.
        CorruptArtifactError: it is damaged, or does not have one of the clips.
    """
    wanted, found = pa.array(sorted(set(keys)), pa.string()), {}
    for table in (table for part in manifest_parts(manifest, _COLUMNS) for table in part) if keys else ():
        ours = table.filter(pc.is_in(table["key"], wanted))  # a manifest may have millions of other clips
        for key, group, source in zip(*(ours[name].to_pylist() for name in _COLUMNS), strict=True):
            found[key] = recording(group, source)
    if missing := set(keys) - found.keys():
        raise CorruptArtifactError(f"{manifest}: it does not have the clip {min(missing)}, which is to be evaluated")
    return found


def of_clips(keys: Sequence[str], known: Mapping[str, str]) -> Groups:
    """Of stored clips, in their order; None where no two are of one recording."""
    return together([known[key] for key in keys])


def of_samples(
    prompts: Sequence[str], begin_as: Sequence[str | None], known: Mapping[str, str], texts_are_drawn: bool
) -> Groups:
    """Of samples, in their order; None where no two are of one group, or all are of one.

    Args:
        begin_as: key of the clip whose first frames each was given; None: of none.
        known: the recordings of these clips.
        texts_are_drawn: whether prompts are texts in whose place there might have been others.
    """
    names = []
    for place, (prompt, key) in enumerate(zip(prompts, begin_as, strict=True)):
        if key is not None:
            names.append(known[key])
        else:
            names.append(f"text {prompt}" if texts_are_drawn and prompt else f"sample {place}")
    return together(names) if len(set(names)) > 1 else None


def condition(*groups: Groups) -> dict[str, str]:
    """For ``Figure.conditions``: resamples of other groups draw other items, and are not a pair."""
    return {DRAWN: sha256_json([of and list(of) for of in groups])} if any(groups) else {}


def chosen(groups: Groups, places: Sequence[int]) -> Groups:
    """Of some of the items."""
    return None if groups is None else together([groups[place] for place in places])


def detail(name: str, groups: Groups) -> dict[str, int]:
    """How many are drawn, for the details of an evaluation; nothing where each item is drawn by itself."""
    count = independent(groups)
    return {} if count is None else {name: count}
