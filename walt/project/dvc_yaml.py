"""``dvc.yaml``, made from the registry: stages, parameters, data and code.

In a clone DVC watches the files of the code. A project of its own, made by ``walt init`` with an installed package, has
no code: there each stage's command ends with the digest of its code, and another command is what DVC notices.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from walt.core.errors import ConfigurationError
from walt.core.left_out import HISTORY_FILE, METRICS_FILE
from walt.core.paths import ARTIFACTS
from walt.core.storage import write_bytes
from walt.core.transformers import TRANSFORMER_NAMES
from walt.project.code_identity import code_dependencies, code_digest
from walt.project.registry import STAGES, Stage

PIPELINE_FILE = "dvc.yaml"
TAKEDOWNS = "datasets/takedowns"
NO_PIPELINE = f"no {PIPELINE_FILE} here: `walt init` in an empty folder makes a project, a clone of W.A.L.T is one"
_UPDATE = "`walt pipeline --write` brings it up to date; what has become stale is then made again"
_HEADER = "# Made by `walt pipeline --write` from walt/project/registry.py; a test holds the two equal. Do not edit.\n"
_HEADER_OF_A_PROJECT = "# Made by `walt pipeline --write`, to be called after an upgrade of walt. Do not edit.\n"
_DIGITS = 16
_TRAINED = ("autoencoder", *TRANSFORMER_NAMES)


def has_the_code(root: Path) -> bool:
    """Whether ``root`` is a clone, in which the code is part of the project."""
    return (root / "walt/project/registry.py").is_file()


def render(root: Path) -> str:
    """The content of ``dvc.yaml`` for a project at ``root``."""
    stream = StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 120
    clone = has_the_code(root)
    stages = {stage.name: _entry(stage, clone) for stage in STAGES}
    yaml.dump({"stages": stages, "metrics": _metrics(), "plots": _plots()}, stream)
    return (_HEADER if clone else _HEADER_OF_A_PROJECT) + stream.getvalue()


def write(root: Path) -> bool:
    """Bring ``dvc.yaml`` up to date; returns whether it changed.

    Raises:
        ConfigurationError: ``root`` is neither a clone nor a project.
    """
    if not has_the_code(root) and not (root / PIPELINE_FILE).is_file():
        raise ConfigurationError(NO_PIPELINE)
    (root / TAKEDOWNS).mkdir(parents=True, exist_ok=True)  # DVC looks into it; projects of earlier versions lack it
    if is_current(root):
        return False
    write_bytes(root / PIPELINE_FILE, render(root).encode())
    return True


def is_current(root: Path) -> bool:
    """Whether ``dvc.yaml`` is there and is what the registry and the code say."""
    path = root / PIPELINE_FILE
    return path.is_file() and path.read_text(encoding="utf-8") == render(root)


def check(root: Path) -> None:
    """Raise ConfigurationError where there is no ``dvc.yaml``, or it is not what the registry and the code say."""
    if not (root / PIPELINE_FILE).is_file():
        raise ConfigurationError(NO_PIPELINE)
    if not is_current(root):
        made_by = "the registry" if has_the_code(root) else "the installed walt"
        raise ConfigurationError(f"{PIPELINE_FILE} differs from {made_by}; {_UPDATE}")


def _metrics() -> list[str]:
    """Files of numbers, for ``dvc metrics show`` and ``diff``, ``dvc exp show``."""
    return [ARTIFACTS["metrics"], *(f"{ARTIFACTS[name]}/{METRICS_FILE}" for name in _TRAINED)]


def _plots() -> list[dict[str, Any]]:
    """The curves of the trainings, for ``dvc plots``."""
    return [{f"{name} loss": {"x": "step", "y": {f"{ARTIFACTS[name]}/{HISTORY_FILE}": "loss"}}} for name in _TRAINED]


def _entry(stage: Stage, clone: bool) -> dict[str, Any]:
    data = [*stage.sources, *(ARTIFACTS[name] for name in stage.inputs)]
    return {
        "cmd": _command(stage, clone),
        "desc": stage.summary,
        "params": list(stage.params),
        "deps": [*data, *(code_dependencies(stage.module) if clone else [])],
        "outs": [_output(stage, name) for name in stage.outputs],
    }


def _command(stage: Stage, clone: bool) -> str:
    """What DVC runs, with a comment to the shell: DVC does not notice a dependency that is gone, but it does notice
    another command. So what the table of transformers decides without an edit of the stage's own code is there, and
    outside of a clone the code.
    """
    notes = []
    if stage.transformer and stage.transformer.starts_from:
        notes.append(f"starts from {ARTIFACTS[stage.transformer.starts_from]}")
    if not clone:
        notes.append(f"code {code_digest(stage.module)[:_DIGITS]}")
    return f"walt {stage.name}" + (f" # {', '.join(notes)}" if notes else "")


def _output(stage: Stage, name: str) -> str | dict[str, Any]:
    return {ARTIFACTS[name]: {"persist": True}} if stage.persist else ARTIFACTS[name]
