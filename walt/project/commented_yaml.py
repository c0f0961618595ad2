"""A YAML mapping as a tree of keys that keeps each value as its author wrote it, and its comment."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node

from walt.core.config import read_yaml, yaml_data


@dataclass
class Entry:
    """The value of a key: a mapping (``children``), or else its text in the file (``text``).

    Attributes:
        text: of a scalar, a flow sequence, or the lines of a block sequence without their indentation.
        children: of a mapping, in block or flow style; None where the value is not a mapping.
        comment: at the end of the key's line, without the ``#``; empty where there is none.
        off: whether the mapping is turned off: its value is null, and the children say what it is when turned on.
    """

    text: str = "null"
    children: dict[str, Entry] | None = None
    comment: str = ""
    off: bool = False

    @property
    def value(self) -> Any:
        """The value as data; a mapping that is off is None."""
        if self.children is None:
            return yaml_data(self.text)
        return None if self.off else {name: child.value for name, child in self.children.items()}

    def copy(self) -> Entry:
        """An independent copy."""
        return deepcopy(self)


@dataclass
class Document:
    """A file: the comment above its first key, unchanged, and its mapping."""

    header: str
    root: Entry = field(default_factory=Entry)


def parse(path: Path) -> Document:
    """Read a file. Raises ConfigurationError as ``walt.core.config.read_yaml`` does."""
    read_yaml(path)  # one line, whatever is wrong with it
    return deepcopy(_document(path.read_text(encoding="utf-8")))


@lru_cache(maxsize=64)
def _document(text: str) -> Document:
    """A text that is known to be a mapping; kept, since ``defaults.yaml`` is read for each recipe."""
    node = YAML(pure=True).compose(text)
    lines = text[: node.start_mark.index].splitlines()
    header = "\n".join(line for line in lines if line.lstrip().startswith("#"))
    return Document(header, Entry(children=_children(node, text)))


def render(root: Entry) -> str:
    """The mapping in block style, a blank line between sections."""
    text, above = "", None
    for name, entry in (root.children or {}).items():
        apart = above is not None and (_is_section(above) or _is_section(entry))
        text += ("\n" if apart else "") + "\n".join(lines(name, entry)) + "\n"
        above = entry
    return text


def lines(name: str, entry: Entry) -> list[str]:
    """A key and its value in block style, without indentation; an item may hold several lines."""
    comment = f" # {entry.comment}" if entry.comment else ""
    if entry.children is None:
        if "\n" in entry.text or entry.text.startswith("- "):
            return [f"{name}:{comment}", indent(entry.text, "  ")]
        return [f"{name}: {entry.text}{comment}"]
    if entry.off or not entry.children:
        return [f"{name}: {'null' if entry.off else '{}'}{comment}"]
    inner = [line for child, value in entry.children.items() for line in lines(child, value)]
    return [f"{name}:{comment}", *(indent(line, "  ") for line in inner)]


def end_of(node: Node) -> Any:
    """The mark (``index``, ``line``) where a node's text ends; comments and blank lines after it are not part of it."""
    if isinstance(node, CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return end_of(last[1] if isinstance(last, tuple) else last)
    return node.end_mark


def _children(node: MappingNode, text: str) -> dict[str, Entry]:
    return {key.value: _entry(key, value, text) for key, value in node.value}


def _entry(key: Node, value: Node, text: str) -> Entry:
    below = value.start_mark.line > key.end_mark.line
    start = key.end_mark.index if below else end_of(value).index
    rest = text[start:].split("\n", 1)[0]
    comment = rest.partition("#")[2].strip() if rest.lstrip(": ,").startswith("#") else ""
    if isinstance(value, MappingNode):
        return Entry(children=_children(value, text), comment=comment)
    line_start = text.rfind("\n", 0, value.start_mark.index) + 1
    written = text[line_start if below else value.start_mark.index : end_of(value).index]
    return Entry(text=dedent(written) or "null", comment=comment)


def _is_section(entry: Entry) -> bool:
    return entry.children is not None
