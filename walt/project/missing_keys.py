"""Keys that a ``params.yaml`` lacks because they are newer than it: they are added, and nothing else changes."""

from __future__ import annotations

import types
from pathlib import Path
from textwrap import indent
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node

from walt.core.config import parse_section, read_yaml, yaml_data
from walt.core.errors import ConfigurationError
from walt.core.storage import replace_file
from walt.project.commented_yaml import Entry, end_of, lines
from walt.project.params import Params
from walt.project.recipes import Defaults


def add_missing(file: Path) -> list[str]:
    """Add the keys that are missing from a ``params.yaml``, with the values and comments of ``defaults.yaml``.

    Every line that is there stays as it is. A section that may be null is added as null, since the project has
    worked without it so far, and whole only where null does not fit the rest; sections that are null stay so.

    Returns:
        The keys that were added, such as ``train_base.optimizer.betas``; a section counts as one key.

    Raises:
        ConfigurationError: the file cannot be read, a key cannot be put into it, or it would be refused with the keys
            too, for example since another one is misspelt; it is as it was.
    """
    if not file.is_file():
        raise ConfigurationError(f"{file}: no such file; `walt init` writes it")
    read_yaml(file)  # one line, whatever is wrong with it
    before = file.read_bytes().decode("utf-8")
    refused: ConfigurationError | None = None
    for whole in (False, True):
        text, added = _completed(before, file, whole)
        try:
            parse_section(yaml_data(text), Params, str(file))
        except ConfigurationError as error:
            refused = refused or error
            continue
        if added:
            replace_file(file, text.encode())
        return added
    missing = ", ".join(added[:5]) + (f" and {len(added) - 5} more" if len(added) > 5 else "")
    raise ConfigurationError(f"{refused}; nothing was added (missing: {missing})" if added else str(refused))


def _completed(text: str, file: Path, whole: bool) -> tuple[str, list[str]]:
    """The text with the keys that it lacks, and their names. ``whole``: sections that may be null too, with all their
    keys. Raises ConfigurationError where there is no place for a key."""
    known, added = Defaults().root, list[str]()
    while (found := _first_missing(*_parsed(text, file, added), known, Params, "", whole)) is not None:
        mapping, name, entry, before, key = found
        if key in added:
            raise ConfigurationError(f"{file}: found no place for the missing key '{key}': add it by hand")
        text = _with_key(text, mapping, name, entry, before)
        added.append(key)
    return text, added


def _parsed(text: str, file: Path, added: list[str]) -> tuple[MappingNode, dict[str, Any]]:
    """The nodes and the values. Raises ConfigurationError where the last key that was added left no YAML."""
    try:
        return YAML(typ="safe", pure=True).compose(text), yaml_data(text)
    except YAMLError:
        raise ConfigurationError(f"{file}: found no place for the missing key '{added[-1]}': add it by hand") from None


_Missing = tuple[MappingNode, str, Entry, tuple[Node, Node] | None, str]


def _first_missing(
    mapping: MappingNode, data: dict[str, Any], known: Entry, section: type[BaseModel], above: str, whole: bool
) -> _Missing | None:
    """The mapping, the missing key, what it gets, the pair that it follows (None: it comes first), its full name."""
    pairs = {key.value: (key, value) for key, value in mapping.value if isinstance(key.value, str)}
    before: tuple[Node, Node] | None = None
    for name, entry in (known.children or {}).items():
        full = f"{above}.{name}" if above else name
        inner, nullable = _section_in(section.model_fields[name].annotation)
        if name not in data:
            value = Entry(comment=entry.comment) if inner is not None and nullable and not whole else entry
            return mapping, name, value, before, full
        if name not in pairs:
            continue  # it comes by a merge key (<<)
        before = pairs[name]
        if inner is not None and isinstance(before[1], MappingNode):
            found = _first_missing(before[1], data[name], entry, inner, full, whole)
            if found is not None:
                return found
    return None


def _section_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The section that a field holds itself (not in a list), and whether it may be null instead."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    if get_origin(annotation) in (Union, types.UnionType):
        found = [_section_in(argument)[0] for argument in get_args(annotation)]
        return next((section for section in found if section is not None), None), type(None) in get_args(annotation)
    return None, False


def _with_key(text: str, mapping: MappingNode, name: str, entry: Entry, before: tuple[Node, Node] | None) -> str:
    """The text with one more key in a mapping: on lines of its own, or between the braces of a flow mapping."""
    if not mapping.value:  # {}, perhaps behind an anchor
        index = text.index("{", mapping.start_mark.index) + 1
        return f"{text[:index]}{name}: {_in_flow(entry)}{text[index:]}"
    first = mapping.value[0][0]
    if mapping.flow_style:
        pair = f"{name}: {_in_flow(entry)}"
        index = first.start_mark.index if before is None else end_of(before[1]).index
        return text[:index] + (f"{pair}, " if before is None else f", {pair}") + text[index:]
    written = text.split("\n")
    ending = "\r" if written[0].endswith("\r") else ""
    at = first.start_mark.line if before is None else _line_after(before[1])
    new = indent("\n".join(lines(name, entry)), " " * first.start_mark.column).split("\n")
    if first.start_mark.column == 0 and entry.children is not None:
        new.insert(0, "")  # a section stands apart from what is above it
    written[at:at] = [line + ending for line in new]
    return "\n".join(written)


def _line_after(node: Node) -> int:
    """The number of the first line after a value. The mark at the end of a block scalar stands there already."""
    end = end_of(node)
    return int(end.line if end.column == 0 else end.line + 1)


def _in_flow(entry: Entry) -> str:
    """A value on one line."""
    if entry.children is None:
        items = [line.removeprefix("- ") for line in entry.text.splitlines()]
        return f"[{', '.join(items)}]" if entry.text.startswith("- ") else entry.text
    if entry.off:
        return "null"
    return "{" + ", ".join(f"{name}: {_in_flow(child)}" for name, child in entry.children.items()) + "}"
