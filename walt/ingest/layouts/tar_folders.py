"""Recognises folders of tars: plain ones, those with an index beside them, and those that energon has prepared.

Of the tars only the first members of the first one are looked at.
"""

from __future__ import annotations

import itertools
import json
import posixpath
from collections import Counter
from typing import IO

from walt.core.errors import WaltError
from walt.ingest.layouts.found import CAPTION_NAMES, Found, splits_by_name
from walt.ingest.sources.energon import META, field_map, read_meta, read_splits
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.kinds import Energon, KeyRule, WebDatasetTars
from walt.ingest.sources.tar_captions import LONGEST_TEXT
from walt.ingest.sources.tar_headers import Place, members
from walt.ingest.sources.tar_samples import plain, split_name
from walt.media.kinds import is_media

_MOST_MEMBERS = 50
_MOST_INDEX = 1 << 28
_TEXTS = ("txt", "text", "caption", "prompt")
_SIZES = ("short", "medium", "long", "caption", "dense")
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def recognise_tars(folder: Folder) -> Found | None:
    """The section that reads a folder of tars; None: there are none."""
    pattern = next((glob for glob in ("*.tar", "**/*.tar") if folder.matching(glob)), None)
    packed = [name for end in _PACKED for name in folder.matching(f"**/*{end}")]
    if pattern is None:
        return None
    tars = folder.matching(pattern)
    look = _Look(folder, tars[0])
    captions = look.captions()
    rule = look.key_rule()
    video, several = look.video(rule)
    notes = [f"{len(tars)} tars ({pattern}); of {tars[0]} the first {len(look.places)} members were looked at"]
    split = splits_by_name(tars, ".tar")
    if split:
        notes.append(
            "splits are those of the tars' names: " + "; ".join(f"{k}: {', '.join(v)}" for k, v in split.items())
        )
    notes.append(f"captions: {', '.join(captions)}" if captions else "no member was found that holds captions")
    if rule == "first_dot":
        notes.append("keys end at the first dot of a member's name (source.key_ends_at), since captions join only so")
    if several:
        used = ", ".join(video) or "all of them"
        notes.append(f"a sample has several videos or pictures ({', '.join(several)}); used: {used} (source.video)")
    if look.problem:
        notes.append(look.problem)
    if packed:
        notes.append(f"not used: {len(packed)} compressed tars, such as {packed[0]}; decompress them")
    source = WebDatasetTars(
        kind="webdataset", tars=(pattern,), caption=captions if len(captions) > 1 else (captions or ("txt",))[0],
        damaged="stop", key_ends_at=rule, video=video, split=split,
    )  # fmt: skip
    return Found(source, tuple(notes))


def recognise_energon(folder: Folder) -> Found | None:
    """The section that reads tars which ``energon prepare`` has indexed; None: there is no ``.nv-meta/split.yaml``.

    Raises:
        ConfigurationError: ``split.yaml`` or ``dataset.yaml`` is damaged.
    """
    if read_meta(folder, "split.yaml") is None:
        return None
    splits, excluded = read_splits(folder)
    parts = Counter(splits.values())
    notes = [f"{META}/split.yaml: {parts['train']} tars to train on, {parts['held_out']} held out"]
    if excluded:
        notes.append(f"{META}/split.yaml excludes {len(excluded)} tars or samples: they are left out")
    fields = field_map(folder)
    captions: tuple[str, ...] = ()
    if not any(name in fields for name in ("caption", "captions", "text", "prompt")):
        first = next((tar for tar in sorted(splits) if folder.has(tar)), None)
        captions = _Look(folder, first).captions() if first else ()
        notes.append(f"captions: {', '.join(captions)}" if captions else "no member was found that holds captions")
        captions = captions or ("txt",)
    else:
        notes.append(f"members as {META}/dataset.yaml says: " + ", ".join(f"{k} is {v}" for k, v in fields.items()))
    return Found(Energon(kind="energon", caption=captions or None), tuple(notes))


class _Look:
    """The first members of one tar."""

    def __init__(self, folder: Folder, tar: str) -> None:
        self.places: dict[str, Place] = {}
        self.problem: str | None = None
        """Why the tar cannot be read, or what else is wrong with it."""
        self._texts: dict[str, bytes] = {}
        self._index = _index_captions(folder, tar)
        try:
            with folder.open(tar) as stream:
                for member in itertools.islice(members(folder.location(tar), stream), _MOST_MEMBERS):
                    if member.refusal is None:
                        self.places[member.name] = member.place
                self._read_json(stream)
        except (WaltError, OSError) as error:
            self.problem = str(error)

    def _read_json(self, stream: IO[bytes]) -> None:
        for name, (offset, size) in self.places.items():
            if name.lower().endswith(".json") and size <= LONGEST_TEXT:
                stream.seek(offset)
                self._texts[name] = stream.read(size)

    def captions(self) -> tuple[str, ...]:
        """What a descriptor calls the captions that were found, the first of them first."""
        rule = self.key_rule()
        found: dict[str, None] = {}
        for name in self.places:
            parts = split_name(name, rule)
            if parts is None:
                continue
            extension = parts[1]
            if extension.rpartition(".")[2] in _TEXTS:
                found[extension] = None
            elif name in self._texts:
                for key in caption_keys(self._texts[name]):
                    found[f"{extension}:{key}"] = None
        for key in self._index:
            found.setdefault(f"index:{key}")
        texts = [caption for caption in found if ":" not in caption]
        return (*texts, *(caption for caption in found if ":" in caption))

    def key_rule(self) -> KeyRule:
        """The rule by which more texts have the key of a video."""
        return "first_dot" if self._joined("first_dot") > self._joined("last_dot") else "last_dot"

    def _joined(self, rule: KeyRule) -> int:
        parts = [(name, split_name(name, rule)) for name in self.places]
        keys = {split[0] for name, split in parts if split and is_media(plain(name))}
        return sum(
            split is not None and split[0] in keys and split[1].rpartition(".")[2] in (*_TEXTS, "json")
            for name, split in parts
        )

    def video(self, rule: KeyRule) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Extensions of the members to use (empty: all), and all that a sample has several of."""
        by_key: dict[str, list[str]] = {}
        for name in self.places:
            parts = split_name(name, rule)
            if parts and is_media(plain(name)):
                by_key.setdefault(parts[0], []).append(parts[1])
        several = dict.fromkeys(extension for found in by_key.values() if len(found) > 1 for extension in found)
        plainest = tuple(extension for extension in several if "." not in extension and is_video(extension))
        return (plainest if len(plainest) == 1 else ()), tuple(several)


def is_video(extension: str) -> bool:
    """Whether an extension is that of a video, not of a picture."""
    from walt.media.video import SUFFIXES

    return f".{extension}" in SUFFIXES


def caption_keys(data: bytes) -> list[str]:
    """Keys of a JSON map that hold captions, by the usual names; ``model.long`` for a map of a model's captions."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return []
    return _keys(found) if isinstance(found, dict) else []


def _keys(found: dict[str, object]) -> list[str]:
    keys = [key for key in CAPTION_NAMES if _holds_text(found.get(key))]
    for key, value in found.items():
        if isinstance(value, dict) and key != "json_metadata":
            keys += [f"{key}.{size}" for size in _SIZES if _holds_text(value.get(size))]
    return keys


def _holds_text(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(one, str) for one in values)


def _index_captions(folder: Folder, tar: str) -> list[str]:
    """Keys of captions in the index beside a tar, as webshart writes it."""
    name = f"{posixpath.splitext(tar)[0]}.json"
    if not folder.has(name):
        return []
    with folder.open(name) as stream:
        data = stream.read(_MOST_INDEX)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return []
    files = found.get("files") if isinstance(found, dict) else None
    entries = [entry for entry in files.values() if isinstance(entry, dict)] if isinstance(files, dict) else []
    return list(dict.fromkeys(key for entry in entries[:_MOST_MEMBERS] for key in _keys(entry)))
