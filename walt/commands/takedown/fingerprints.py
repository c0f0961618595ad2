"""What the tars hold of a source: the fingerprint by which it is known later, and the digests of its pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from walt.commands.lineage.of_source import HeldClip
from walt.core.paths import Paths
from walt.data.shards import INDEX_NAME, shard_name
from walt.data.tar_places import members_of
from walt.ingest.taken_down import Frame, fingerprint
from walt.media.images import Clip, decode_png
from walt.media.mp4 import decode_clip

_PICTURES = ("mp4", "png")


@dataclass
class Pictures:
    """What the tars hold of one source."""

    fps: float = 1.0
    clips: list[tuple[float, Clip]] = field(default_factory=list)
    """Start in seconds, and frames in the smallest size."""
    digests: set[str] = field(default_factory=set)
    """SHA-256 of its picture files, in all sizes."""

    @property
    def frames(self) -> tuple[Frame, ...]:
        """Its fingerprint."""
        return fingerprint(self.clips, self.fps)


def pictures_of(paths: Paths, clips: Iterable[HeldClip]) -> dict[str, Pictures]:
    """What is stored of these clips, by the SHA-256 of their source.

    Only the tars that hold them are read.
    """
    of_tar: dict[str, list[HeldClip]] = {}
    for clip in clips:
        of_tar.setdefault(shard_name("clips", clip.shard), []).append(clip)
    sizes = sorted((index.parent for index in paths.clips.glob(f"*/{INDEX_NAME}")), key=_area)
    found: dict[str, Pictures] = {}
    for name, held in of_tar.items():
        decoded: set[str] = set()
        for tar in (folder / name for folder in sizes if (folder / name).is_file()):
            places = members_of(tar)
            with open(tar, "rb") as stream:
                for clip in (clip for clip in held if clip.key in places):
                    members = {}
                    for extension, (offset, size) in places[clip.key].items():
                        stream.seek(offset)
                        members[extension] = stream.read(size)
                    own = found.setdefault(clip.source_sha256, Pictures())
                    _add(own, clip, members, decode=clip.key not in decoded)
                    decoded.add(clip.key)
    return found


def _add(own: Pictures, clip: HeldClip, members: dict[str, bytes], *, decode: bool) -> None:
    own.fps = json.loads(members["json"])["fps"]
    for extension in (extension for extension in _PICTURES if extension in members):
        data = members[extension]
        own.digests.add(hashlib.sha256(data).hexdigest())
        if decode:
            frames = decode_clip(data) if extension == "mp4" else decode_png(data)[None]
            own.clips.append((clip.start_seconds, frames))


def _area(folder: Path) -> tuple[int, str]:
    height, width = folder.name.split("x")
    return int(height) * int(width), folder.name
