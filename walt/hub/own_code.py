"""Our code as one file that needs none of our packages: the definitions that a module uses, taken from where they are.

A folder for diffusers carries the code that its models need. It is cut from the modules of ``walt`` when the folder is
written, so there is no second copy to keep: beginning with one module, each definition at a module's top level that is
used is taken over as it is written, with its comments, and so are those that it uses, and names of types that its
annotations have. What stays out: classes that only annotations name (they are never evaluated), checks of settings, and
what ``LEFT_OUT`` names.

diffusers copies the file that it is given, and of the files that this one imports only those that it names itself, into
one folder for all models; so the code is one file, and its name holds its digest.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

_PACKAGES = Path(__file__).resolve().parents[2]

LEFT_OUT = frozenset({"Pipeline.load", "TextEncoder.describe"})
"""Methods that read or write a project's folders."""
INSTEAD = {
    ("walt.core.config", "Section"): ("walt.hub.plain_section", "Section"),
    ("walt.core.log", "info"): ("walt.hub.plain_section", "info"),
    ("pydantic", "PositiveInt"): ("walt.hub.plain_section", "PositiveInt"),
    ("pydantic", "PositiveFloat"): ("walt.hub.plain_section", "PositiveFloat"),
}
"""What is taken from elsewhere: (module, name) -> (module, name)."""
_NOT_NEEDED = ("custom_op", "model_validator")
"""Decorators: of an operator, which runs as a function in the same way, without being registered twice where two models
are loaded; of a check of settings, which goes with the method."""

Place = tuple[str, str]
"""(module, name at its top level)"""


@dataclass
class _Definition:
    """A statement at a module's top level that gives names."""

    text: str
    used: set[str]
    """Names that must be there when it runs or is called."""
    mentioned: set[str]
    """These, and those of annotations."""
    is_constant: bool
    """Such as a name for a type."""


@dataclass
class _Module:
    """A module's definitions in their order, and what it imports."""

    definitions: dict[str, _Definition] = field(default_factory=dict)
    imports: dict[str, Place] = field(default_factory=dict)
    """Name here -> where it is from; the second is empty where a whole module is imported."""


def own_code(root: str) -> str:
    """The module ``root`` (dotted), with all that it uses of ``walt``, as the text of one file.

    Raises:
        ValueError: two of the definitions have one name, or one is imported in a way that is not understood.
    """
    kept: dict[str, set[str]] = {}
    order: list[str] = []
    for name in _module(root).definitions:
        _keep(root, name, kept)
    _sort(root, kept, order)
    owners: dict[str, str] = {}
    bodies, imported = [], set()
    for module in order:
        bodies.append(f"# {module}")
        written: set[int] = set()
        for name, definition in _module(module).definitions.items():
            if name not in kept.get(module, ()):
                continue
            if owners.setdefault(name, module) != module:
                raise ValueError(f"{name} is defined in {owners[name]} and in {module}: one of them must be renamed")
            if id(definition) not in written:
                written.add(id(definition))
                bodies.append(definition.text)
                imported |= _outside(module, definition)
    text = "\n\n\n".join(["\n".join(_import_lines(imported)), *bodies])
    return f"{_HEAD}\nfrom __future__ import annotations\n\n{text}\n"


_HEAD = '''"""W.A.L.T (arXiv 2312.06662): models and sampling, as diffusers loads them.

Cut from the modules of the package `walt` that are named below, by `walt export model`. It reads no files, and opens no
connections. SPDX-License-Identifier: Apache-2.0
"""
'''


def code_name(text: str) -> str:
    """Name of the file, without ``.py``: diffusers keeps the code of all models in one folder."""
    return f"walt_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _keep(module: str, name: str, kept: dict[str, set[str]]) -> None:
    """Take over a definition and, if it was not yet, all that it uses."""
    if name in kept.setdefault(module, set()):
        return
    kept[module].add(name)
    for place in _needed(module, name):
        _keep(*place, kept)


def _needed(module: str, name: str) -> list[Place]:
    """Where the definitions of ``walt`` are that one of them uses."""
    own = _module(module)
    definition, found = own.definitions[name], []
    for used in sorted(definition.mentioned):
        if used in own.definitions:
            place = (module, used)
        elif used in own.imports and (place := _resolved(own.imports[used]))[0].startswith("walt."):
            if place[1] != used or used not in _module(place[0]).definitions:
                raise ValueError(f"{module} imports {used}: import definitions of walt by their own names")
        else:
            continue
        if used in definition.used or _module(place[0]).definitions[used].is_constant:
            found.append(place)
    return found


def _sort(module: str, kept: dict[str, set[str]], order: list[str]) -> None:
    """Modules in an order in which each comes after those that it uses."""
    others = {
        other for name in _module(module).definitions if name in kept[module] for other, _ in _needed(module, name)
    }
    for other in sorted(others - {module}):
        if other not in order:
            _sort(other, kept, order)
    if module not in order:
        order.append(module)


def _outside(module: str, definition: _Definition) -> set[tuple[str, str, str]]:
    """What a definition mentions of other packages: (name here, module, name there)."""
    found = set()
    for name, place in _module(module).imports.items():
        if name in definition.mentioned:
            origin = _resolved(place)
            if not origin[0].startswith("walt.") and origin[0] != "pydantic":
                found.add((name, *origin))
    return found


def _import_lines(imported: set[tuple[str, str, str]]) -> Iterator[str]:
    """Statements that import what is needed of other packages."""
    for name, module, _ in sorted(one for one in imported if not one[2]):
        yield f"import {module}" + (f" as {name}" if name != module else "")
    for module in sorted({module for _, module, there in imported if there}):
        names = sorted((there, name) for name, origin, there in imported if there and origin == module)
        yield f"from {module} import " + ", ".join(
            there + (f" as {name}" if name != there else "") for there, name in names
        )


def _resolved(place: Place) -> Place:
    return INSTEAD.get(place, place)


@cache
def _module(name: str) -> _Module:
    """Read a module of ``walt`` from its file."""
    source = (_PACKAGES / Path(*name.split("."))).with_suffix(".py").read_text(encoding="utf-8")
    lines, found = source.splitlines(), _Module()
    last: _Definition | None = None
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            found.imports |= _imports(statement)
        elif names := _names(statement):
            last = _definition(statement, lines)
            found.definitions |= dict.fromkeys(names, last)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and last is not None:
            last.text += "\n" + "\n".join(lines[statement.lineno - 1 : statement.end_lineno])  # what a constant is
            continue
        else:
            last = None
    return found


def _imports(statement: ast.Import | ast.ImportFrom) -> dict[str, Place]:
    if isinstance(statement, ast.ImportFrom):
        assert statement.module is not None
        if statement.module == "__future__":
            return {}
        return {alias.asname or alias.name: (statement.module, alias.name) for alias in statement.names}
    return {alias.asname or alias.name: (alias.name, "") for alias in statement.names}


def _names(statement: ast.stmt) -> list[str]:
    """The names that a statement gives."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def _definition(statement: ast.stmt, lines: list[str]) -> _Definition:
    """A definition as it is written, without what is not needed."""
    is_class = isinstance(statement, ast.ClassDef)
    gone = list(_not_needed(statement))
    cut = {number for node in gone for number in range(_first_line(node), _last_line(node) + 1)}
    first = min(_first_line(statement), _comment_above(statement, lines))
    text = [
        line for number, line in enumerate(lines[first - 1 : statement.end_lineno], start=first) if number not in cut
    ]
    if is_class and any(ast.unparse(base).endswith("Section") for base in statement.bases):  # type: ignore[attr-defined]
        text = [_without_check(line) for line in text]
    used, mentioned = set(), set()
    for node, annotation in _walk(statement, set(gone)):
        if isinstance(node, ast.Name):
            mentioned.add(node.id)
            if not annotation:
                used.add(node.id)
    return _Definition("\n".join(text), used, mentioned, isinstance(statement, ast.Assign))


def _without_check(line: str) -> str:
    """A setting without the range that it is checked against."""
    return line.partition(" = Field(")[0]


def _first_line(node: ast.AST) -> int:
    """Where a statement or an expression begins, with its decorators."""
    lines: list[int] = [node.lineno for node in (node, *getattr(node, "decorator_list", ()))]
    return min(lines)


def _last_line(node: ast.AST) -> int:
    return int(getattr(node, "end_lineno", 0))


def _comment_above(statement: ast.stmt, lines: list[str]) -> int:
    """The line at which the comment begins that stands directly above a statement."""
    line = _first_line(statement)
    while line > 1 and lines[line - 2].startswith("#"):
        line -= 1
    return line


def _not_needed(statement: ast.stmt) -> Iterator[ast.AST]:
    """Decorators and methods that are left out."""
    members = statement.body if isinstance(statement, ast.ClassDef) else []
    for node in (statement, *members):
        decorators = getattr(node, "decorator_list", [])
        named = [(one, ast.unparse(one).partition("(")[0].rpartition(".")[2]) for one in decorators]
        method = f"{getattr(statement, 'name', '')}.{getattr(node, 'name', '')}"
        if node is not statement and (method in LEFT_OUT or any(name == "model_validator" for _, name in named)):
            yield node
        else:
            yield from (one for one, name in named if name in _NOT_NEEDED)


def _walk(node: ast.AST, gone: set[ast.AST], annotation: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes but those that are left out, each with whether it belongs to an annotation."""
    if node in gone:
        return
    yield node, annotation
    for name, value in ast.iter_fields(node):
        within = annotation or name in ("annotation", "returns")
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _walk(child, gone, within)
