"""Recipes: whole parameter files under ``walt/recipes``."""

from __future__ import annotations

from pathlib import Path

from walt.core.errors import ConfigurationError
from walt.core.storage import write_bytes
from walt.core.suggestions import did_you_mean

FOLDER = Path(__file__).resolve().parents[1] / "recipes"


def recipe_names() -> list[str]:
    """The recipes there are."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def recipe_path(name: str) -> Path:
    """The file of a recipe. Raises ConfigurationError with the nearest name when there is none."""
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        hint = did_you_mean(name, recipe_names(), f"there are {', '.join(recipe_names())}")
        raise ConfigurationError(f"no recipe is named '{name}'{hint}")
    return path


def copy_recipe(name: str, target: Path, force: bool) -> None:
    """Write a recipe as ``target``, unless another file is there. Raises ConfigurationError."""
    content = recipe_path(name).read_bytes()
    if target.is_file() and target.read_bytes() != content and not force:
        raise ConfigurationError(f"{target.name} is there and differs from recipe '{name}'; --force replaces it")
    write_bytes(target, content)
