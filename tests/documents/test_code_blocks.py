"""What the README and docs/ show can be typed: imports resolve, commands and their options exist, files are there."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from flows.deployments import DEPLOYMENTS
from walt.cli import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(walt [^`\n]+)`")


def blocks(document: Path, *languages: str) -> Iterator[str]:
    """The text of a document's code blocks in these languages."""
    for language, text in BLOCK.findall(document.read_text(encoding="utf-8")):
        if language in languages:
            yield text


def walt_commands(document: Path) -> Iterator[list[str]]:
    """What follows ``walt`` wherever a document calls it: in blocks, one line each, and in the running text."""
    lines = [line for block in blocks(document, "sh", "", "bash") for line in block.splitlines()]
    lines += INLINE.findall(document.read_text(encoding="utf-8"))
    for line in lines:
        for command in re.split(r"&&|\|\||;", line.removeprefix("$ ").split(" #")[0]):
            words = command.split()
            if words[:1] == ["walt"] and len(words) > 1 and words[1] != "...":
                yield shlex.split(command)[1:]


@cache
def options_of(name: str) -> frozenset[str] | None:
    """The options of a command, None where there is no such command. Kept: documents name few commands, many times."""
    group: Any = typer.main.get_command(app)  # Typer has a Click of its own inside
    context = group.make_context("walt", [], resilient_parsing=True)
    _, command, _ = group.resolve_command(context, [name])  # imports the command's module: its options are there
    if command is None:
        return None
    return frozenset(option for given in command.params for option in (*given.opts, *given.secondary_opts))


def unknown_in(words: list[str]) -> str | None:
    """The first of a command's words that the command line does not know; None where it knows them all."""
    name, *rest = words
    if name.startswith("-"):
        return None if name == "--help" else name
    if name in ("<stage>", "STAGE"):
        return None
    known = options_of(name)
    if known is None:
        return name
    options = (word.split("=")[0] for word in rest if word.startswith("--"))
    return next((option for option in options if option not in known | {"--help"}), None)


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_commands_of_a_document_exist(document: Path) -> None:
    unknown = [(words, word) for words in walt_commands(document) if (word := unknown_in(words)) is not None]
    assert not unknown


def is_in(module: ModuleType, name: str) -> bool:
    """Whether a module has this name, or a package this module."""
    return hasattr(module, name) or importlib.util.find_spec(f"{module.__name__}.{name}") is not None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_python_of_a_document_imports_what_there_is(document: Path) -> None:
    for block in blocks(document, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                missing = [alias.name for alias in node.names if not is_in(module, alias.name)]
                assert not missing, f"{node.module} has no {missing[0]}"
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_files_that_a_document_names_are_there(document: Path) -> None:
    """Modules, tests and folders of the project; what a run makes is not looked for."""
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:walt|flows|tests|benchmarks|infra|datasets)/[\w/.-]+\w)`", text))
    named -= {f"walt/{deployment.name}" for deployment in DEPLOYMENTS}
    assert not [name for name in sorted(named) if not (ROOT / name).exists() and "NAME" not in name]


def test_what_cannot_be_typed_is_seen() -> None:
    assert unknown_in(["describe", "--json"]) is None
    assert unknown_in(["describe", "--jason"]) == "--jason"
    assert unknown_in(["descripe"]) == "descripe"
    assert list(walt_commands(ROOT / "README.md")), "the README calls walt"
