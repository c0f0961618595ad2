"""Which commands there are, and what each is for: found in the folder ``walt/commands``, without importing any.

A command ``name`` is ``walt/commands/name.py``, or where its work is heavy to import ``walt/commands/name/command.py``
beside it. That module has a function ``command`` whose parameters are the options and whose docstring is the help. A
module without such a function is a helper. A name that Python keeps for itself has ``_`` behind it: ``import_.py``.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
FIRST = ("init", "prepare", "check", "doctor", "describe", "inspect")
"""Shown before the others, in the order in which a new project needs them; the others come by name."""


@dataclass(frozen=True)
class CommandFile:
    """A command that has not been imported."""

    name: str
    module: str
    """Dotted; it has the function ``command``."""
    help: str
    """That function's docstring."""


def list_commands(folder: Path = FOLDER) -> list[CommandFile]:
    """All commands, in the order in which they are shown."""
    files = {file.stem: file for file in folder.glob("*.py")}
    files |= {file.parent.name: file for file in folder.glob("*/command.py")}
    found = [command for name, file in files.items() if (command := _read(name, file, folder)) is not None]
    places = {name: place for place, name in enumerate(FIRST)}
    return sorted(found, key=lambda command: (places.get(command.name, len(FIRST)), command.name))


def _read(name: str, file: Path, folder: Path) -> CommandFile | None:
    """The command of a file; None for a helper."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == "command":
            module = ".".join(["walt.commands", *file.relative_to(folder).with_suffix("").parts])
            return CommandFile(name.rstrip("_").replace("_", "-"), module, ast.get_docstring(node) or "")
    return None
