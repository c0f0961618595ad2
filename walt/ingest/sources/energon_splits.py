"""What energon says about folders of tars: which belong to which split, what is excluded, which members are captions.

Source: Megatron-Energon's documentation on preparing data (``.nv-meta/split.yaml``, ``.nv-meta/dataset.yaml``).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from braceexpand import braceexpand
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from walt.core.errors import ConfigurationError
from walt.core.printable import printable
from walt.ingest.sources.folders import Folder

if TYPE_CHECKING:
    from walt.data.clip_table import Split

_LONGEST = 1 << 26
_SPLITS: dict[str, Split] = {"train": "train", "val": "held_out", "test": "held_out"}
_JSON_FIELD = re.compile(r"(?P<extension>[\w.]+)(?P<names>(?:\[[^\]]+\])+)")


@dataclass(frozen=True)
class Splits:
    """The split of each tar, by name; empty: nothing is said."""

    parts: dict[str, Split] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()
    """Tars, or ``tar/key``."""
    folders: tuple[str, ...] = ()
    """Folders of whose tars only those in ``parts`` are used; empty text: the whole folder."""

    def leaves_out(self, tar: str) -> bool:
        """Whether a tar is excluded, or in no split although others of its folder are."""
        inside = any(not folder or tar.startswith(f"{folder}/") for folder in self.folders)
        return tar in self.excluded or (inside and tar not in self.parts)

    def excludes(self, tar: str, key: str) -> bool:
        """Whether a sample is excluded."""
        return bool(self.excluded) and f"{tar}/{key}" in self.excluded

    def split(self, tar: str) -> Split | None:
        """The tar's split."""
        return self.parts.get(tar)


def read(folder: Folder, metas: str | Iterable[str]) -> Splits:
    """Read ``META/split.yaml`` of each. Raises ConfigurationError: one is missing, not YAML, or of another form."""
    parts: dict[str, Split] = {}
    excluded: set[str] = set()
    folders = []
    for meta in (metas,) if isinstance(metas, str) else metas:
        beside = posixpath.dirname(meta)
        found, left_out = _read(folder, f"{meta}/split.yaml")
        parts |= {_name(beside, tar): split for tar, split in found.items()}
        excluded |= {_name(beside, name) for name in left_out}
        folders += [beside] if found else []
    return Splits(parts, frozenset(excluded), tuple(folders))


def captions(folder: Folder, meta: str) -> tuple[str, ...]:
    """What ``META/dataset.yaml`` takes for captions, as ``source.caption`` names it; empty where it does not say."""
    data = folder.read(f"{meta}/dataset.yaml", _LONGEST)
    try:
        content = None if data is None else YAML(typ="safe", pure=True).load(data.decode("utf-8", "replace"))
        fields = content.get("field_map") if isinstance(content, dict) else None
        wanted = [str(fields[name]) for name in ("caption", "text") if name in fields] if fields else []
    except (YAMLError, TypeError, ValueError, RecursionError):
        return ()
    return tuple(_ours(text) for text in wanted)


def _ours(text: str) -> str:
    """``json[a][b]`` -> ``json:a.b``; the extension of a text stays."""
    match = _JSON_FIELD.fullmatch(text)
    return f"{match['extension']}:{match['names'][1:-1].replace('][', '.')}" if match else text


def _read(folder: Folder, name: str) -> tuple[dict[str, Split], list[str]]:
    """The splits of tars, and what is excluded, as the file names them."""
    data = folder.read(name, _LONGEST)
    where = folder.location(name)
    if data is None:
        raise ConfigurationError(f"{where}: no such file (source.energon)")
    try:
        content = YAML(typ="safe", pure=True).load(data.decode("utf-8", "replace"))
        named = content.get("split_parts") or {}
        if unknown := next((split for split in named if split not in _SPLITS), None):
            raise ValueError(f"the split {printable(str(unknown))!r} is none of {', '.join(_SPLITS)}")
        parts = {tar: _SPLITS[split] for split, tars in named.items() for tar in _names(tars)}
        return parts, _names(content.get("exclude"))
    except (YAMLError, AttributeError, TypeError, KeyError, ValueError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(f"{where}: not the split.yaml of energon: {cause}") from None


def _name(beside: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(beside, name))


def _names(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(f"a list is expected, not {type(value).__name__}")
    return [name for text in value for name in braceexpand(str(text))]
