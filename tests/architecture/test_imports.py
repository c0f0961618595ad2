"""The house rules that can be read off the syntax trees: floors, and one door for each dependency."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FLOORS = {
    "core": 0, "nn": 1, "diffusion": 1, "autoencoder": 2, "transformer": 2, "text": 2, "data": 2, "tracking": 2,
    "training": 3, "sampling": 3, "evaluation": 3, "recipes": 4, "stages": 4, "cli": 5,
}  # fmt: skip

DOORS = {
    "prefect": {"flows"},
    "ray": {"walt/core/execute.py", "walt/training/launch.py"},
    "s3fs": {"walt/core/storage.py"},
    "fsspec": {"walt/core/storage.py"},
    "ffmpeg": {"walt/core/video.py", "walt/core/mp4.py"},
    "av": {"walt/core/video.py", "walt/core/mp4.py"},
    "imageio_ffmpeg": {"walt/core/video.py", "walt/core/mp4.py"},
    "webdataset": {"walt/data"},
    "transformers": {"walt/text", "walt/evaluation"},
    "tokenizers": {"walt/text"},
    "mlflow": {"walt/tracking"},
    "dvc": set(),
    "pickle": set(),
}


def python_files() -> list[Path]:
    return sorted(file for top in ("walt", "flows") for file in (ROOT / top).rglob("*.py"))


def imported_modules(file: Path) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import hides which floor it reaches"
            yield node.module or ""


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("file", python_files(), ids=lambda f: f.relative_to(ROOT).as_posix())
def test_imports_point_to_lower_floors_only(file: Path) -> None:
    relative = file.relative_to(ROOT)
    if relative.parts[0] == "flows" or len(relative.parts) < 3:
        room, floor = relative.stem, 5
    else:
        room = relative.parts[1]
        floor = FLOORS[room]
    for module in imported_modules(file):
        if not module.startswith("walt.") or room_of(module) == room:
            continue
        assert FLOORS[room_of(module)] < floor, f"{relative} (floor {floor}) imports {module}"


@pytest.mark.parametrize("dependency", sorted(DOORS))
def test_each_dependency_has_one_door(dependency: str) -> None:
    for file in python_files():
        relative = file.relative_to(ROOT).as_posix()
        if any(relative == door or relative.startswith(f"{door}/") for door in DOORS[dependency]):
            continue
        used = [name for name in imported_modules(file) if name.split(".")[0] == dependency]
        assert not used, f"{relative} imports {used[0]}, which belongs to {DOORS[dependency] or 'nobody'}"


def test_packages_hold_a_docstring_and_nothing_else() -> None:
    """So leaving them out of a stage's code dependencies loses nothing."""
    for file in python_files():
        if file.name == "__init__.py":
            body = ast.parse(file.read_text(encoding="utf-8")).body
            assert len(body) == 1, f"{file.relative_to(ROOT)} holds code"
            assert isinstance(body[0], ast.Expr), f"{file.relative_to(ROOT)} has no docstring"


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("walt.transformer.model", {"transformers", "mlflow", "prefect", "webdataset", "pyarrow", "ray", "av"}),
        ("walt.stages.registry", {"torch", "pydantic", "numpy"}),
        ("walt.cli", {"torch", "mlflow", "prefect", "transformers"}),
        ("walt.stages.params", {"torch", "mlflow"}),
    ],
)
def test_importing_a_room_loads_nothing_heavier_than_it_needs(module: str, forbidden: set[str]) -> None:
    code = f"import {module}, sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not forbidden & set(loaded.stdout.split())


def test_files_stay_readable() -> None:
    """A place to look at, set where the longest honest files are."""
    for file in python_files():
        lines = len(file.read_text(encoding="utf-8").splitlines())
        assert lines <= 350, f"{file.relative_to(ROOT)} has {lines} lines"


def test_datasets_holds_no_python() -> None:
    """A Python package called datasets would shadow Hugging Face's."""
    assert not list((ROOT / "datasets").rglob("*.py"))
