"""Which files of this package a stage is made of, found in the syntax trees, and their digest."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from walt.core.storage import sha256_file, sha256_json


def code_dependencies(module: str) -> list[str]:
    """Files of this package that a module imports, directly or not, itself included; relative to the root, sorted.

    Editing one of them makes exactly the stages stale that reach it. Packages' ``__init__.py`` are left out: they hold
    a docstring and nothing else. So is tracking: it records what a stage makes, and changes none of it. A template
    that lies beside a module belongs to it.
    """
    root = package_root()
    found: set[Path] = set()
    pending = [_file_of(module)]
    while pending:
        file = pending.pop()
        assert file is not None
        if file in found or file.name == "__init__.py" or file.parent == root / "walt" / "tracking":
            continue
        found.add(file)
        found.update(file.parent.glob(f"{file.stem}.*.jinja"))
        pending += [imported for imported in _imports(file) if imported is not None]
    return sorted(file.relative_to(root).as_posix() for file in found)


def code_digest(module: str) -> str:
    """Hex digest of the contents of ``code_dependencies(module)``: other code, another digest, wherever it lies."""
    root = package_root()
    return sha256_json({file: sha256_file(root / file) for file in code_dependencies(module)})


def package_root() -> Path:
    """The folder that holds ``walt/``."""
    return Path(__file__).resolve().parents[2]


def _imports(file: Path) -> Iterator[Path | None]:
    """Files of this package that ``file`` imports, at the top or inside a function, except for type checking only."""
    for node in _nodes(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (_file_of(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield _file_of(node.module)
            yield from (_file_of(f"{node.module}.{alias.name}") for alias in node.names)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes except those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _nodes(child)


def _file_of(module: str) -> Path | None:
    """The file of a module of this package; None for other packages and for names that are no module."""
    if module.split(".")[0] != "walt":
        return None
    path = package_root().joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)
