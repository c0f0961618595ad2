"""Recipes: overlays over ``walt/recipes/defaults.yaml``, which holds every knob once; expanded, a ``params.yaml``.

A recipe holds only what differs from what it ``extends`` (another recipe; without that key, the defaults). In
``defaults.yaml``, ``shared`` holds blocks of knobs that several sections have; a section or block names the one that it
``inherits``. A recipe may change a shared block, and with it all sections that inherit it.

What comes later wins: the defaults, then the recipe that is extended, then the recipe; within each file, the shared
blocks and then the sections. ``null`` turns a section off, and a mapping turns it on again; keys that it does not
name keep the values of the layer below.
"""

from __future__ import annotations

from pathlib import Path

from walt.core.config import parse_section
from walt.core.errors import ConfigurationError
from walt.core.suggestions import did_you_mean
from walt.project.commented_yaml import Document, Entry, parse, render
from walt.project.params import Params

FOLDER = Path(__file__).resolve().parents[1] / "recipes"
DEFAULTS = "defaults"
DEFAULT_RECIPE = "demo"
"""The recipe that ``walt init`` writes where none is named."""
SHARED, INHERITS, EXTENDS = "shared", "inherits", "extends"


def recipe_names(folder: Path = FOLDER) -> list[str]:
    """The recipes there are."""
    return sorted(file.stem for file in folder.glob("*.yaml") if file.stem != DEFAULTS)


def recipe_data(name: str) -> dict[str, object]:
    """A recipe as the data of a whole ``params.yaml``. Raises ConfigurationError as ``expand`` does."""
    data: dict[str, object] = expand(name).root.value
    return data


def load_recipe(name: str) -> Params:
    """A recipe, checked. Raises ConfigurationError as ``expand`` does, and for values that are wrong."""
    return parse_section(recipe_data(name), Params, source=f"recipe {name}")


def recipe_text(name: str) -> str:
    """A recipe as a whole ``params.yaml``: its header, and every key in the defaults' order with its comment.

    Raises:
        ConfigurationError: as ``expand``.
    """
    document = expand(name)
    made = f"# Written by `walt init --recipe {name}`. Every knob is here, and a key that is not one is an error."
    return f"{document.header}\n{made}\n{render(document.root)}"


def check_new_params(name: str, target: Path, force: bool) -> bytes:
    """A recipe as the content of ``target``, which is not written. Raises ConfigurationError if another file is there
    and ``force`` is false, and as ``expand``."""
    content = recipe_text(name).encode()
    if target.is_file() and target.read_bytes() != content and not force:
        raise ConfigurationError(f"{target.name} is there and differs from recipe '{name}'; --force replaces it")
    return content


def expand(name: str, folder: Path = FOLDER) -> Document:
    """The whole of a recipe: its overlays over the defaults.

    Raises:
        ConfigurationError: one line: there is no such recipe, recipes extend each other in a circle, or an overlay has
            a key that the defaults do not have, with its file and the nearest name.
    """
    overlays = list(layers(name, folder))
    whole = Defaults(folder)
    for file, document in overlays:
        whole.put_over(document.root, file)
    return Document(overlays[-1][1].header, whole.root)


def layers(name: str, folder: Path = FOLDER) -> list[tuple[Path, Document]]:
    """A recipe's overlays, the one that is over the defaults first. Raises ConfigurationError as ``expand``."""
    found: list[tuple[Path, Document]] = []
    wanted, seen = name, [name]
    while not found or wanted != DEFAULTS:
        file = _recipe_file(wanted, folder)
        document = parse(file)
        found.insert(0, (file, document))
        assert document.root.children is not None
        extends = document.root.children.pop(EXTENDS, None)
        wanted = DEFAULTS if extends is None else str(extends.value)
        if wanted in seen:
            raise ConfigurationError(f"{file}: recipes extend each other in a circle: {' -> '.join([*seen, wanted])}")
        seen.append(wanted)
    return found


class Defaults:
    """``defaults.yaml`` with the shared blocks put into the sections, over which overlays are put.

    Attributes:
        root: what the whole is so far.
        plain: what it is without overlays.
        blocks: the shared blocks.
        inheritors: for each shared block, the sections that inherit it, directly or not.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self.plain = parse(folder / f"{DEFAULTS}.yaml").root
        sections = _children(self.plain)
        self.blocks = _children(sections.pop(SHARED))
        self.inheritors: dict[str, list[str]] = {name: [] for name in self.blocks}
        parents: dict[str, str] = {}
        for tree in (self.blocks, sections):
            for name, entry in list(tree.items()):
                inherits = (entry.children or {}).pop(INHERITS, None)
                if inherits is not None:
                    parents[name] = str(inherits.value)
                    tree[name] = _inherited(self.blocks[parents[name]], entry)
        for name in sections:
            above = parents.get(name)
            while above is not None:
                self.inheritors[above].append(name)
                above = parents.get(above)
        self.root = self.plain.copy()

    def put_over(self, overlay: Entry, file: Path) -> None:
        """Put an overlay over the whole. Raises ConfigurationError for a key that is not one."""
        own = dict(_children(overlay))
        shared = own.pop(SHARED, Entry(children={}))
        _check(shared, Entry(children=self.blocks), file, SHARED)
        sections, plain = _children(self.root), _children(self.plain)
        for name in self.blocks:  # in their order: a section comes after what it inherits
            if name in _children(shared):
                for inheritor in self.inheritors[name]:
                    _put(sections[inheritor], _children(shared)[name], plain[inheritor], turns_on=False)
        _check(Entry(children=own), self.plain, file, "", also=(SHARED, EXTENDS))
        for name, change in own.items():
            _put(sections[name], change, plain[name])


def _check(overlay: Entry, known: Entry, file: Path, key: str, also: tuple[str, ...] = ()) -> None:
    """Raise ConfigurationError where an overlay has a key that is not known, or a value in place of a section."""
    if overlay.children is None:
        if known.children is not None and overlay.value is not None:
            raise ConfigurationError(f"{file}: key '{key}' is a section: it takes keys, or null")
        return
    if known.children is None:
        raise ConfigurationError(f"{file}: key '{key}' is not a section: it takes a value")
    for name, entry in overlay.children.items():
        full = f"{key}.{name}" if key else name
        if name not in known.children:
            raise ConfigurationError(f"{file}: unknown key '{full}'{did_you_mean(name, [*known.children, *also])}")
        _check(entry, known.children[name], file, full)


def _put(target: Entry, overlay: Entry, plain: Entry, turns_on: bool = True) -> None:
    """Put an overlay over ``target``, which ``plain`` was in the defaults: a value without a comment of its own gets
    the defaults', since that of a recipe in between is about another value."""
    if overlay.children is None:
        if target.children is None:
            target.text, target.comment = overlay.text, overlay.comment or plain.comment
        else:
            target.off, target.comment = True, overlay.comment or plain.comment
        return
    target.off = target.off and not turns_on
    target.comment = overlay.comment or target.comment
    for name, change in overlay.children.items():
        _put(_children(target)[name], change, _children(plain)[name], turns_on)


def _inherited(block: Entry, section: Entry) -> Entry:
    """A section of the defaults with all of the block that it inherits; its own keys come after the block's."""
    merged = block.copy()
    merged.comment = section.comment or block.comment
    for name, entry in _children(section).items():
        below = _children(merged).get(name)
        if below is None:
            _children(merged)[name] = entry
        elif entry.children is not None:
            _children(merged)[name] = _inherited(below, entry)
        elif below.children is not None:
            below.off, below.comment = True, entry.comment or below.comment
        else:
            _children(merged)[name] = Entry(text=entry.text, comment=entry.comment or below.comment)
    return merged


def _children(entry: Entry) -> dict[str, Entry]:
    assert entry.children is not None
    return entry.children


def _recipe_file(name: str, folder: Path) -> Path:
    """The file of a recipe. Raises ConfigurationError with the nearest name when there is none."""
    names = recipe_names(folder)
    if name not in names:
        hint = did_you_mean(name, names, f"there are {', '.join(names)}")
        raise ConfigurationError(f"no recipe is named '{name}'{hint}")
    return folder / f"{name}.yaml"
