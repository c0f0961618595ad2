"""Tars that ``energon prepare`` has indexed. Its hidden folder ``.nv-meta`` says which tars are in which split, which
samples are excluded, how many samples each tar has, and which members are the video and the caption.

A key ends at the first dot of a member's name. Of the parts of the split, ``train`` is trained on and the others
(``val``, ``test``) are held out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.log import info, warning
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.folders import Folder
from walt.ingest.sources.items import Entry, Refusal, leaves_folder
from walt.ingest.sources.kinds import Energon
from walt.ingest.sources.tar_captions import parse_specs
from walt.ingest.sources.webdataset_tars import Reading, guarded
from walt.media.kinds import is_media

if TYPE_CHECKING:  # workers import this package, and need no tables
    from walt.data.clip_table import Split

META = ".nv-meta"
_CAPTIONS = ("caption", "captions", "text", "prompt")
_MEDIA = ("video", "videos", "image", "images")
_MOST_TARS = 1_000_000


def entries(source: Energon, dataset: Dataset) -> Iterator[Entry]:
    """List the pictures and videos of all tars of all splits, except the excluded ones.

    Refusals: those of ``webdataset_tars.entries``; ``missing`` (a tar that a split names and is not there).

    Raises:
        ConfigurationError: ``.nv-meta/split.yaml`` is missing or not one; a tar is in two splits; the captions are
            stated neither in the descriptor nor in ``dataset.yaml``.
        CorruptArtifactError: a tar is damaged, or has another number of samples than ``.info.json`` says, where
            ``source.damaged`` is ``stop``.
    """
    folder = dataset.folder
    splits, excluded = read_splits(folder)
    counts = _counts(folder)
    reading = _reading(source, folder)
    if excluded:
        info(f"{folder.location(META)}: split.yaml excludes {len(excluded)} tars or samples")
    others = [tar for tar in folder.matching("**/*.tar") if tar not in splits and tar not in excluded]
    if others:
        warning(f"{folder.location(META)}: {len(others)} tars are in no split of split.yaml: {others[0]} ...")
    for tar, split in sorted(splits.items()):
        if tar in excluded:
            continue
        if leaves_folder(tar) or not folder.has(tar):
            yield Refusal(tar, "missing", "split.yaml names it, but the tar does not exist")
            continue
        keys = frozenset(name.removeprefix(f"{tar}/") for name in excluded if name.startswith(f"{tar}/"))
        yield from guarded(tar, source.damaged == "refuse", dataset, reading, split, keys, counts.get(tar))


def read_splits(folder: Folder) -> tuple[dict[str, Split], set[str]]:
    """The split of each tar, and the tars and samples (``TAR/KEY``) that are excluded. Raises ConfigurationError."""
    where = f"{folder.location(META)}/split.yaml"
    found = read_meta(folder, "split.yaml")
    parts = found.get("split_parts") if found else None
    if not isinstance(parts, dict):
        raise ConfigurationError(f"{where}: no such file, or it has no split_parts; `energon prepare` writes it")
    splits: dict[str, Split] = {}
    for name, patterns in parts.items():
        split: Split = "train" if name == "train" else "held_out"
        for tar in _names(patterns, f"{where}: split_parts.{name}"):
            if splits.setdefault(tar, split) != split:
                raise ConfigurationError(f"{where}: {tar} is in two splits")
    return splits, set(_names((found or {}).get("exclude") or [], f"{where}: exclude"))


def read_meta(folder: Folder, name: str) -> dict[str, Any] | None:
    """A YAML or JSON file of ``.nv-meta``; None: there is none. Raises ConfigurationError: it is not a map."""
    where = f"{folder.location(META)}/{name}"
    try:
        with folder.open(f"{META}/{name}") as stream:
            text = stream.read().decode("utf-8")
    except (FileNotFoundError, StorageError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{where}: cannot be read: {error}") from None
    try:
        found = YAML(typ="safe", pure=True).load(text)  # JSON is YAML
    except (YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigurationError(f"{where}{f', line {mark.line + 1}' if mark else ''}: not valid YAML") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{where}: expected a map of keys")
    return found


def _names(value: object, where: str) -> list[str]:
    """The tars that a list names, braces expanded: ``shard_{000..012}.tar``, ``{a,b}.tar``."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ConfigurationError(f"{where}: expected a list of names")
    return [name for pattern in listed for name in expand(pattern, where)]


def expand(pattern: str, where: str) -> list[str]:
    """The names that a pattern with braces stands for. Raises ConfigurationError: it stands for too many."""
    choices: list[list[str]] = []
    for part in re.split(r"(\{[^{}]*\})", pattern):
        between = re.fullmatch(r"\{(\d{1,9})\.\.(\d{1,9})\}", part)
        if between:
            first, last = between.groups()
            width = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
            choices.append([f"{number:0{width}}" for number in range(int(first), min(int(last), _MOST_TARS) + 1)])
        elif part.startswith("{") and "," in part:
            choices.append(part[1:-1].split(","))
        else:
            choices.append([part])
    total = 1
    for some in choices:
        total *= len(some)
    if not 0 < total <= _MOST_TARS:
        raise ConfigurationError(f"{where}: '{pattern}' stands for {total} names")
    return ["".join(parts) for parts in itertools.product(*choices)]


def _counts(folder: Folder) -> dict[str, int]:
    """The number of samples of each tar, as ``energon prepare`` counted them."""
    found = read_meta(folder, ".info.json") or read_meta(folder, ".info.yaml") or {}
    counts = found.get("shard_counts") or {}
    if not isinstance(counts, dict) or not all(isinstance(count, int) for count in counts.values()):
        raise CorruptArtifactError(f"{folder.location(META)}/.info.json: shard_counts is not a map of numbers")
    return {str(tar): count for tar, count in counts.items()}


def _reading(source: Energon, folder: Folder) -> Reading:
    """The members with videos and captions, as the descriptor says, or else the dataset's ``field_map``."""
    caption, video = source.caption, (source.video,) if isinstance(source.video, str) else source.video
    if caption is None:
        fields = field_map(folder)
        said = [fields[name] for name in _CAPTIONS if name in fields]
        if not said:
            where = f"{folder.location(META)}/dataset.yaml"
            raise ConfigurationError(f"{where}: its field_map names no caption: set source.caption in the descriptor")
        caption = tuple(dict.fromkeys(spec for text in said for spec in text.split(",")))
        media = [part for name in _MEDIA for part in fields.get(name, "").split(",") if is_media(f"a.{part}")]
        video = video or tuple(media)
    specs = parse_specs(caption)
    return Reading(specs, "first_dot", frozenset(map(str.lower, video)), source.number_keys)


def field_map(folder: Folder) -> dict[str, str]:
    """Fields of the samples and where they are: ``json[a][b]`` becomes ``json:a.b``. Empty where none are stated."""
    fields = (read_meta(folder, "dataset.yaml") or {}).get("field_map") or {}
    if not isinstance(fields, dict):
        return {}
    return {str(name): ",".join(map(_spec, str(text).split(","))) for name, text in fields.items()}


def _spec(text: str) -> str:
    extension, *keys = re.findall(r"[^\[\]]+", text.strip()) or [""]
    return f"{extension}:{'.'.join(keys)}" if keys else extension
