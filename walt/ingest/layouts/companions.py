"""Files that belong to a video and are no videos to learn from: masks, depth, poses, first frames, thumbnails.

Trainers that take more than a caption have them beside the videos or in folders of their own, with the videos' names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePosixPath

from walt.ingest.sources.caption_files import filled
from walt.ingest.sources.folders import glob_expression
from walt.media.kinds import kind_of

_WORDS = (
    "mask", "masks", "masklabel", "depth", "depths", "control", "controls", "pose", "poses", "openpose", "dwpose",
    "skeleton", "canny", "edge", "edges", "hed", "mlsd", "scribble", "lineart", "seg", "segs", "segmentation", "flow",
    "normal", "normals", "ref", "reference", "references", "condition", "conditioning", "alpha", "matte", "matting",
    "thumb", "thumbs", "thumbnail", "thumbnails", "poster", "preview", "first_frame", "firstframe", "last_frame",
    "proxy", "proxies",
)  # fmt: skip
_NUMBER = r"(?:[_-]?\d{1,3})?"
_END = re.compile(rf"(?P<stem>.+?)(?P<end>[_.-](?:{'|'.join(_WORDS)})){_NUMBER}", re.IGNORECASE)
_NUMBERED = re.compile(r"(.+?)[_-]\d{1,3}")


def companions(uncaptioned: Iterable[str], captioned: Iterable[str]) -> Counter[str]:
    """Globs of files without captions that are named after files with captions, and how many files each is of.

    Args:
        uncaptioned, captioned: paths in the folder. A glob that matches one of the latter is left out.
    """
    captioned = [*captioned]
    paths = {str(PurePosixPath(name).with_suffix("")) for name in captioned}
    stems = {path.rpartition("/")[2] for path in paths}
    found: Counter[str] = Counter()
    for name in uncaptioned:
        if glob := _glob(name, paths, stems):
            found[glob] += 1
    for glob in [*found]:
        wanted = glob_expression(glob)
        if any(map(wanted.fullmatch, captioned)):
            del found[glob]
    return found


def _glob(name: str, paths: set[str], stems: set[str]) -> str | None:
    """The glob of a file and of all that are called so; None: it is of no other file."""
    path = PurePosixPath(name)
    folder = name.rpartition("/")[0]
    end = _END.fullmatch(path.stem)
    if end and f"{folder}/{end['stem']}".lstrip("/") in paths:
        further = "*" if path.stem != f"{end['stem']}{end['end']}" else ""
        return f"**/*{end['end']}{further}.*"
    numbered = _NUMBERED.fullmatch(path.stem)
    if path.stem not in stems and not (numbered and numbered[1] in stems):
        return None
    return folder_of_companions(folder)


def may_share(folder: str, files: Iterable[str], captioned: set[str]) -> bool:
    """Whether the files of a folder may be what one text in it describes, such as several videos of one prompt: all are
    videos or all are pictures, none is called a mask, a first frame and the like, and none has a caption of its own."""
    names = [*files]
    stems = (PurePosixPath(name).stem for name in names)
    apart = any(_is_named(stem) or _END.fullmatch(stem) for stem in stems) or folder_of_companions(folder)
    return len(set(map(kind_of, names))) == 1 and not apart and captioned.isdisjoint(f"{folder}/{n}" for n in names)


def of_several(template: str, texts: Iterable[str], media: Iterable[str]) -> tuple[set[str], set[str]]:
    """Those of a template's texts that it gives for files of several folders, so that they may be of either; and globs
    of the files of folders of masks, controls and the like, which such texts are not of."""
    owners: dict[str, set[str]] = {name: set() for name in texts}
    for name in media:
        if (text := filled(template, name)) in owners:
            owners[text].add(name.rpartition(".")[0])
    several, apart = set[str](), set[str]()
    for text, stems in owners.items():
        globs = {stem: folder_of_companions(stem.rpartition("/")[0]) for stem in stems}
        if sum(glob is None for glob in globs.values()) == 1:
            apart |= {glob for glob in globs.values() if glob is not None}
        elif len(stems) > 1:
            several.add(text)
    return several, apart


@lru_cache(maxsize=4096)
def folder_of_companions(folder: str) -> str | None:
    """The glob of all files in a folder, or in one above it, whose name says that such files are in it."""
    parts = folder.split("/")
    place = next((place for place, part in enumerate(parts) if _is_named(part)), None)
    return None if place is None else f"{'/'.join(parts[: place + 1])}/**/*"


def _is_named(folder: str) -> bool:
    """Whether a folder's name says that such files are in it: ``depth``, ``masks``, ``videos_depth``."""
    return any(part in _WORDS for part in (folder.lower(), *re.split("[_.-]", folder.lower())[-1:]))
