"""What energon says about a folder of tars: which belong to which split, and what is excluded.

Source: Megatron-Energon's documentation on preparing data (``.nv-meta/split.yaml``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from braceexpand import braceexpand
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from walt.core.errors import ConfigurationError
from walt.ingest.sources.folders import Folder

if TYPE_CHECKING:
    from walt.data.clip_table import Split

_LONGEST = 1 << 26
_SPLITS: dict[str, Split] = {"train": "train", "val": "held_out", "test": "held_out"}


@dataclass(frozen=True)
class Splits:
    """The split of each tar, by name; empty: nothing is said."""

    parts: dict[str, Split] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()
    """Tars, or ``tar/key``."""

    def leaves_out(self, tar: str) -> bool:
        """Whether a tar is excluded, or in no split although others are."""
        return tar in self.excluded or (bool(self.parts) and tar not in self.parts)

    def excludes(self, tar: str, key: str) -> bool:
        """Whether a sample is excluded."""
        return bool(self.excluded) and f"{tar}/{key}" in self.excluded

    def split(self, tar: str) -> Split | None:
        """The tar's split."""
        return self.parts.get(tar)


def read(folder: Folder, meta: str) -> Splits:
    """Read ``META/split.yaml``. Raises ConfigurationError: it is missing, not YAML, or of another form."""
    name = f"{meta}/split.yaml"
    data = folder.read(name, _LONGEST)
    where = folder.location(name)
    if data is None:
        raise ConfigurationError(f"{where}: no such file (source.energon)")
    try:
        content = YAML(typ="safe", pure=True).load(data.decode("utf-8", "replace"))
        parts: dict[str, Split] = {}
        for split, tars in (content.get("split_parts") or {}).items():
            for tar in _names(tars):
                parts[tar] = _SPLITS[split]
        return Splits(parts, frozenset(_names(content.get("exclude"))))
    except (YAMLError, AttributeError, TypeError, KeyError, ValueError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(f"{where}: not the split.yaml of energon: {cause}") from None


def _names(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError(f"a list is expected, not {type(value).__name__}")
    return [name for text in value for name in braceexpand(str(text))]
