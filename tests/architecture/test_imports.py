"""The house rules that can be read off the syntax trees: floors, and one door for each dependency."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FLOORS = {
    "core": 0, "media": 1, "workers": 1, "nn": 1, "diffusion": 1,
    "autoencoder": 2, "transformer": 2, "text": 2, "data": 2, "tracking": 2,
    "ingest": 3, "export": 3, "captioning": 3, "training": 3, "sampling": 3, "evaluation": 3,
    "recipes": 4, "project": 4, "pages": 4, "stages": 5, "hub": 5, "commands": 6, "cli": 7,
}  # fmt: skip

DOORS = {
    "prefect": {"flows"},
    "ray": {"walt/workers/on_ray.py", "walt/workers/train_on_ray.py"},
    "s3fs": set(),
    "fsspec": {"walt/core/remote.py", "walt/core/servers.py"},
    "botocore": {"walt/core/remote.py", "walt/core/remote_errors.py"},
    "aiohttp": {"walt/core/servers.py", "walt/core/remote_errors.py"},
    "tenacity": {"walt/core/remote_errors.py"},
    "ffmpeg": {"walt/media/playable.py"},
    "av": {
        "walt/media/containers.py",
        "walt/media/continuity.py",
        "walt/media/decoders.py",
        "walt/media/decoding.py",
        "walt/media/images.py",
        "walt/media/lossless.py",
        "walt/media/mp4.py",
        "walt/media/scaling.py",
        "walt/media/streams.py",
    },
    "imageio_ffmpeg": {"walt/media/playable.py"},
    "scenedetect": {"walt/media/shots.py"},
    "cv2": {"walt/media/shots.py"},
    "imagehash": {"walt/media/fingerprints.py"},
    "scipy": {"walt/media/fingerprints.py", "walt/core/figures.py", "walt/evaluation"},
    "webdataset": {"walt/data"},
    "transformers": {
        "walt/text",
        "walt/autoencoder/perceptual.py",
        "walt/autoencoder/perceptual_architecture.py",
        "walt/evaluation/pretrained_folders.py",
        "walt/captioning/size.py",
        "walt/captioning/processors.py",
        "walt/captioning/vision_language.py",
    },
    "tokenizers": set(),
    "diffusers": {"walt/hub/diffusers_models.py", "walt/autoencoder/diffusers_vae.py"},
    "huggingface_hub": {"walt/hub/endpoint.py"},
    "mlflow": {"walt/tracking"},
    "openlineage": {"walt/tracking/openlineage.py"},
    "fastapi": {"walt/commands/ui/app.py"},
    "starlette": {"walt/commands/ui/app.py", "walt/commands/ui/guard.py"},
    "uvicorn": {"walt/commands/ui/serve.py"},
    "dvc": set(),
    "tempfile": {"walt/core/scratch.py"},
    "pickle": {"walt/text/pickled_weights.py"},  # the name of its error
}


def python_files() -> list[Path]:
    return sorted(file for top in ("walt", "flows") for file in (ROOT / top).rglob("*.py"))


@cache
def imported_modules(source: str) -> tuple[str, ...]:
    """Dotted names that a source text imports, anywhere in it; ``from walt import nn`` gives ``walt.nn``."""
    return tuple(_imported_modules(source))


def _imported_modules(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import hides which floor it reaches"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "walt" else (module,)


def too_high(source: str, room: str, floor: int) -> list[str]:
    """Modules that a source text of ``room`` imports and that are not below ``floor``."""
    modules = [name for name in imported_modules(source) if name == "walt" or name.startswith("walt.")]
    return [name for name in modules if room_of(name) != room and FLOORS[room_of(name)] >= floor]


def uses(source: str, dependency: str) -> bool:
    """Whether a source text imports the package ``dependency`` or something in it."""
    return any(name.split(".")[0] == dependency for name in imported_modules(source))


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def place_of(file: Path) -> tuple[str, int]:
    """Its room, and the floor of that."""
    relative = file.relative_to(ROOT)
    if relative.parts[0] == "flows" or len(relative.parts) < 3:
        return relative.stem, 7
    return relative.parts[1], FLOORS[relative.parts[1]]


@pytest.mark.parametrize(("room", "floor"), sorted({place_of(file) for file in python_files()}))
def test_imports_point_to_lower_floors_only(room: str, floor: int) -> None:
    files = [file for file in python_files() if place_of(file) == (room, floor)]
    found = {file.name: too_high(file.read_text(encoding="utf-8"), room, floor) for file in files}
    assert not {name: modules for name, modules in found.items() if modules}


@pytest.mark.parametrize(
    "bad",
    [
        "import walt.training.loop",
        "from walt.training.loop import train",
        "from walt.training import loop",
        "from walt import training",
        "from walt import nn, training",
        "def late():\n    from walt import training as t",
        "from walt.tracking import runs",  # the same floor
    ],
)
def test_an_import_that_points_up_or_sideways_is_seen(bad: str) -> None:
    assert too_high(bad, room="data", floor=FLOORS["data"])
    assert not too_high("from walt import core, data, nn\nimport walt.core.log\nimport torch", "data", FLOORS["data"])


@pytest.mark.parametrize("bad", ["import mlflow", "from mlflow import client", "def f():\n    import mlflow.data as d"])
def test_a_dependency_is_seen_wherever_it_is_imported(bad: str) -> None:
    assert uses(bad, "mlflow")
    assert not uses("import mlflower\nfrom walt.tracking import mlflow", "mlflow")


def at_run_time(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """What is not for type checkers only, functions included: a ring that is hidden in one is a ring."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from at_run_time(node.orelse)
        else:
            yield node
            yield from at_run_time(ast.iter_child_nodes(node))


def ring_of(sources: Mapping[str, str]) -> list[str]:
    """Modules that import each other, at once or when they run, given as name -> text; empty where there are none."""
    needed = {
        name: {
            one
            for node in at_run_time(ast.parse(text).body)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for one in named_by(node)
            if one in sources and one != name
        }
        for name, text in sources.items()
    }
    try:
        graphlib.TopologicalSorter(needed).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def named_by(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Dotted names that may be modules."""
    yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        yield from (node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names))


@pytest.mark.slow  # all files are parsed; the one below is fast
def test_no_modules_import_each_other() -> None:
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in python_files()}
    assert ring_of({name: file.read_text(encoding="utf-8") for name, file in names.items()}) == []


def test_a_ring_of_modules_is_seen() -> None:
    there, back = "from walt.workers import b", "try:\n    import walt.workers.a\nexcept OSError: ..."
    assert ring_of({"walt.workers.a": there, "walt.workers.b": back})
    late = "def late():\n    import walt.workers.a"
    assert ring_of({"walt.workers.a": there, "walt.workers.b": late})
    typed = "if TYPE_CHECKING:\n    import walt.workers.a"
    assert not ring_of({"walt.workers.a": there, "walt.workers.b": typed})


@pytest.mark.parametrize("dependency", sorted(DOORS))
def test_each_dependency_has_one_door(dependency: str) -> None:
    """Nobody but the doors imports it, and each door does."""
    entered = set()
    for file in python_files():
        relative = file.relative_to(ROOT).as_posix()
        if not uses(file.read_text(encoding="utf-8"), dependency):
            continue
        doors = {door for door in DOORS[dependency] if relative == door or relative.startswith(f"{door}/")}
        assert doors, f"{relative} imports {dependency}, which belongs to {DOORS[dependency] or 'nobody'}"
        entered |= doors
    assert entered == DOORS[dependency], f"{DOORS[dependency] - entered} need {dependency} no more"


def test_packages_hold_a_docstring_and_nothing_else() -> None:
    """So leaving them out of a stage's code dependencies loses nothing."""
    for file in python_files():
        if file.name == "__init__.py":
            body = ast.parse(file.read_text(encoding="utf-8")).body
            assert len(body) == 1, f"{file.relative_to(ROOT)} holds code"
            assert isinstance(body[0], ast.Expr), f"{file.relative_to(ROOT)} has no docstring"


_TOO_MUCH_FOR_WORKERS = {"torch", "pydantic", "pyarrow", "ray", "typer"}
"""What would make each of ingest's worker processes start later."""


@pytest.mark.parametrize(
    "rooms",
    [
        {
            "walt.project.registry": {"torch", "pydantic", "numpy"},
            "walt.ingest.hash_and_cut": _TOO_MUCH_FOR_WORKERS,
            "walt.ingest.stored_measures": _TOO_MUCH_FOR_WORKERS,
            "walt.project.params": {"torch", "mlflow"},
            "walt.cli": {"torch", "mlflow", "prefect", "transformers"},
        },
        pytest.param(
            {
                "walt.transformer.model": {"transformers", "mlflow", "prefect", "webdataset", "pyarrow", "ray", "av"},
                "walt.stages.evaluate": (rarely := {"torchmetrics", "matplotlib", "scipy.stats"}),  # slow to load
                "walt.project.autoencoder_validation": rarely,
                "walt.project.transformer_validation": rarely,
            },
            marks=pytest.mark.slow,
        ),
    ],
    ids=["without torch", "with torch"],
)
def test_importing_a_room_loads_nothing_heavier_than_it_needs(rooms: dict[str, set[str]]) -> None:
    """One after the other in one process: what an earlier one loads, no later one may load either."""
    code = "import sys\n" + "".join(f"import {module}\nprint(*sys.modules)\n" for module in rooms)
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    found = {
        module: forbidden & set(line.split())
        for (module, forbidden), line in zip(rooms.items(), loaded.stdout.splitlines(), strict=True)
    }
    assert not any(found.values()), found


def test_no_module_of_these_rooms_loads_torch() -> None:
    """Whatever it imports: all of them together, since torch once loaded stays."""
    rooms = {
        room: [
            ".".join(file.relative_to(ROOT).with_suffix("").parts)
            for file in sorted((ROOT / "walt" / room).rglob("*.py"))
            if file.name != "__init__.py"
        ]
        for room in ("media", "workers", "ingest", "export")
    }
    assert all(rooms.values())
    code = "import sys\n" + "".join(
        f"import {', '.join(modules)}\nprint('{room}', 'torch' in sys.modules)\n" for room, modules in rooms.items()
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert loaded.stdout.splitlines() == [f"{room} False" for room in rooms]


def test_datasets_holds_no_python() -> None:
    """A Python package called datasets would shadow Hugging Face's."""
    assert not list((ROOT / "datasets").rglob("*.py"))
