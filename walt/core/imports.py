"""Which files of this package a module imports, directly or not, found in the syntax trees: nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path


def imported_files(module: str) -> list[str]:
    """The files of this package that importing ``module`` reads, its own included; relative to the root, sorted.

    Imports inside of functions count too, those for type checking only do not. Packages' ``__init__.py`` are left out:
    they hold a docstring and nothing else.
    """
    root = package_root()
    assert _file_of(root, module) is not None, f"there is no module {module}"
    found: set[str] = set()
    seen, pending = {module}, [module]
    while pending:
        file = _file_of(root, pending.pop())
        if file is None:
            continue
        found.add(file.relative_to(root).as_posix())
        for name in imported_names(file.read_text(encoding="utf-8")):
            if name not in seen:
                seen.add(name)
                pending.append(name)
    return sorted(found)


def package_root() -> Path:
    """The folder that holds ``walt/``."""
    return Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1024)
def imported_names(source: str) -> tuple[str, ...]:
    """Dotted names of this package that a source text imports, except for type checking only.

    Some are of functions or classes, not of modules.
    """
    names: list[str] = []
    for node in _statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.split(".")[0] == "walt")


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements except those that only a type checker reads: under ``if TYPE_CHECKING``, but not under its
    ``else``. Expressions, which are most of a tree, are not looked into: none holds an import."""
    for name in _BLOCKS:
        for child in getattr(node, name, ()):
            if isinstance(child, ast.If) and _for_type_checking(child.test):
                yield from _statements(ast.Module(child.orelse, []))
            else:
                yield child
                yield from _statements(child)


_BLOCKS = ("body", "handlers", "cases", "orelse", "finalbody")
"""Fields of statements, and of parts of them, that hold statements."""


def _for_type_checking(test: ast.expr) -> bool:
    """Whether a condition is ``TYPE_CHECKING`` or ``typing.TYPE_CHECKING``."""
    return (test.id if isinstance(test, ast.Name) else getattr(test, "attr", None)) == "TYPE_CHECKING"


def _file_of(root: Path, module: str) -> Path | None:
    """The file of a module of this package; None for packages, and for names that are not modules."""
    file = root / f"{module.replace('.', '/')}.py"
    return file if file.is_file() else None
