"""A page for each section of ``params.yaml``: every knob with its docstring, its default, and the recipes that change
it. From the sections' classes, ``walt/recipes/defaults.yaml`` and the recipes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import griffe

from walt.core.config import Section
from walt.project.commented_yaml import Entry
from walt.project.params import Params
from walt.project.recipes import Defaults, expand, recipe_names

FOLDER = "settings"
_PACKAGE = Path(__file__).resolve().parents[2]


def pages() -> dict[str, str]:
    """Each page's place and its text."""
    defaults = Defaults().root.children or {}
    recipes = {name: expand(name).root.children or {} for name in recipe_names()}
    found = {f"{FOLDER}/index.md": _overview(defaults)}
    for name, entry in defaults.items():
        if entry.children is not None:
            found[f"{FOLDER}/{name}.md"] = _page(name, entry, {recipe: tree[name] for recipe, tree in recipes.items()})
    return found


def _overview(defaults: dict[str, Entry]) -> str:
    lines = [
        "# Settings",
        "",
        "`params.yaml` holds every knob; `walt init --recipe NAME` writes it. An unknown key is an error of one line "
        "that names the nearest one. The defaults are those of the demo.",
        "",
        "| section | |",
        "|---|---|",
    ]
    for name, entry in defaults.items():
        if entry.children is None:
            lines.append(f"| `{name}: {entry.text}` | {entry.comment} |")
        else:
            first = _section_text(name).split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            lines.append(f"| [`{name}`]({name}.md) | {first} |")
    return "\n".join(lines) + "\n"


def _page(name: str, entry: Entry, recipes: dict[str, Entry]) -> str:
    lines = [f"# {name}", "", _section_text(name), ""]
    if entry.off:
        lines += ["Left out by default (`null`); the values are those that it has when a recipe turns it on.", ""]
    for key, section, knob in _knobs(_section(Params, name), entry, ()):
        dotted = ".".join(key)
        lines += [f"## `{dotted}`", ""]
        text = _field_text(section, key[-1])
        lines += [_default(knob, text), ""]
        lines += [text, ""] if text else []
        changed = {recipe: _shown(_at(tree, key)) for recipe, tree in recipes.items() if not tree.off}
        changed = {recipe: value for recipe, value in changed.items() if value != _shown(knob)}
        if changed:
            lines += ["Changed by: " + ", ".join(f"{recipe} (`{value}`)" for recipe, value in changed.items()), ""]
    return "\n".join(lines)


def _default(knob: Entry, text: str) -> str:
    """A knob's default, and the comment beside it where the docstring does not say the same."""
    value = "on, with the settings that follow" if _is_on(knob) else f"`{_shown(knob)}`"
    comment = knob.comment or ""
    if not comment or _words(comment) in _words(text):
        return f"Default: {value}"
    if comment.startswith("or "):
        return f"Default: {value}, {comment.rstrip('.')}."
    return f"Default: {value} ({comment})"


def _is_on(entry: Entry) -> bool:
    return entry.children is not None and not entry.off


def _knobs(
    section: type[Section] | None, entry: Entry, above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], type[Section] | None, Entry]]:
    """The leaves of a section: their keys, the class that has them, their defaults. A mapping that may be null is one
    too, before its own leaves."""
    for name, child in (entry.children or {}).items():
        if child.children is None or (section is not None and _may_be_null(section, name)):
            yield (*above, name), section, child
        if child.children is not None:
            yield from _knobs(_section(section, name), child, (*above, name))


def _section(owner: type[Section] | None, name: str) -> type[Section] | None:
    """The class of a field that is a section, also where it may be null."""
    if owner is None or name not in owner.model_fields:
        return None
    return next(_sections_in(owner.model_fields[name].annotation), None)


def _may_be_null(owner: type[Section], name: str) -> bool:
    return type(None) in get_args(owner.model_fields[name].annotation)


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_in(part)


def _at(entry: Entry, key: tuple[str, ...]) -> Entry:
    for name in key:
        entry = (entry.children or {})[name]
    return entry


def _shown(entry: Entry) -> str:
    """A value in one line; of a mapping whether there is one."""
    if entry.children is not None:
        return "on" if _is_on(entry) else "null"
    return " ".join(entry.text.split())


def _words(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".")


@cache
def _package() -> griffe.Module:
    package = griffe.load("walt", search_paths=[str(_PACKAGE)])
    assert isinstance(package, griffe.Module)
    return package


def _section_text(name: str) -> str:
    section = _section(Params, name)
    return "" if section is None else (section.__doc__ or "")


def _field_text(section: type[Section] | None, name: str) -> str:
    """The docstring under a field, of the class or of the nearest one that it inherits from."""
    for owner in section.__mro__ if section is not None else ():
        if name in inspect.get_annotations(owner):
            module = owner.__module__.removeprefix("walt.")
            field = _package()[f"{module}.{owner.__name__}"].members.get(name)
            return field.docstring.value if field is not None and field.docstring else ""
    return ""
