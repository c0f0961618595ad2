"""``dvc.yaml``, made from the registry: stages, parameters, data and code."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from walt.core.errors import ConfigurationError
from walt.core.paths import ARTIFACTS
from walt.core.storage import write_bytes
from walt.project.code_identity import code_dependencies
from walt.project.registry import STAGES, Stage

PIPELINE_FILE = "dvc.yaml"
ONLY_IN_A_CLONE = "DVC and the flow work in a clone of the project, `walt ingest` and the other stages in any folder"
_HEADER = "# Made by `walt pipeline --write` from walt/project/registry.py; a test holds the two equal. Do not edit.\n"


def render() -> str:
    """The content of ``dvc.yaml``."""
    stream = StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 120
    yaml.dump({"stages": {stage.name: _entry(stage) for stage in STAGES}}, stream)
    return _HEADER + stream.getvalue()


def write(root: Path) -> bool:
    """Bring ``dvc.yaml`` up to date; returns whether it changed. Raises ConfigurationError where no code is here."""
    if not (root / "walt/project/registry.py").is_file():
        raise ConfigurationError(f"no walt/project here, which {PIPELINE_FILE} would name: {ONLY_IN_A_CLONE}")
    if is_current(root):
        return False
    write_bytes(root / PIPELINE_FILE, render().encode())
    return True


def is_current(root: Path) -> bool:
    """Whether ``dvc.yaml`` is there and is what the registry says."""
    path = root / PIPELINE_FILE
    return path.is_file() and path.read_text(encoding="utf-8") == render()


def check(root: Path) -> None:
    """Raise ConfigurationError where there is no ``dvc.yaml``, or it is not what the registry says."""
    if not (root / PIPELINE_FILE).is_file():
        raise ConfigurationError(f"no {PIPELINE_FILE} here: {ONLY_IN_A_CLONE}")
    if not is_current(root):
        raise ConfigurationError(f"{PIPELINE_FILE} differs from the registry; run `walt pipeline --write`")


def _entry(stage: Stage) -> dict[str, Any]:
    data = [*stage.sources, *(ARTIFACTS[name] for name in stage.inputs)]
    return {
        "cmd": _command(stage),
        "desc": stage.summary,
        "params": list(stage.params),
        "deps": [*data, *code_dependencies(stage.module)],
        "outs": [_output(stage, name) for name in stage.outputs],
    }


def _command(stage: Stage) -> str:
    """What DVC runs. It does not notice a dependency that is gone, but it does notice another command: so the one thing
    that the table of transformers decides without an edit of the stage's own code is in it, as a comment to the shell.
    """
    first = stage.transformer.starts_from if stage.transformer else None
    return f"walt {stage.name}" if first is None else f"walt {stage.name} # starts from {ARTIFACTS[first]}"


def _output(stage: Stage, name: str) -> str | dict[str, Any]:
    return {ARTIFACTS[name]: {"persist": True}} if stage.persist else ARTIFACTS[name]
