"""The classes of a dataset: one name per line, label 0 first."""

from __future__ import annotations

from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.core.suggestions import nearest
from walt.ingest.config import Descriptor


def read_classes(descriptor: Descriptor, root: Path) -> tuple[str, ...] | None:
    """Names by label, so that their number is ``num_classes``; None if the descriptor names no file of classes.

    Args:
        root: of the project.

    Raises:
        ConfigurationError: the file is missing, is not text, is empty, or has an empty line.
    """
    if descriptor.classes is None:
        return None
    path = root / descriptor.classes
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file (key 'classes' of the descriptor {descriptor.name} names it)")
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8 text") from None
    if not names:
        raise ConfigurationError(f"{path}: it names no classes")
    if "" in names:
        raise ConfigurationError(f"{path}, line {names.index('') + 1}: an empty line where a class is expected")
    return names


def labels_by_name(classes: tuple[str, ...] | None, kind: str) -> dict[str, int]:
    """Label of each name. Raises ConfigurationError if there are no classes, or two have the same name."""
    if classes is None:
        raise ConfigurationError(f"a source of kind {kind} needs the descriptor's key 'classes'")
    labels = {name: label for label, name in enumerate(classes)}
    if len(labels) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise ConfigurationError(f"the class '{twice}' is twice in the descriptor's classes")
    return labels


def unknown_class(name: str, labels: dict[str, int]) -> str:
    """Why a class is refused, for the rejects table."""
    found = nearest(name, labels, cutoff=0.6)
    return f"no class is named {name!r}" + (f"; the nearest is {found!r}" if found else "")
